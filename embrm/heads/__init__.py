"""Heads: rewards fitted on vectors, interchangeable, in the manner of scikit-learn."""

from embrm.heads.base import BaseHead, RewardHead, order_consistency
from embrm.heads.boosted.binned_items import BinnedItems, bin_items
from embrm.heads.boosted.bradley_terry import BoostedBradleyTerry
from embrm.heads.classification import ClassificationReward
from embrm.heads.comparisons import Comparisons, make_comparisons
from embrm.heads.cyclic.general_preference import (
    GeneralPreference,
    cycle_rate,
    cyclic_triples,
)
from embrm.heads.linear.bradley_terry import LinearBradleyTerry
from embrm.heads.rated.multi_objective import MultiObjectiveReward
from embrm.heads.rated.regression import RegressionReward
from embrm.heads.rated.two_stage import TwoStageReward
from embrm.heads.registry import (
    HEADS,
    KnownHead,
    describe_heads,
    head_from_spec,
    head_spec,
    known_heads,
    make_head,
)
from embrm.heads.siamese.bradley_terry import SiameseBradleyTerry
from embrm.heads.state import (
    HeadState,
    Stored,
    StoredArray,
    StoredNumbers,
    StoredPart,
    StoredValue,
)
from embrm.heads.unpaired.item_bradley_terry import ItemBradleyTerry
from embrm.heads.unpaired.kto import KTOReward
from embrm.heads.unpaired.plackett_luce import PlackettLuce
from embrm.heads.wrappers.calibrated import CalibratedReward
from embrm.heads.wrappers.centered import CenteredReward
from embrm.heads.wrappers.ensemble import RewardEnsemble
from embrm.heads.wrappers.length_debiased import LengthDebiased
from embrm.heads.wrappers.stacked import StackedReward

__all__ = [
    "HEADS",
    "BaseHead",
    "BinnedItems",
    "BoostedBradleyTerry",
    "CalibratedReward",
    "CenteredReward",
    "ClassificationReward",
    "Comparisons",
    "GeneralPreference",
    "HeadState",
    "ItemBradleyTerry",
    "KTOReward",
    "KnownHead",
    "LengthDebiased",
    "LinearBradleyTerry",
    "MultiObjectiveReward",
    "PlackettLuce",
    "RegressionReward",
    "RewardEnsemble",
    "RewardHead",
    "SiameseBradleyTerry",
    "StackedReward",
    "Stored",
    "StoredArray",
    "StoredNumbers",
    "StoredPart",
    "StoredValue",
    "TwoStageReward",
    "bin_items",
    "cycle_rate",
    "cyclic_triples",
    "describe_heads",
    "head_from_spec",
    "head_spec",
    "known_heads",
    "make_comparisons",
    "make_head",
    "order_consistency",
]
