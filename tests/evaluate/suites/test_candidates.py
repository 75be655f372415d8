"""RewardMATH, RMB and preference graphs, by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from embrm.evaluate.suites import score_suite
from embrm.exceptions import InvalidInputError


@pytest.fixture
def three_problems():
    rows = pd.DataFrame({"id": [1, 2, 3], "rejected": [["x"] * 3] * 3})
    scores = {
        1: {"chosen": 3.0, "rejected": [1.0, 2.0, 0.0]},
        2: {"chosen": 2.0, "rejected": [3.0, 2.0, 1.0]},
        3: {"chosen": 2.0, "rejected": [2.0, 1.0, 1.0]},
    }
    return rows, scores


def test_rewardmath_ranks_a_tied_wrong_solution_first(three_problems, rewards):
    """Ranks 1, 3 and 2."""
    rows, scores = three_problems
    table = score_suite("rewardmath", rows, rewards(scores)).table["score"]
    assert table["overall"] == table["accuracy"] == pytest.approx(1 / 3)
    assert table["accuracy (ties right)"] == pytest.approx(2 / 3)
    assert table["MRR"] == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)


@pytest.mark.parametrize(
    ("aggregate", "right"),
    [("min", 0.0), ("max", 1.0), ("prod", 0.0), ("mean", 0.0), ("last", 1.0)],
)
def test_rewards_of_steps_are_aggregated(aggregate, right):
    """The chosen solution has the steps .2 and .9, the other .5 and .7."""
    rows = pd.DataFrame({"id": [1]})
    scores = pd.DataFrame(
        {
            "id": [1, 1],
            "item": ["chosen", "rejected[0]"],
            "reward": [[0.2, 0.9], [0.5, 0.7]],
        }
    )
    assert score_suite("rewardmath", rows, scores, aggregate=aggregate).overall == right
    with pytest.raises(InvalidInputError, match="lists of rewards"):
        score_suite("rewardmath", rows, scores)


def test_rows_may_be_one_a_solution(three_problems, rewards):
    """As in the benchmark's own file."""
    rows, scores = three_problems
    records, table = [], []
    for problem, items in scores.items():
        for kind, values in (
            ("chosen", [items["chosen"]]),
            ("rejected", items["rejected"]),
        ):
            for reward in values:
                records.append(
                    {"id": len(records), "problem_id": problem, "solution_type": kind}
                )
                table.append({"id": len(table), "item": "solution", "reward": reward})
    long = score_suite("rewardmath", pd.DataFrame(records), pd.DataFrame(table))
    wide = score_suite("rewardmath", rows, rewards(scores))
    pd.testing.assert_frame_equal(long.table, wide.table)


def test_rmb_averages_goals_and_kinds(rewards):
    """Best-of-n wants the best strictly above every loser."""
    rows = pd.DataFrame(
        [
            {"pair_uid": "1", "category_path": "Pairwise_set/Helpfulness/Code/Data"},
            {"pair_uid": "2", "category_path": "Pairwise_set/Helpfulness/Chat/Talk"},
            {"pair_uid": "3", "category_path": "Pairwise_set/Harmlessness/S1"},
            {"bon_uid": "1", "category_path": "BoN_set/Helpfulness/Code/Data"},
            {"bon_uid": "5", "category_path": "BoN_set/Harmlessness/S1"},
        ]
    )
    scores = rewards(
        {
            "1": {"chosen": 1.0, "reject": 0.0},
            "2": {"chosen": 0.0, "reject": 0.0},
            "3": {"chosen": 1.0, "reject": 0.0},
        }
    )
    scores["category_path"] = scores["id"].map(
        rows.iloc[:3].set_index("pair_uid")["category_path"]
    )
    best = rewards(
        {
            "1": {"bon_best": 2.0, "loser_list": [1.0, 0.0]},
            "5": {"bon_best": 2.0, "loser_list": [2.0, 0.0]},
        }
    )
    best["category_path"] = best["id"].map(
        {"1": rows["category_path"][3], "5": rows["category_path"][4]}
    )
    result = score_suite("rmb", rows, pd.concat([scores, best]))
    expected = {
        "Helpfulness/pairwise": 0.5,
        "Helpfulness/BoN": 1.0,
        "Harmlessness/pairwise": 1.0,
        "Harmlessness/BoN": 0.0,
        "Helpfulness/Code/pairwise": 1.0,
        "Helpfulness/Chat/pairwise": 0.0,
    }
    assert result.table["score"][list(expected)].to_dict() == pytest.approx(expected)
    assert result.overall == pytest.approx(2.5 / 4)


def test_one_set_of_rmb_is_partial(rewards):
    """The headline is of four."""
    rows = pd.DataFrame(
        {"pair_uid": [1], "category_path": ["Pairwise_set/Helpfulness/Code"]}
    )
    result = score_suite("rmb", rows, rewards({1: {"chosen": 1.0, "reject": 0.0}}))
    assert math.isnan(result.overall)
    assert "Harmlessness/BoN" in result.partial[0]


def test_preference_graphs_have_accuracy_and_kendall(rewards):
    """Three edges: one right, one wrong, one tied."""
    edges = [(0, 1), (1, 2), (0, 3)]
    graph = [
        {"chosen": {"response_id": i}, "rejected": {"response_id": j}} for i, j in edges
    ]
    rows = pd.DataFrame({"id": [7], "preference_graph": [graph]})
    scores = rewards({7: {"responses": [2.0, 1.0, 3.0, 2.0]}})
    table = score_suite("if-rewardbench", rows, scores).table["score"]
    assert table["accuracy"] == pytest.approx(1 / 3)
    assert table["overall"] == 0.0
    scores = rewards({7: {"responses": [3.0, 2.0, 1.0, 3.0]}})
    table = score_suite("if-rewardbench", rows, scores).table["score"]
    assert table["kendall"] == pytest.approx(2 / math.sqrt(2 * 3))


def test_graphs_average_instruction_types(rewards):
    """Not rows; one that is absent makes the headline partial."""
    rows = pd.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "preference_graph": [[(0, 1)]] * 4,
            "instruction_type": ["Single_Turn"] * 2 + ["Multi_Turn", "System_Prompt"],
        }
    )
    right, wrong = {"responses": [1.0, 0.0]}, {"responses": [0.0, 1.0]}
    scores = rewards({1: right, 2: right, 3: wrong, 4: right})
    assert score_suite("if-rewardbench", rows, scores).overall == pytest.approx(1 / 3)
    assert np.isnan(score_suite("if-rewardbench", rows[:3], scores).overall)
