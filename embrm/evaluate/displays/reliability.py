"""Accuracy against confidence: the reliability diagram, and risk by coverage."""

from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray
from embrm.evaluate.calibration import reliability_curve
from embrm.evaluate.displays._styles import axes_or_new
from embrm.evaluate.uncertainty import RiskCoverage, risk_coverage


@dataclass(repr=False, eq=False)
class ReliabilityDisplay:
    """Accuracy of a head against its confidence in the side it prefers.

    Make one with `from_predictions` or `from_estimator`, draw it with `plot`.

    Parameters
    ----------
    confidence : ndarray of shape (n_bins,), in [0.5, 1]
    accuracy : ndarray of shape (n_bins,), in [0, 1]
    count : ndarray of shape (n_bins,)
        Sum of weights of each bin: marker area shows it.
    name : str, optional
        Name of the head, for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    line_ : matplotlib Line2D
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> display = ReliabilityDisplay(
    ...     np.array([0.6, 0.9]), np.array([0.55, 0.8]), np.array([50, 150])
    ... )
    >>> round(display.calibration_error, 4)
    0.0875
    """

    confidence: FloatArray
    accuracy: FloatArray
    count: FloatArray
    _: KW_ONLY
    name: str | None = None

    @classmethod
    def from_predictions(
        cls,
        delta: ArrayLike,
        y: ArrayLike | None = None,
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
    ) -> Self:
        """Compute the curve from deltas and labels.

        Parameters
        ----------
        delta, y, n_bins, strategy, sample_weight
            As in `embrm.evaluate.reliability_curve`.
        name : str, optional
            Name of the head, for the legend.

        Returns
        -------
        ReliabilityDisplay
        """
        curve = reliability_curve(
            delta, y, n_bins=n_bins, strategy=strategy, sample_weight=sample_weight
        )
        return cls(curve.confidence, curve.accuracy, curve.count, name=name)

    @classmethod
    def from_estimator(
        cls, head: Any, pairs: Any, y: ArrayLike | None = None, **options: Any
    ) -> Self:
        """Compute the curve of a fitted head on pairs.

        Parameters
        ----------
        head : fitted RewardHead
        pairs : Pairs
        y : array-like of shape (n_pairs,) in [0, 1], optional
        **options
            As for `from_predictions`; `name` is by default the head's class.

        Returns
        -------
        ReliabilityDisplay
        """
        options.setdefault("name", type(head).__name__)
        return cls.from_predictions(head.decision_function(pairs), y, **options)

    @property
    def calibration_error(self) -> float:
        """Mean gap of accuracy and confidence over the bins, by weight."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.average(gaps, weights=self.count))

    def plot(self, ax: Any = None) -> Self:
        """Draw the curve over the diagonal of perfect calibration.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure; the same axes may take several heads.

        Returns
        -------
        ReliabilityDisplay
            Itself, with `ax_`, `line_` and `figure_` set.
        """
        ax = axes_or_new(ax, (4.8, 4.8))
        if not any(line.get_label() == _PERFECT for line in ax.lines):
            ax.plot([0.5, 1], [0.5, 1], color="0.6", linestyle="--", label=_PERFECT)
        # Heads differ by marker and line, and not by colour alone: legible in grey.
        marker, line_style, colour = _STYLES[(len(ax.lines) - 1) % len(_STYLES)]
        error = f"calibration error {self.calibration_error:.3f}"
        (self.line_,) = ax.plot(
            self.confidence,
            self.accuracy,
            linestyle=line_style,
            marker=marker,
            markersize=5,
            color=colour,
            label=error if self.name is None else f"{self.name}: {error}",
        )
        area = 25 + 125 * self.count / self.count.max()
        ax.scatter(self.confidence, self.accuracy, s=area, color=colour, marker=marker)
        if len(ax.lines) == 2:  # numbers of several heads would cover each other
            self._write_counts(ax)
        ax.set(
            xlabel="confidence in the preferred side (probability)",
            ylabel="accuracy (share of pairs)",
            xlim=(0.48, 1.02),
        )
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _write_counts(self, ax: Any) -> None:
        """Write the number of pairs beside each dot, away from the diagonal."""
        for x, y, n in zip(self.confidence, self.accuracy, self.count, strict=True):
            above = y >= x
            ax.annotate(
                f"{n:,.0f}",
                (x, y),
                xytext=(0, 9 if above else -9),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                fontsize=8,
                color="0.35",
            )


_PERFECT = "perfectly calibrated"
_STYLES = [
    ("o", "-", "black"),
    ("s", "-.", "0.35"),
    ("^", ":", "0.5"),
    ("D", (0, (5, 1)), "0.65"),
]


@dataclass(repr=False, eq=False)
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

    curve: RiskCoverage

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
