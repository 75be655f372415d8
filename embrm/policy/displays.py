"""Displays: gold against divergence, and what training does to what was chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embrm._typing import FloatArray
from embrm._validation import check_choice
from embrm.evaluate.displays._styles import axes_or_new, draw_band, finish, line_look
from embrm.evaluate.resampling import Band
from embrm.exceptions import invalid_input
from embrm.policy.objectives import ParetoFront
from embrm.policy.sweeps import PolicySweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from embrm.policy.loops import AlignmentRun

MEASURES = {
    "gold": "expected gold",
    "win_rate": "win rate over the base policy",
    "reward": "expected reward (nats)",
    "length": "expected length",
}
"""What a sweep knows, and its label."""


@dataclass
class PolicyDisplay:
    """One measure of several sweeps against divergence.

    Parameters
    ----------
    sweeps : sequence of PolicySweep
    measure : {"gold", "win_rate", "reward", "length"}, default="gold"
        Length shows a length bias, gold beside reward over-optimisation.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.

    Examples
    --------
    >>> from embrm.policy.sweeps import tilt_sweep
    >>> sweep = tilt_sweep([0.0, 1.0], ["a", "a"], [1.0, 0.1], gold=[1.0, 0.0])
    >>> PolicyDisplay([sweep]).plot().ax_.get_ylabel()
    'expected gold'
    """

    sweeps: Sequence[PolicySweep]
    measure: str = "gold"
    ax_: "Axes | None" = None

    def plot(self, ax: "Axes | None" = None) -> "PolicyDisplay":
        """Draw lines with bands, by divergence.

        Raises
        ------
        InvalidInputError
            If a sweep does not know the measure.
        """
        check_choice(self.measure, "measure", tuple(MEASURES))
        axes: Axes = axes_or_new(ax)
        for position, sweep in enumerate(self.sweeps):
            band: Band | None = getattr(sweep, self.measure)
            if band is None:
                raise invalid_input(
                    f"sweeps with {self.measure}",
                    f"{sweep.name!r} without",
                    f"pass {self.measure}= to the sweep",
                )
            order = np.argsort(sweep.kl.mean)
            kl = sweep.kl.mean[order]
            given: Any = {"position": position, "label": sweep.name}
            bounds = band.low[order], band.high[order]
            draw_band(axes, kl, band.mean[order], bounds, **given)
        axes.set_xlabel("divergence from the base policy (nats)")
        axes.set_ylabel(MEASURES[self.measure])
        finish(axes)
        self.ax_ = axes
        return self


@dataclass
class AlignmentDisplay:
    """What rounds of alignment did: gold, and log pi / pi0 of the data.

    Parameters
    ----------
    runs : dict of str to AlignmentRun
        By what they are called.
    measure : {"gold", "win_rate", "kl", "coverage"}, default="gold"
        `"coverage"` draws the mean of log pi / pi0 of chosen (solid) and rejected
        (dashed) responses: below zero, what was chosen has become less likely.

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.

    Examples
    --------
    >>> from embrm import CandidatePool
    >>> from embrm.policy.loops import run_case
    >>> from embrm.simulate import BradleyTerryAnnotator
    >>> items = np.random.default_rng(0).normal(size=(400, 4))
    >>> pool = CandidatePool(items, np.arange(400) % 50, gold=items[:, 0])
    >>> run = run_case(pool, "offline-dpo", BradleyTerryAnnotator(), 200)
    >>> AlignmentDisplay({"DPO": run}, measure="kl").plot().ax_.get_ylabel()
    'divergence from the base policy (nats)'
    """

    runs: "dict[str, AlignmentRun]"
    measure: str = "gold"
    ax_: "Axes | None" = None

    def plot(self, ax: "Axes | None" = None) -> "AlignmentDisplay":
        """Draw a line for each run, by labels used; a run of one round is a point."""
        check_choice(self.measure, "measure", ("gold", "win_rate", "kl", "coverage"))
        axes: Axes = axes_or_new(ax)
        for position, (name, run) in enumerate(self.runs.items()):
            look = line_look(position)
            rounds = [each["round"] for each in run.rounds]

            def column(of: str, run: "AlignmentRun" = run) -> list[float]:
                return [each[of] for each in run.rounds]

            if self.measure == "coverage":
                look |= {"marker": "o", "linestyle": "-"}
                axes.plot(rounds, column("chosen"), label=name, **look)
                axes.plot(
                    rounds, column("rejected"), "x--", color=look["color"], alpha=0.6
                )
            else:
                axes.plot(rounds, column(self.measure), label=name, **look)
        if self.measure == "coverage":
            axes.axhline(0, color="0.6", linewidth=0.8)
            axes.set_yscale("symlog", linthresh=2.0)
        labels = {
            "coverage": "log pi / pi0 of chosen (o) and rejected (x)",
            "kl": "divergence from the base policy (nats)",
            **MEASURES,
        }
        axes.set_xlabel("round")
        axes.set_ylabel(labels[self.measure])
        finish(axes)
        self.ax_ = axes
        return self


@dataclass
class ParetoDisplay:
    """Two objectives of policies: the front, and points to compare with it.

    Parameters
    ----------
    front : ParetoFront
    points : dict of str to (float, float), optional
        E.g. the robust policy, users, or the gate of ArmoRM.
    labels : (str, str), default=("objective 1", "objective 2")

    Attributes
    ----------
    ax_ : matplotlib Axes
        After `plot`.

    Examples
    --------
    >>> from embrm.policy.objectives import pareto_front
    >>> front = pareto_front([[1, 0], [0, 1]], ["a", "a"], [[1, 0], [0, 1]])
    >>> ParetoDisplay(front, {"robust": (0.5, 0.5)}).plot().ax_.get_xlabel()
    'objective 1'
    """

    front: ParetoFront
    points: dict[str, tuple[float, float]] | None = None
    labels: tuple[str, str] = ("objective 1", "objective 2")
    ax_: "Axes | None" = None

    def plot(self, ax: "Axes | None" = None) -> "ParetoDisplay":
        """Draw the front as a line in order of its users, and the points."""
        axes: Axes = axes_or_new(ax)
        values: FloatArray = self.front.value
        look = line_look(0)
        axes.plot(values[:, 0], values[:, 1], label="conditioned policies", **look)
        for position, (name, (x, y)) in enumerate((self.points or {}).items(), start=1):
            look = line_look(position) | {"linestyle": "none", "markersize": 9}
            axes.plot([x], [y], label=name, **look)
        axes.set_xlabel(self.labels[0])
        axes.set_ylabel(self.labels[1])
        finish(axes)
        self.ax_ = axes
        return self
