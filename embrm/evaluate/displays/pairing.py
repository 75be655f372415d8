"""Pairing: same-, cross- and mixed-prompt pairs, by the diversity of responses."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from embrm.evaluate.displays.seed_lines import (
    Columns,
    SeedLines,
    draw_lines,
    lines_from_frame,
)
from embrm.evaluate.displays.styles import (
    ORDER_CONSISTENCY,
    axes_or_new,
    finish,
    line_look,
)

if TYPE_CHECKING:
    import pandas as pd


class PairingDisplay:
    """A metric of pairing designs against the diversity of responses.

    Make one with `from_frame`, draw it with `plot`.

    Parameters
    ----------
    lines : SeedLines
        A line per design. x is either a number or the name of a degree of diversity.
    label : str, default="order consistency with gold (share of pairs)"
        What is measured, with its unit.
    x_label : str, default="diversity of responses"
        What diversity is, with its unit where it is a number.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame(
    ...     {
    ...         "design": ["same", "same", "cross", "cross"],
    ...         "diversity": ["low", "high", "low", "high"],
    ...         "seed": [0, 0, 0, 0],
    ...         "order_consistency": [0.6, 0.7, 0.66, 0.7],
    ...     }
    ... )
    >>> display = PairingDisplay.from_frame(runs)
    >>> [line.name for line in display.lines.lines], display.lines.lines[0].x.tolist()
    (['same', 'cross'], ['low', 'high'])
    """

    def __init__(
        self,
        lines: SeedLines,
        *,
        label: str = ORDER_CONSISTENCY,
        x_label: str = "diversity of responses",
    ) -> None:
        self.lines = lines
        self.label = label
        self.x_label = x_label

    @classmethod
    def from_frame(
        cls,
        frame: "pd.DataFrame",
        *,
        line: str = "design",
        x: str = "diversity",
        y: str = "order_consistency",
        seed: str = "seed",
        point: str | None = None,
        level: float = 0.95,
        **options: Any,
    ) -> Self:
        """Average runs over seeds.

        Parameters
        ----------
        frame : DataFrame
            One row per run, all of one head, annotator and budget.
        line, x, y, seed : str
            Columns: the pairing design; the diversity, as a number or as names, drawn
            in the order in which they appear; the metric; the seed.
        point : str, optional
            Column whose rows differ by seed alone; None means x. Needed where x is
            measured, as the mean gold difference of the pairs is.
        level : float in (0, 1), default=0.95
            Of the t interval over seeds.
        **options
            As for the class: label, x_label.

        Returns
        -------
        PairingDisplay

        Raises
        ------
        InvalidInputError
            If a column is missing, or rows of one line, point and seed are several.
        """
        columns = Columns(line, point or x, x, y, seed)
        return cls(lines_from_frame(frame, columns, level), **options)

    def plot(self, ax: Any = None) -> Self:
        """Draw one line per design, with bars over seeds.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        PairingDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax)
        names = self._names()
        draw_lines(ax, self._placed(names), line_look, band=False)
        if names:
            ax.set_xticks(range(len(names)), names)
        ax.set_xlabel(self.x_label)
        ax.set_ylabel(self.label)
        finish(ax, self.lines.note)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _names(self) -> list[str]:
        """Names of degrees of diversity, or none where it is a number."""
        x = [line.x for line in self.lines.lines]
        if all(values.dtype.kind in "iuf" for values in x):
            return []
        return list(dict.fromkeys(str(name) for values in x for name in values))

    def _placed(self, names: list[str]) -> SeedLines:
        """Put names at 0, 1, ..., each design a little beside the others."""
        if not names:
            return self.lines
        middle = (len(self.lines.lines) - 1) / 2
        lines = tuple(
            replace(
                line,
                x=np.array([names.index(str(name)) for name in line.x])
                + _STEP * (position - middle),
            )
            for position, line in enumerate(self.lines.lines)
        )
        return replace(self.lines, lines=lines)


# Between designs at one degree of diversity, so that bars do not hide one another.
_STEP = 0.06
