"""Heads for rated items: regression, several attributes, two stages."""

from embrm.heads.rated.multi_objective import MultiObjectiveReward
from embrm.heads.rated.regression import RegressionReward
from embrm.heads.rated.two_stage import TwoStageReward

__all__ = ["MultiObjectiveReward", "RegressionReward", "TwoStageReward"]
