"""Several models on one benchmark."""

import numpy as np
import pandas as pd
import pytest

from embrm.evaluate.suites import compare_results, score_suite
from embrm.exceptions import InvalidInputError

ROWS = pd.DataFrame({"id": range(120), "label": [1, 2] * 60})


def result(accuracy, seed, rows=ROWS):
    rng = np.random.default_rng(seed)
    right = rng.permutation(len(rows)) < accuracy * len(rows)
    scores = [
        {"id": n, "item": f"output_{k}", "reward": float((k == label) == ok)}
        for n, label, ok in zip(rows["id"], rows["label"], right, strict=True)
        for k in (1, 2)
    ]
    return score_suite("llmbar", rows, pd.DataFrame(scores))


def test_models_are_ranked_with_paired_intervals():
    """Two that hardly differ share a letter, a worse one has its own."""
    results = {"c": result(0.5, 2), "a": result(0.9, 0), "b": result(0.88, 1)}
    table = compare_results(results)
    assert list(table.index) == ["a", "b", "c"]
    assert table["group"].to_dict() == {"a": "a", "b": "a", "c": "b"}
    assert table.loc["a", ["difference", "difference_low"]].tolist() == [0.0, 0.0]
    assert (table["low"] <= table["overall"]).all()
    assert table["overall"].to_dict() == {n: r.overall for n, r in results.items()}


def test_a_model_does_not_differ_from_itself():
    """Whatever the resamples."""
    same = result(0.7, 0)
    table = compare_results({"one": same, "two": same}, random_state=None)
    assert table["p_best"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({}, "two results or more"),
        ({"few": result(0.7, 1, ROWS.iloc[:50])}, "2 of 2 kinds"),
    ],
)
def test_what_cannot_be_compared_is_refused(others, words):
    """One model, or other rows."""
    with pytest.raises(InvalidInputError, match=words):
        compare_results({"one": result(0.7, 0), **others})


def test_partial_results_are_refused():
    """Their headline is none."""
    scores = pd.DataFrame(
        {"id": [0, 0], "item": ["output_1", "output_2"], "reward": [1.0, 0.0]}
    )
    partial = score_suite("llmbar", ROWS, scores)
    with pytest.raises(InvalidInputError, match=r"not partial.*1 of 120 rows"):
        compare_results({"one": result(0.7, 0), "part": partial})
