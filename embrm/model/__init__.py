"""RewardModel: text frames in, rewards out; encoder, cache and head in one object."""

from embrm.model.reward_model import RewardModel
from embrm.model.training_data import heads_that_fit, training_data

__all__ = [
    "RewardModel",
    "heads_that_fit",
    "training_data",
]
