"""Plug-ins for trainers, and a client of the reward server.

All of them take a fitted model, the directory of a saved one, or the URL of a server.
Those that a trainer loads by file or name (`openrlhf`, `swift`, `verl`, `areal`) read
which one from the environment variable EMBRM_REWARD.
"""

from embrm.integrations.remote import RemoteRewardModel
from embrm.integrations.scoring import rerank, rewards_of
from embrm.integrations.trl import RewardJudge, trl_reward, trl_rewards

__all__ = [
    "RemoteRewardModel",
    "RewardJudge",
    "rerank",
    "rewards_of",
    "trl_reward",
    "trl_rewards",
]
