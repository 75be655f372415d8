"""Noise sweep: what annotation noise does to each head."""

from typing import TYPE_CHECKING, Any, Self

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


class NoiseSweepDisplay:
    """Order consistency against the realised error rate of labels, a line per head.

    Make one with `from_frame`, draw it with `plot`.

    Parameters
    ----------
    lines : SeedLines
    label : str, default="order consistency with gold (share of pairs)"
        What is measured, with its unit.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import pandas as pd
    >>> runs = pd.DataFrame(
    ...     {
    ...         "head": ["linear"] * 4,
    ...         "annotator": ["calm", "calm", "noisy", "noisy"],
    ...         "seed": [0, 1, 0, 1],
    ...         "error_rate": [0.1, 0.12, 0.29, 0.31],
    ...         "order_consistency": [0.72, 0.7, 0.64, 0.66],
    ...     }
    ... )
    >>> display = NoiseSweepDisplay.from_frame(runs)
    >>> display.lines.lines[0].x.round(2), display.lines.lines[0].mean.round(2)
    (array([0.11, 0.3 ]), array([0.71, 0.65]))
    """

    def __init__(
        self,
        lines: SeedLines,
        *,
        label: str = ORDER_CONSISTENCY,
    ) -> None:
        self.lines = lines
        self.label = label

    @classmethod
    def from_frame(
        cls,
        frame: "pd.DataFrame",
        *,
        line: str = "head",
        point: str = "annotator",
        x: str = "error_rate",
        y: str = "order_consistency",
        seed: str = "seed",
        level: float = 0.95,
        **options: Any,
    ) -> Self:
        """Average runs over seeds.

        Parameters
        ----------
        frame : DataFrame
            One row per run, all of one design and budget.
        line, point, x, y, seed : str
            Columns: what a line is; the noise setting, whose runs differ by seed
            alone; the realised error rate, averaged over seeds; the metric; the seed.
        level : float in (0, 1), default=0.95
            Of the t interval over seeds.
        **options
            As for the class: label.

        Returns
        -------
        NoiseSweepDisplay

        Raises
        ------
        InvalidInputError
            If a column is missing, or rows of one line, point and seed are several.
        """
        columns = Columns(line, point, x, y, seed)
        return cls(lines_from_frame(frame, columns, level), **options)

    def plot(self, ax: Any = None) -> Self:
        """Draw one line per head, with a band over seeds.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        NoiseSweepDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax)
        draw_lines(ax, self.lines, line_look)
        ax.set_xlabel("realised error rate (share of labels)")
        ax.set_ylabel(self.label)
        finish(ax, self.lines.note)
        self.ax_, self.figure_ = ax, ax.figure
        return self
