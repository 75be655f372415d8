"""Wrappers around any head: ensembles, calibration, centring, length."""

from embrm.heads.wrappers.calibrated import CalibratedReward
from embrm.heads.wrappers.centered import CenteredReward
from embrm.heads.wrappers.ensemble import RewardEnsemble
from embrm.heads.wrappers.length_debiased import LengthDebiased

__all__ = ["CalibratedReward", "CenteredReward", "LengthDebiased", "RewardEnsemble"]
