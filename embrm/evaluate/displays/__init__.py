"""Pictures of evaluations, as scikit-learn-like displays that hold plain arrays."""

from embrm.evaluate.displays.best_of_n import BestOfNDisplay
from embrm.evaluate.displays.depth import DepthDisplay
from embrm.evaluate.displays.leaderboard import LeaderboardDisplay
from embrm.evaluate.displays.learning_curve import LearningCurveDisplay
from embrm.evaluate.displays.length_bias import LengthBiasDisplay
from embrm.evaluate.displays.noise_sweep import NoiseSweepDisplay
from embrm.evaluate.displays.overoptimisation import OveroptimisationDisplay
from embrm.evaluate.displays.pairing import PairingDisplay
from embrm.evaluate.displays.reliability import ReliabilityDisplay

__all__ = [
    "BestOfNDisplay",
    "DepthDisplay",
    "LeaderboardDisplay",
    "LearningCurveDisplay",
    "LengthBiasDisplay",
    "NoiseSweepDisplay",
    "OveroptimisationDisplay",
    "PairingDisplay",
    "ReliabilityDisplay",
]
