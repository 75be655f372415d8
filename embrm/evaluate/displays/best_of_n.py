"""Best-of-n: what picking the highest reward of n responses is worth, head by head."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from embrm._optional import import_optional
from embrm.evaluate.best_of_n import BestOfNCurve, best_of_n_curve
from embrm.exceptions import InvalidInputError, three_parts

# Told apart without colour: a line style and a marker for each head in turn.
_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
_MARKERS = "osD^vP"


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
            raise InvalidInputError(
                three_parts(
                    expected="the curve of at least one head",
                    got="none",
                    cure="pass curves={'head': best_of_n_curve(...)}",
                )
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
        """Draw one line per head; grey lines for picking by gold and at random.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        BestOfNDisplay
            Itself, with `ax_` and `figure_` set.
        """
        if ax is None:
            plt = import_optional("matplotlib.pyplot", extra="plot")
            _, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
        for position, (name, curve) in enumerate(self.curves.items()):
            ax.plot(
                curve.n,
                curve.mean,
                label=name,
                marker=_MARKERS[position % len(_MARKERS)],
                linestyle=_STYLES[position % len(_STYLES)],
                markersize=5,
                markevery=max(1, len(curve.n) // 8),
            )
        self._draw_bounds(ax)
        longest = max(int(curve.n[-1]) for curve in self.curves.values())
        ax.set_xticks(np.unique(np.linspace(1, longest, 8).astype(int)))
        ax.set_xlabel("n (responses to choose from)")
        ax.set_ylabel(f"expected {self.label} of the pick")
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
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
