"""Intervals drawn: heads from best to worst, and layers of a model by their depth."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import BoolArray, FloatArray
from embrm.evaluate.comparison import compare_heads
from embrm.evaluate.displays._styles import axes_or_new, finish, line_look
from embrm.evaluate.resampling import Interval
from embrm.exceptions import invalid_input


@dataclass(repr=False, eq=False)
class LeaderboardDisplay:
    """One metric of several heads, as horizontal intervals.

    Make one with `from_predictions`, or with `from_intervals` of results at hand; draw
    it with `plot`.

    Parameters
    ----------
    names : list of str
        Heads, in the order of drawing, top to bottom.
    estimate, low, high : ndarray of shape (n_heads,)
    ties_with_best : ndarray of bool of shape (n_heads,), optional
        Which heads do not differ from the best: the others have hollow markers.
    baseline : Interval, optional
        A baseline such as the length baseline: a vertical line.
    level : float in (0, 1), default=0.95
        Confidence level of the intervals.
    label : str, default="order consistency (share of pairs)"
        What is measured, with its unit.
    chance : float, optional
        What guessing gives: a dotted line, and the axis reaches it.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> display = LeaderboardDisplay(
    ...     ["linear", "siamese"],
    ...     np.array([0.70, 0.66]),
    ...     np.array([0.68, 0.64]),
    ...     np.array([0.72, 0.68]),
    ... )
    >>> display.names
    ['linear', 'siamese']
    """

    names: list[str]
    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    _: KW_ONLY
    ties_with_best: BoolArray | None = None
    baseline: Interval | None = None
    level: float = 0.95
    label: str = "order consistency (share of pairs)"
    chance: float | None = None

    @classmethod
    def from_predictions(
        cls,
        deltas: Mapping[str, ArrayLike],
        y: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        *,
        baseline: Interval | None = None,
        **options: Any,
    ) -> Self:
        """Compare the order consistency of heads by their deltas on the same pairs.

        Parameters
        ----------
        deltas, y, groups
            As in `embrm.evaluate.compare_heads`.
        baseline : Interval, optional
            The length baseline's, e.g. `Evaluation.length_baseline`.
        **options
            As for `compare_heads`: level, n_resamples, random_state.

        Returns
        -------
        LeaderboardDisplay
        """
        table = compare_heads(deltas, y, groups, **options)
        return cls(
            [str(name) for name in table.index],
            table["order_consistency"].to_numpy(),
            table["low"].to_numpy(),
            table["high"].to_numpy(),
            ties_with_best=table["ties_with_best"].to_numpy(),
            baseline=baseline,
            level=table.attrs["level"],
        )

    @classmethod
    def from_intervals(
        cls,
        intervals: Mapping[str, Interval],
        *,
        baseline: Interval | None = None,
        label: str = "order consistency (share of pairs)",
        chance: float | None = None,
    ) -> Self:
        """Show results at hand, in the order they are given.

        Parameters
        ----------
        intervals : mapping of name to Interval
        baseline : Interval, optional
            The length baseline's, e.g. `Evaluation.length_baseline`.
        label : str, default="order consistency (share of pairs)"
        chance : float, optional
            What guessing gives.

        Returns
        -------
        LeaderboardDisplay

        Raises
        ------
        InvalidInputError
            If there is no interval, or their levels differ.
        """
        levels = {interval.level for interval in intervals.values()}
        if len(levels) != 1:
            raise invalid_input(
                expected="intervals of one level",
                got=f"{len(intervals)} intervals of {len(levels)} levels",
                fix="evaluate every head with the same level",
            )
        return cls(
            list(intervals),
            np.array([interval.estimate for interval in intervals.values()]),
            np.array([interval.low for interval in intervals.values()]),
            np.array([interval.high for interval in intervals.values()]),
            baseline=baseline,
            level=levels.pop(),
            label=label,
            chance=chance,
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw one line per head, the first at the top.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        LeaderboardDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax, (6.4, 1.4 + 0.35 * len(self.names)))
        rows = np.arange(len(self.names))
        ax.hlines(rows, self.low, self.high, color="0.35", linewidth=2)
        self._draw_markers(ax, rows)
        if self.baseline is not None:
            ax.axvline(
                self.baseline.estimate, color="0.5", linestyle="--", label=_BASELINE
            )
        if self.chance is not None:
            ax.axvline(self.chance, color="0.5", linestyle=":", label=_CHANCE)
        ax.set_yticks(rows, [_short(name) for name in self.names])
        ax.set_ylim(len(self.names) - 0.5, -0.5)
        ax.set_xlabel(f"{self.label}, {self.level:.0%} interval")
        ax.grid(axis="x", color="0.9")
        ax.set_axisbelow(True)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        if ax.get_legend_handles_labels()[0]:
            # To the left there is room above the names; to the right there is none.
            ax.legend(
                loc="lower right",
                bbox_to_anchor=(1, 1),
                ncols=3,
                frameon=False,
                handlelength=1.2,
                handletextpad=0.5,
                columnspacing=1.0,
            )
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_markers(self, ax: Any, rows: Any) -> None:
        """Draw the estimates: filled, or hollow where worse than the best."""
        if self.ties_with_best is None:
            ax.scatter(self.estimate, rows, s=45, color="black", zorder=3)
            return
        for shown, face, words in (
            (self.ties_with_best, "black", "best, or tied with it"),
            (~self.ties_with_best, "white", "worse than the best"),
        ):
            if shown.any():
                ax.scatter(
                    self.estimate[shown],
                    rows[shown],
                    s=45,
                    facecolor=face,
                    edgecolor="black",
                    zorder=3,
                    label=words,
                )


def _short(name: str) -> str:
    """Cut the middle of a name that would leave no room for the picture."""
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}\u2026{name[-half:]}"


_LONGEST_NAME = 32
_BASELINE = "length baseline"
_CHANCE = "chance"


@dataclass(repr=False, eq=False)
class DepthDisplay:
    """One metric by layer, a line with intervals for each pooling.

    Parameters
    ----------
    intervals : mapping of (layer, pooling) to Interval
        Layers from 0, the embedding of the tokens, to `n_layers`.
    n_layers : int
        Depth of the model.
    baseline : Interval, optional
        Of what knows length alone: a horizontal line.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from embrm.evaluate.resampling import Interval
    >>> display = DepthDisplay(
    ...     {(20, "mean"): Interval(0.78, 0.75, 0.81, 0.95, 160, "prompts")},
    ...     n_layers=30,
    ... )
    >>> display.poolings
    ['mean']
    """

    intervals: Mapping[tuple[int, str], Interval]
    _: KW_ONLY
    n_layers: int
    baseline: Interval | None = None

    def __post_init__(self) -> None:
        self.intervals = dict(self.intervals)
        self.poolings = list(dict.fromkeys(pooling for _, pooling in self.intervals))

    def plot(self, ax: Any = None) -> Self:
        """Draw the lines.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        DepthDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax)
        shift = 0.012 * self.n_layers
        for position, pooling in enumerate(self.poolings):
            layers = sorted(n for n, name in self.intervals if name == pooling)
            chosen = [self.intervals[layer, pooling] for layer in layers]
            middle = np.array([interval.estimate for interval in chosen])
            error = np.array(
                [[i.estimate - i.low, i.high - i.estimate] for i in chosen]
            )
            # Shifted, so that intervals of one layer do not hide each other.
            at = np.array(layers) + shift * (position - (len(self.poolings) - 1) / 2)
            look = line_look(position)
            ax.errorbar(at, middle, yerr=error.T, label=pooling, capsize=2, **look)
        if self.baseline is not None:
            ax.axhline(
                self.baseline.estimate, color="0.5", linestyle=":", label="length alone"
            )
            ax.set_ylim(bottom=min(ax.get_ylim()[0], self.baseline.estimate - 0.01))
        ax.set_xlabel(f"layer (of {self.n_layers}; the last one after the final norm)")
        level = next(iter(self.intervals.values())).level
        words = f"share of pairs, {level:.0%} interval"
        ax.set_ylabel(f"order consistency, held out\n({words})")
        finish(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self
