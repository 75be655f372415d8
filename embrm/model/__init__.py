"""RewardModel: text frames in, rewards out; encoder, cache and head in one object."""

from embrm.model.reward_model import RewardModel

__all__ = ["RewardModel"]
