"""Wrappers around any head: ensembles, stacks, calibration, centring, length."""

from embrm.heads.wrappers.calibrated import CalibratedReward
from embrm.heads.wrappers.centered import CenteredReward
from embrm.heads.wrappers.ensemble import RewardEnsemble
from embrm.heads.wrappers.length_debiased import LengthDebiased
from embrm.heads.wrappers.stacked import StackedReward

__all__ = [
    "CalibratedReward",
    "CenteredReward",
    "LengthDebiased",
    "RewardEnsemble",
    "StackedReward",
]
