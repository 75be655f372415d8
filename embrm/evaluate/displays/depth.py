"""Order consistency by the depth of the layer that vectors are taken from."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from embrm.evaluate.displays._styles import axes_or_new, finish, line_look
from embrm.evaluate.resampling import Interval


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

    def __init__(
        self,
        intervals: Mapping[tuple[int, str], Interval],
        *,
        n_layers: int,
        baseline: Interval | None = None,
    ) -> None:
        self.intervals = dict(intervals)
        self.n_layers = n_layers
        self.baseline = baseline
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
