"""Error rate against the share of pairs that a head decides."""

from typing import Any, Self

from numpy.typing import ArrayLike

from embrm.evaluate.displays._styles import axes_or_new
from embrm.evaluate.uncertainty import RiskCoverage, risk_coverage


class RiskCoverageDisplay:
    """What abstaining from the least confident pairs is worth.

    Make one with `from_predictions`, draw it with `plot`.

    Parameters
    ----------
    curve : RiskCoverage

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> display = RiskCoverageDisplay.from_predictions([3.0, 2.0, -0.5, 1.0])
    >>> display.curve.risk[-1]
    np.float64(0.25)
    """

    def __init__(self, curve: RiskCoverage) -> None:
        self.curve = curve

    @classmethod
    def from_predictions(
        cls,
        delta: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Compute the curve from deltas and labels; see `risk_coverage`."""
        return cls(risk_coverage(delta, y, sample_weight=sample_weight))

    def plot(self, ax: Any = None) -> Self:
        """Draw the curve, and the error rate of deciding every pair.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        RiskCoverageDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax)
        # The first few pairs say little, and swing widely.
        shown = self.curve.coverage >= min(0.05, self.curve.coverage[-1])
        ax.plot(self.curve.coverage[shown], self.curve.risk[shown], color="black")
        ax.axhline(self.curve.risk[-1], color="0.5", linestyle="--")
        ax.annotate(
            "all pairs decided",
            # At the left, where the curve is lower: at the right they meet.
            (0, self.curve.risk[-1]),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=8,
            color="0.35",
        )
        ax.axhline(0.5, color="0.5", linestyle=":")
        ax.annotate(
            "chance",
            (1, 0.5),
            xytext=(0, -4),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
            color="0.35",
        )
        ax.set(
            xlabel="share of pairs that are decided, most confident first",
            ylabel="error rate",
            xlim=(0, 1.02),
            ylim=(0, 0.55),
        )
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
