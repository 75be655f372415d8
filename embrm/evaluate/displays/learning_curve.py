"""Learning curve: what more labels are worth to each head."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from embrm._optional import import_optional
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


class LearningCurveDisplay:
    """A metric against the number of labels, on a log axis, a line per head.

    Make one with `from_frame`, draw it with `plot`.

    Parameters
    ----------
    lines : SeedLines
        With x above zero.
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
    ...         "budget": [500, 500, 5000, 5000],
    ...         "seed": [0, 1, 0, 1],
    ...         "order_consistency": [0.62, 0.6, 0.7, 0.71],
    ...     }
    ... )
    >>> LearningCurveDisplay.from_frame(runs).lines.lines[0].mean.round(3)
    array([0.61 , 0.705])
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
        x: str = "budget",
        y: str = "order_consistency",
        seed: str = "seed",
        level: float = 0.95,
        **options: Any,
    ) -> Self:
        """Average runs over seeds.

        Parameters
        ----------
        frame : DataFrame
            One row per run, all of one design and annotator.
        line, x, y, seed : str
            Columns: what a line is; the number of labels; the metric; the seed.
        level : float in (0, 1), default=0.95
            Of the t interval over seeds.
        **options
            As for the class: label.

        Returns
        -------
        LearningCurveDisplay

        Raises
        ------
        InvalidInputError
            If a column is missing, or rows of one line, budget and seed are several.
        """
        columns = Columns(line, x, x, y, seed)
        return cls(lines_from_frame(frame, columns, level), **options)

    def plot(self, ax: Any = None) -> Self:
        """Draw one line per head, with a band over seeds.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        LearningCurveDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax)
        draw_lines(ax, self.lines, line_look)
        ax.set_xscale("log")
        budgets = np.unique(np.concatenate([line.x for line in self.lines.lines]))
        if len(budgets) <= _MOST_TICKS:
            ticker = import_optional("matplotlib.ticker", extra="plot")
            ax.set_xticks(budgets, [f"{budget:,.0f}" for budget in budgets])
            ax.xaxis.set_minor_locator(ticker.NullLocator())
        ax.set_xlabel("budget (annotated pairs, log scale)")
        ax.set_ylabel(self.label)
        finish(ax, self.lines.note)
        self.ax_, self.figure_ = ax, ax.figure
        return self


# More budgets than these would run into each other at half width.
_MOST_TICKS = 5
