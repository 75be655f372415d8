"""Results as the benchmarks' own code writes them are read as they are."""

import json

import pandas as pd
import pytest

from embrm.evaluate.suites import as_scores, read_results, score_suite
from embrm.exceptions import InvalidInputError

_MATH = ["human_to_GPT-4", "modified_with_GPT-4", "gpt-3.5-turbo-0125"]

# Suite, rows (None: the results themselves), results, and the score of a name.
_RESULTS = {
    "RewardBench": (
        "rewardbench",
        None,
        [
            {"id": 1, "subset": "hep-go", "scores_chosen": 2.0, "scores_rejected": 1.0},
            {"id": 2, "subset": "hep-go", "scores_chosen": 1.0, "scores_rejected": 1.0},
        ],
        ("hep-go", 1 / 2),
    ),
    "RewardBench, lists of one": (
        "rewardbench",
        None,
        [{"id": 1, "subset": "hep-go", "scores_chosen": [2], "scores_rejected": [1]}],
        ("hep-go", 1.0),
    ),
    "RewardBench, a judge": (
        "rewardbench",
        None,
        [
            {"id": n, "subset": "hep-go", "results": right, "scores_chosen": None}
            for n, right in enumerate([1, 0.5, 0])
        ],
        ("hep-go", 1 / 2),
    ),
    "RewardBench 2": (
        "rewardbench2",
        None,
        [
            {"id": "a", "subset": "Math", "num_correct": 1, "scores": [3, 3, 1, 0]},
            {"id": "b", "subset": "Math", "num_correct": 1, "scores": [[2], [1], [1]]},
            {"id": "ref:1", "subset": "Ties", "num_correct": 1, "scores": [2.0, 1.0]},
            {"id": "tied:1", "subset": "Ties", "num_correct": 2, "scores": [4, 4, 1]},
        ],
        ("Math", 3 / 4),
    ),
    "RM-Bench": (
        "rm-bench",
        None,
        [{"id": 1, "score_chosen": [1, 2, 3], "score_rejected": [0, 2, 4]}],
        ("hard", 0.0),
    ),
    "RMB": (
        "rmb",
        None,
        [
            {
                "pair_uid": "7",
                "category_path": "Pairwise_set/Helpfulness/Code/Data",
                "chosen_reward": 0.2,
                "reject_reward": 0.1,
                "is_correct": 1,
            }
        ],
        ("Helpfulness/pairwise", 1.0),
    ),
    "JudgeBench": (
        "judgebench",
        None,
        [
            {
                "pair_id": pair,
                "source": "mmlu-pro-law",
                "label": "A>B",
                "judgments": [d and {"judgment": {}, "decision": d} for d in decisions],
            }
            for pair, decisions in {
                "consistent": ["A>B", "B>A"],
                "by position": ["A>B", "A>B"],
                "one fails": [None, "B>A"],
            }.items()
        ],
        ("micro", 2 / 3),
    ),
    "LLMBar": (
        "llmbar",
        None,
        [
            {
                "label": 1,
                "results": [
                    ["a metric", "stop"],
                    {"swap = False": {"winner": "1"}, "swap = True": {"winner": "2"}},
                ],
            }
        ],
        ("overall", 1 / 2),
    ),
    "RewardMATH": (
        "rewardmath",
        pd.DataFrame({"id": [4, 5], "problem": ["two", "one"]}),
        [
            {"problem": "one", "solution_reference": _MATH, "score": [3, 1, 2]},
            {"problem": "two", "solution_reference": _MATH, "score": [3, 3, 2]},
        ],
        ("MRR", (1 + 1 / 2) / 2),
    ),
    "RewardMATH, rows of solutions": (
        "rewardmath",
        pd.DataFrame(
            {
                "problem_id": [0, 0, 0],
                "id": [7, 8, 9],
                "problem": ["one"] * 3,
                "solution_type": ["rejected", "chosen", "rejected"],
            }
        ),
        [{"problem": "one", "solution_reference": _MATH, "score": [3, 1, 2]}],
        ("accuracy", 1.0),
    ),
    "RewardMATH, in pairs": (
        "rewardmath",
        None,
        [
            {
                "problem": "one",
                "solution_reference": _MATH[1:],
                "score": ["A", None],
                "chosen_position": ["A", "B"],
            }
        ],
        ("MRR", 1 / 2),
    ),
    "FairEval": (
        "faireval",
        pd.DataFrame({"question_id": [1, 2], "label": ["VICUNA13B", "TIE"]}),
        [
            {"question_id": 2, "score": [8.0, 8.0]},
            {"question_id": 1, "score": [7.0, 9.0]},
        ],
        ("accuracy", 1.0),
    ),
    "MT-Bench": (
        "mt-bench-human",
        pd.DataFrame(
            [
                {"question_id": 81, "model_a": a, "model_b": b, "winner": w, "turn": 1}
                for a, b, w in [("x", "y", "model_a"), ("y", "x", "model_a")]
            ]
        ),
        [
            {
                "question_id": 81,
                "model_a": "y",
                "model_b": "x",
                "winner": "model_b",
                "turn": 1,
            }
        ],
        ("with ties", 1 / 2),
    ),
    "AlpacaEval": (
        "alpacaeval",
        None,
        [
            {
                "instruction": "Hi",
                "output_1": "Hello",
                "output_2": "Hi",
                "preference": p,
            }
            for p in (1.0, 1.75, 2.0, None)
        ],
        ("win rate", 1.75 / 3),
    ),
}


