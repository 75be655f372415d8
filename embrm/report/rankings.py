"""Rankings that tell most about a head: where it agrees with the scores, and where not.

Numbers say how often a head is right; texts say on what.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from embrm._typing import FloatArray
from embrm.datasets import Preferences
from embrm.messages import prompt_text


def telling_rankings(
    preferences: Preferences, reward: FloatArray, *, n_each: int = 2
) -> list[dict[str, Any]]:
    """Choose the prompts whose ranking agrees with the scores most and least.

    Parameters
    ----------
    preferences : Preferences
        Whose items have a `score`; without one, nothing is chosen.
    reward : ndarray of shape (n_items,)
        Held-out rewards; NaN where there is none.
    n_each : int, default=2
        How many of either kind.

    Returns
    -------
    list of dict
        With `prompt`, and `responses` from the highest reward down, each with `text`,
        `score` and `reward`.
    """
    if "score" not in preferences.items:
        return []
    items = preferences.items.assign(reward=reward).dropna(subset=["score", "reward"])
    agreement = items.groupby("prompt_id").apply(_agreement).dropna()
    order = agreement.sort_values(kind="stable").index
    n_each = min(n_each, len(order) // 2)
    chosen = [*order[::-1][:n_each], *order[:n_each]]
    return [_ranking(items[items["prompt_id"] == prompt]) for prompt in chosen]


def _agreement(group: pd.DataFrame) -> float:
    if group["score"].nunique() < 2 or group["reward"].nunique() < 2:
        return float("nan")
    tau = float(kendalltau(group["score"], group["reward"]).statistic)
    # Equal taus are common with few responses: the wider spread speaks louder.
    return tau * (1 + 0.01 * float(np.tanh(group["reward"].std())))


def _ranking(group: pd.DataFrame) -> dict[str, Any]:
    ordered = group.sort_values("reward", ascending=False, kind="stable")
    return {
        "prompt": prompt_text(ordered["prompt"].iloc[0]),
        "responses": [
            {
                "text": row["response"],
                "score": f"{row['score']:g}",
                "reward": f"{row['reward']:+.2f}",
            }
            for _, row in ordered.iterrows()
        ],
    }
