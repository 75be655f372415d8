"""PPE: human preference and correctness."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from embrm.evaluate.suites import score_suite
from embrm.exceptions import InvalidInputError


def test_ties_of_people_are_left_out_and_ties_of_rewards_wrong(rewards):
    """Accuracy over pairs with a winner."""
    rows = pd.DataFrame(
        {"question_id": [1, 2, 3], "winner": ["model_a", "model_b", "tie"]}
    )
    scores = {
        1: {"response_1": 1.0, "response_2": 0.0},
        2: {"response_1": 1.0, "response_2": 1.0},
        3: {"response_1": 1.0, "response_2": 0.0},
    }
    assert score_suite("ppe", rows, rewards(scores)).overall == pytest.approx(1 / 2)


def test_rewards_that_repeat_peoples_votes_rank_models_as_they_do():
    """All correlations are 1 then, and the confident agree."""
    rng = np.random.default_rng(0)
    strength = {"a": 0.0, "b": 0.7, "c": 1.4, "d": 2.1}
    records, scores = [], []
    for i in range(600):
        one, other = rng.choice(list(strength), 2, replace=False)
        first = rng.random() < 1 / (1 + np.exp(strength[other] - strength[one]))
        records.append(
            {
                "id": i,
                "model_a": one,
                "model_b": other,
                "winner": "model_a" if first else "model_b",
            }
        )
        scores += [
            {"id": i, "item": "response_1", "reward": float(first)},
            {"id": i, "item": "response_2", "reward": float(not first)},
        ]
    table = score_suite("ppe", pd.DataFrame(records), pd.DataFrame(scores)).table[
        "score"
    ]
    assert table["overall"] == 1.0
    for name in ("Spearman of models", "Kendall of models", "row-wise Pearson"):
        assert table[f"{name} (unverified)"] == pytest.approx(1.0)
    assert table["confidence agreement (unverified)"] == 1.0
    assert 0 < table["separability (unverified)"] <= 1
    assert table["Brier of models (unverified)"] < 0.05


@pytest.fixture
def correctness():
    rows = pd.DataFrame(
        {
            "question_id": ["x", "y"],
            "scores": [[True, False, False], [False, True, True]],
        }
    )
    scores = {
        "x": {"response_1": 3.0, "response_2": 1.0, "response_3": 3.0},
        "y": {"response_1": 2.0, "response_2": 5.0, "response_3": 1.0},
    }
    return rows, scores


def test_accuracy_is_over_the_conflict_pairs_of_each_question(correctness, rewards):
    """A tie is wrong; the sampled pairs count where there are any."""
    rows, scores = correctness
    assert score_suite("ppe", rows, rewards(scores)).overall == pytest.approx(1 / 2)
    rows["sampled_conflict_pairs"] = [[[0, 1]], [[0, 2], [1, 0]]]
    assert score_suite("ppe", rows, rewards(scores)).overall == pytest.approx(0.75)


def test_the_best_of_k_is_scored(correctness, rewards):
    """A tie at the top is shared; the area under the curve is that of all responses."""
    rows, scores = correctness
    table = score_suite("ppe", rows, rewards(scores)).table["score"]
    assert table["end score (unverified)"] == pytest.approx((0.5 + 1) / 2)
    gold = [1, 0, 0, 0, 1, 1]
    values = [3, 1, 3, 2, 5, 1]
    assert table["ROC-AUC (unverified)"] == pytest.approx(roc_auc_score(gold, values))


def test_benchmarks_are_averaged(correctness, rewards):
    """Where the rows name them."""
    rows, scores = correctness
    rows["benchmark"] = ["math", "gpqa"]
    result = score_suite("ppe", rows, rewards(scores))
    assert result.table["score"][["math/accuracy", "gpqa/accuracy"]].tolist() == [
        0.5,
        0.5,
    ]
    assert result.overall == 0.5


def test_a_response_that_does_not_exist_is_refused(correctness, rewards):
    """There are three."""
    rows, scores = correctness
    scores["x"]["response_4"] = 1.0
    with pytest.raises(InvalidInputError, match="response_1 to response_3"):
        score_suite("ppe", rows, rewards(scores))