@pytest.mark.parametrize("name", _RESULTS)
def test_results_of_a_benchmark_are_read_as_they_are(name):
    """Each layout gives the score that follows from its rows by hand."""
    suite, rows, results, (score, value) = _RESULTS[name]
    scores = pd.DataFrame(results)
    given = scores if rows is None else rows
    table = score_suite(suite, given, scores).table
    assert table.loc[score, "score"] == pytest.approx(value)


def test_a_file_of_columns_is_read(tmp_path):
    """As RewardBench's are: lists of equal length beside single values."""
    suite, _, results, (score, value) = _RESULTS["RewardBench"]
    columns = pd.DataFrame(results).to_dict("list") | {"model": "org/name"}
    file = tmp_path / "name.json"
    file.write_text(json.dumps(columns))
    read = read_results(file)
    assert read["model"].tolist() == ["org/name"] * 2
    assert score_suite(suite, read, read).table.loc[score, "score"] == value
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(results))
    assert read_results(rows)["id"].tolist() == [1, 2]


def test_results_without_ids_must_be_as_many_as_the_rows():
    """Which row a result belongs to is not guessed."""
    _, _, results, _ = _RESULTS["LLMBar"]
    rows = pd.DataFrame({"label": [1, 2]})
    with pytest.raises(InvalidInputError, match="one for each of 2 rows"):
        score_suite("llmbar", rows, pd.DataFrame(results))


@pytest.mark.parametrize(
    ("suite", "row"),
    [
        ("rewardbench", {"id": 1, "subset": "hep-go", "results": "yes"}),
        ("rewardbench", {"id": 1, "subset": "hep-go", "results": None}),
        (
            "rewardbench2",
            {"id": "a", "subset": "Math", "num_correct": None, "scores": [1.0]},
        ),
        (
            "judgebench",
            {"pair_id": 1, "source": "mmlu-pro", "label": "A>B", "judgments": None},
        ),
        ("llmbar", {"label": 1, "results": []}),
        ("llmbar", {"label": 1, "results": [{"swap = False": {"winner": "1"}}]}),
        ("rewardmath", {"problem": "x", "solution_reference": ["a"], "score": [1, 2]}),
        ("faireval", {"question_id": 1, "label": 1, "score": [1.0]}),
    ],
)
def test_results_of_another_form_are_refused(suite, row):
    """By a typed error, whatever is wrong with a row."""
    frame = pd.DataFrame([row])
    with pytest.raises(InvalidInputError):
        score_suite(suite, frame, frame)


def test_a_score_table_stays_as_it_is():
    """Also one that has a column of a layout beside its own."""
    scores = pd.DataFrame(
        {"id": [1], "item": ["chosen"], "reward": [1.0], "scores_chosen": [2.0]}
    )
    assert as_scores("rewardbench", scores, scores, (), ("id",)) is scores
