"""Pictures of evaluations, as scikit-learn-like displays that hold plain arrays."""

from embrm.evaluate.displays.best_of_n import BestOfNDisplay
from embrm.evaluate.displays.leaderboard import LeaderboardDisplay
from embrm.evaluate.displays.reliability import ReliabilityDisplay

__all__ = ["BestOfNDisplay", "LeaderboardDisplay", "ReliabilityDisplay"]
