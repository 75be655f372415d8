"""Pictures of evaluations, as scikit-learn-like displays that hold plain arrays."""

from typing import Any

from embrm.evaluate.displays.best_of_n import BestOfNDisplay, OveroptimisationDisplay
from embrm.evaluate.displays.experiment import FORMER, ExperimentDisplay, former_display
from embrm.evaluate.displays.leaderboard import DepthDisplay, LeaderboardDisplay
from embrm.evaluate.displays.length_bias import LengthBiasDisplay
from embrm.evaluate.displays.reliability import ReliabilityDisplay, RiskCoverageDisplay

__all__ = [
    "BestOfNDisplay",
    "DepthDisplay",
    "ExperimentDisplay",
    "LeaderboardDisplay",
    "LengthBiasDisplay",
    "OveroptimisationDisplay",
    "ReliabilityDisplay",
    "RiskCoverageDisplay",
]


def __getattr__(name: str) -> Any:
    """Give the displays of former names, with a warning."""
    if name in FORMER:
        return former_display(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
