"""Best-of-n: what picking the highest reward of n responses is worth, head by head."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from embrm._validation import invalid_input
from embrm.evaluate.best_of_n import BestOfNCurve, best_of_n_curve
from embrm.evaluate.displays.styles import axes_or_new, finish, line_look


class BestOfNDisplay:
    """Expected gold of the best of n for several heads, between chance and the best.

    Parameters
    ----------
    curves : mapping of str to BestOfNCurve
        Heads, in the order of the legend.
    ceiling : BestOfNCurve, optional
        The curve of picking by gold itself.
    label : str, default="gold"
        What the picks are measured in, with its unit.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> display = BestOfNDisplay.from_predictions(
    ...     gold=[0, 1, 2, 0, 1, 2],
    ...     rewards={"right": [0, 1, 2, 0, 1, 2]},
    ...     prompt_ids=[0, 0, 0, 1, 1, 1],
    ... )
    >>> display.curves["right"].mean.round(3).tolist()
    [1.0, 1.667, 2.0]
    """

    def __init__(
        self,
        curves: Mapping[str, BestOfNCurve],
        ceiling: BestOfNCurve | None = None,
        *,
        label: str = "gold",
    ) -> None:
        if not curves:
            raise invalid_input(
                expected="the curve of at least one head",
                got="none",
                cure="pass curves={'head': best_of_n_curve(...)}",
            )
        self.curves = dict(curves)
        self.ceiling = ceiling
        self.label = label

    @classmethod
    def from_predictions(
        cls,
        gold: ArrayLike,
        rewards: Mapping[str, ArrayLike],
        prompt_ids: ArrayLike,
        *,
        label: str = "gold",
    ) -> Self:
        """Compute the curves of heads by their rewards of the same items.

        Parameters
        ----------
        gold : array-like of shape (n_items,)
        rewards : mapping of str to array-like of shape (n_items,)
        prompt_ids : array-like of shape (n_items,)
        label : str, default="gold"

        Returns
        -------
        BestOfNDisplay
        """
        curves = {
            name: best_of_n_curve(gold, reward, prompt_ids)
            for name, reward in rewards.items()
        }
        return cls(curves, best_of_n_curve(gold, gold, prompt_ids), label=label)

    def plot(self, ax: Any = None) -> Self:
        """Draw one line per head, its band over prompts, and grey lines as bounds.

        The bounds are picking by gold itself, and at random.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        BestOfNDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax)
        for position, (name, curve) in enumerate(self.curves.items()):
            look = line_look(position)
            every = max(1, len(curve.n) // 8)
            ax.plot(curve.n, curve.mean, label=name, markevery=every, **look)
            ax.fill_between(
                curve.n, curve.low, curve.high, color=look["color"], alpha=0.15, lw=0
            )
        self._draw_bounds(ax)
        longest = max(int(curve.n[-1]) for curve in self.curves.values())
        ax.set_xticks(np.unique(np.linspace(1, longest, 8).astype(int)))
        ax.set_xlabel("n (responses to choose from)")
        ax.set_ylabel(f"expected {self.label} of the pick")
        level = next(iter(self.curves.values())).level
        finish(ax, f"{level:.0%} interval over prompts")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_bounds(self, ax: Any) -> None:
        chance = next(iter(self.curves.values())).mean[0]
        ax.axhline(chance, color="0.6", linestyle="--", linewidth=1, label="at random")
        if self.ceiling is not None:
            ax.plot(
                self.ceiling.n,
                self.ceiling.mean,
                color="0.6",
                linewidth=1,
                label=f"by {self.label} itself",
            )
