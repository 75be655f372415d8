"""Heads: rewards fitted on vectors, interchangeable, in the manner of scikit-learn."""

from embrm.heads.base import RewardHead
from embrm.heads.binned_items import BinnedItems, bin_items
from embrm.heads.boosted import BoostedBradleyTerry
from embrm.heads.calibrated import CalibratedReward
from embrm.heads.centered import CenteredReward
from embrm.heads.classification import ClassificationReward
from embrm.heads.cycles import cycle_rate
from embrm.heads.ensemble import RewardEnsemble
from embrm.heads.general_preference import GeneralPreference
from embrm.heads.item_bradley_terry import ItemBradleyTerry
from embrm.heads.kto import KTOReward
from embrm.heads.length_debiased import LengthDebiased
from embrm.heads.linear import LinearBradleyTerry
from embrm.heads.multi_objective import MultiObjectiveReward
from embrm.heads.order import order_consistency
from embrm.heads.plackett_luce import PlackettLuce
from embrm.heads.registry import head_from_spec, head_spec, known_heads, make_head
from embrm.heads.regression import RegressionReward
from embrm.heads.siamese import SiameseBradleyTerry
from embrm.heads.two_stage import TwoStageReward

__all__ = [
    "BinnedItems",
    "BoostedBradleyTerry",
    "CalibratedReward",
    "CenteredReward",
    "ClassificationReward",
    "GeneralPreference",
    "ItemBradleyTerry",
    "KTOReward",
    "LengthDebiased",
    "LinearBradleyTerry",
    "MultiObjectiveReward",
    "PlackettLuce",
    "RegressionReward",
    "RewardEnsemble",
    "RewardHead",
    "SiameseBradleyTerry",
    "TwoStageReward",
    "bin_items",
    "cycle_rate",
    "head_from_spec",
    "head_spec",
    "known_heads",
    "make_head",
    "order_consistency",
]
