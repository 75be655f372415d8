"""A small leaderboard for the tests of tables and pages."""

import pandas as pd
import pytest

from embrm import RewardModel
from embrm.heads import make_head
from embrm.report import make_leaderboard


@pytest.fixture(scope="session")
def preferences():
    """Ratings of three responses to each of twenty prompts, with markup in them."""
    words = {2.0: "right <b>answer</b>", 1.0: "half an answer", 0.0: "nonsense & noise"}
    rows = [
        {
            "prompt": f"<i>question</i> {n}",
            "response": f"{text} {n % 7}",
            "score": score,
        }
        for n in range(20)
        for score, text in words.items()
    ]
    return RewardModel("hashing").read(pd.DataFrame(rows))


@pytest.fixture(scope="session")
def embedded(preferences):
    return RewardModel("hashing:64").embed(preferences.texts)


@pytest.fixture(scope="session")
def board(preferences, embedded):
    """Two heads on three folds."""
    heads = {
        "logistic": make_head("logistic"),
        "linear": make_head("linear", alpha=1.0),
    }
    pairs = preferences.to_pairs(embedded.vectors)
    return make_leaderboard(preferences, pairs, heads, n_splits=3)
