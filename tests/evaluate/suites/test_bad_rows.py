"""Whatever stands in the rows or scores: a typed error or a result, nothing else."""

import numpy as np
import pandas as pd
import pytest

from embrm.evaluate.suites import known_suites, score_suite
from embrm.exceptions import EmbrmError

ROWS = {
    "rewardbench": {"id": [1, 2], "subset": ["donotanswer", "hep-go"]},
    "rewardbench2": {
        "id": ["a", "ref:1", "tied:1"],
        "subset": ["Math", "Ties", "Ties"],
        "num_correct": [1, 1, 2],
        "total_completions": [2, 2, 3],
    },
    "rm-bench": {"id": [1, 2], "domain": ["chat", "safety-refuse"]},
    "judgebench": {
        "pair_id": [1, 2],
        "source": ["mmlu-pro-law", "livecodebench"],
        "label": ["A>B", "B>A"],
    },
    "llmbar": {"id": [1, 2], "label": [1, 2], "subset": ["Natural", "Manual"]},
    "rewardmath": {"id": [1, 2], "rejected": [["x", "y"], ["x", "y"]]},
    "rmb": {
        "pair_uid": [1, 2],
        "category_path": ["Pairwise_set/Helpfulness/Chat", "Pairwise_set/Harmlessness"],
    },
    "ppe": {
        "question_id": [1, 2],
        "winner": ["model_a", "tie"],
    },
    "helpsteer2-preference": {"id": [1, 2], "preference_strength": [-1, 2]},
    "helpsteer3": {"id": [1, 2], "overall_preference": [-1, 2], "domain": ["a", "b"]},
    "mt-bench-human": {
        "question_id": [1, 2],
        "model_a": ["x", "x"],
        "model_b": ["y", "y"],
        "winner": ["model_a", "tie"],
        "turn": [1, 2],
        "judge": ["expert_1", "expert_2"],
    },
    "faireval": {"question_id": [1, 2], "label": ["TIE", "1"], "votes": [[1], [2]]},
    "alpacaeval": {"index": [1, 2], "length_1": [3, 4], "length_2": [5, 6]},
    "if-rewardbench": {
        "id": [1, 2],
        "preference_graph": [[(0, 1)], [(1, 0)]],
        "instruction_type": ["Single_Turn", "Multi_Turn"],
    },
    "ppe of correctness": {
        "question_id": [1, 2],
        "scores": [[True, False], [False, True]],
        "conflict_pairs": [[[0, 1]], [[0, 1]]],
    },
}
ITEMS = {
    "rewardbench2": ("chosen[0]", "chosen[1]", "rejected[0]"),
    "rm-bench": tuple(f"{s}[{k}]" for s in ("chosen", "rejected") for k in range(3)),
    "judgebench": ("response_A", "response_B"),
    "llmbar": ("output_1", "output_2"),
    "rewardmath": ("chosen", "rejected[0]", "rejected[1]"),
    "rmb": ("chosen", "reject"),
    "helpsteer3": ("response1", "response2"),
    "mt-bench-human": ("x", "y"),
    "faireval": ("answer_1", "answer_2"),
    "alpacaeval": ("output_1", "output_2"),
    "if-rewardbench": ("responses[0]", "responses[1]"),
    "rewardbench": ("chosen", "rejected"),
}
VALUES = (None, np.nan, "x", [1, 2], {"a": 1}, 7.5, True, -1, 1e300, np.inf)


def frames(case):
    rows = pd.DataFrame(ROWS[case])
    items = ITEMS.get(case, ("response_1", "response_2"))
    scores = [
        {"id": identity, "item": item, "reward": float(at)}
        for identity in rows.iloc[:, 0]
        for at, item in enumerate(items)
    ]
    return rows, pd.DataFrame(scores)


def outcome(case, rows, scores):
    """Name what comes of it; what is not ours is raised."""
    try:
        result = score_suite(case.split(" ")[0], rows, scores)
    except EmbrmError:
        return "refused"
    assert (result.partial == ()) == np.isfinite(result.overall)
    return "scored"


@pytest.mark.parametrize("case", ROWS)
def test_odd_values_in_any_column_give_an_error_of_ours_or_a_result(case):
    """In one row or in all; and a column that is missing."""
    rows, scores = frames(case)
    assert outcome(case, rows, scores) == "scored"
    seen = set()
    for frame, other, first in ((rows, scores, True), (scores, rows, False)):
        for column in frame.columns:
            odd = [frame.drop(columns=column)]
            for value in VALUES:
                for places in (frame.index[:1], frame.index):
                    changed = frame.copy()
                    changed[column] = changed[column].astype(object)
                    for place in places:
                        changed.at[place, column] = value
                    odd.append(changed)
            for changed in odd:
                pair = (changed, other) if first else (other, changed)
                seen.add(outcome(case, *pair))
    assert seen == {"refused", "scored"}


def test_every_suite_is_among_the_cases():
    """None is left out."""
    assert {case.split(" ")[0] for case in ROWS} == set(known_suites())
