"""Heads: estimators that turn comparisons of items into a reward."""

from embrm.heads.base import RewardHead
from embrm.heads.classification import ClassificationReward
from embrm.heads.linear import LinearBradleyTerry
from embrm.heads.registry import head_from_spec, head_spec, known_heads, make_head
from embrm.heads.siamese import SiameseBradleyTerry

__all__ = [
    "ClassificationReward",
    "LinearBradleyTerry",
    "RewardHead",
    "SiameseBradleyTerry",
    "head_from_spec",
    "head_spec",
    "known_heads",
    "make_head",
]
