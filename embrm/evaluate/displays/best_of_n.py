"""Gold of the best of n, and of stronger optimisation."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from embrm.evaluate.best_of_n import BestOfNCurve, best_of_n_curve
from embrm.evaluate.displays._styles import axes_or_new, draw_band, finish
from embrm.evaluate.overoptimisation import (
    OveroptimisationCurve,
    overoptimisation_curve,
)
from embrm.evaluate.overoptimisation_fit import (
    OveroptimisationFit,
    fit_overoptimisation,
)
from embrm.exceptions import invalid_input


@dataclass(repr=False, eq=False)
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

    curves: Mapping[str, BestOfNCurve]
    ceiling: BestOfNCurve | None = None
    _: KW_ONLY
    label: str = "gold"

    def __post_init__(self) -> None:
        if not self.curves:
            raise invalid_input(
                expected="the curve of at least one head",
                got="none",
                fix="pass curves={'head': best_of_n_curve(...)}",
            )
        self.curves = dict(self.curves)

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
            every = max(1, len(curve.n) // 8)
            given: Any = {"position": position, "label": name, "markevery": every}
            draw_band(ax, curve.n, curve.mean, (curve.low, curve.high), **given)
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


@dataclass(repr=False, eq=False)
class OveroptimisationDisplay:
    """Gains in gold and proxy against divergence, with the fitted form and its peak.

    Parameters
    ----------
    curve : OveroptimisationCurve
    fit : OveroptimisationFit, optional
        A form fitted to the curve.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> gold = np.tile([0.0, 1.0, 2.0, 3.0, 1.0, -1.0], 2)
    >>> display = OveroptimisationDisplay.from_predictions(
    ...     gold, np.tile(np.arange(6.0), 2), np.repeat(["a", "b"], 6)
    ... )
    >>> display.curve.strength.tolist(), display.fit.form
    ([1, 2, 3, 4, 5, 6], 'best_of_n')
    """

    curve: OveroptimisationCurve
    fit: OveroptimisationFit | None = None

    @classmethod
    def from_predictions(
        cls,
        gold: ArrayLike,
        reward: ArrayLike,
        prompt_ids: ArrayLike,
        **options: Any,
    ) -> Self:
        """Compute the curve of a reward and fit the form of its policy.

        Parameters
        ----------
        gold, reward, prompt_ids : array-like of shape (n_items,)
        **options
            As for `embrm.evaluate.overoptimisation_curve`.

        Returns
        -------
        OveroptimisationDisplay
        """
        curve = overoptimisation_curve(gold, reward, prompt_ids, **options)
        return cls(curve, fit_overoptimisation(curve))

    def plot(self, ax: Any = None) -> Self:
        """Draw gold and proxy, each in standard deviations within prompts.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        OveroptimisationDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax)
        curve = self.curve
        for position, (name, band, unit) in enumerate(
            (
                ("gold", curve.gold, curve.gold_std),
                ("proxy", curve.proxy, curve.reward_std),
            )
        ):
            every = max(1, len(curve.kl) // 8)
            given: Any = {"position": position, "label": name, "markevery": every}
            bounds = band.low / unit, band.high / unit
            draw_band(ax, curve.kl, band.mean / unit, bounds, **given)
        if self.fit is not None:
            self._draw_fit(ax, self.fit)
        ax.set_xlabel("divergence from the reference (nats)")
        ax.set_ylabel("gain over a random response\n(standard deviations)")
        finish(ax, f"{curve.level:.0%} interval over {curve.n_prompts} prompts")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_fit(self, ax: Any, fit: OveroptimisationFit) -> None:
        """Draw the fitted form of gold, and its peak where it was measured."""
        kl = np.linspace(0, fit.largest_kl, 200)
        form = {
            "best_of_n": r"$d(\alpha - \beta d)$",
            "rl": r"$d(\alpha - \beta \log d)$",
        }[fit.form]
        fitted = fit.predict(kl) / self.curve.gold_std
        ax.plot(kl, fitted, color="0.5", linewidth=1, label=f"gold as {form}")
        if fit.peak_kl.estimate <= fit.largest_kl:
            height = fit.peak_gain.estimate / self.curve.gold_std
            words = f"its peak, {fit.peak_kl.estimate:.1f} nats"
            ax.plot(
                [fit.peak_kl.estimate],
                [height],
                linestyle="none",
                marker="*",
                markersize=11,
                color="0.5",
                label=words,
            )
