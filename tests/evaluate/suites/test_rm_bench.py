"""RM-Bench: the matrix of styles, its levels and domains."""

import math

import numpy as np
import pandas as pd
import pytest

from embrm.evaluate.suites import score_suite
from embrm.exceptions import InvalidInputError


@pytest.fixture
def four_domains():
    """One row a domain, and two of safety."""
    rows = pd.DataFrame(
        {
            "id": [1, 2, 3, 4, 5],
            "domain": ["chat", "math", "code", "safety-refuse", "safety-response"],
        }
    )
    # Above the first, all, the last two, and none of the rejected ones.
    scores = {
        1: {"chosen": [1.0, 2.0, 3.0], "rejected": [0.5, 1.5, 2.5]},
        2: {"chosen": [9.0, 9.0, 9.0], "rejected": [0.0, 0.0, 0.0]},
        3: {"chosen": [0.0, 0.0, 0.0], "rejected": [0.0, 0.0, 0.0]},
        4: {"chosen": [1.0, 1.0, 1.0], "rejected": [2.0, 0.0, 0.0]},
        5: {"chosen": [1.0, 1.0, 1.0], "rejected": [0.0, 0.0, 2.0]},
    }
    return rows, scores


def test_levels_and_domains_are_those_of_the_matrix(four_domains, rewards):
    """Computed by hand: hard above the diagonal, normal on it, easy below."""
    rows, scores = four_domains
    result = score_suite("rm-bench", rows, rewards(scores))
    # chat: easy 1, normal 1, hard 0; math all 1; code: ties are wrong, all 0.
    # refuse beats columns 2 and 3: easy 1/3, normal 2/3, hard 1; response columns 1, 2:
    # easy 1, normal 2/3, hard 1/3.
    expected = {
        "chat": 2 / 3,
        "math": 1.0,
        "code": 0.0,
        "safety": 2 / 3,
        "easy": (1 + 1 + 0 + 2 / 3) / 4,
        "normal": (1 + 1 + 0 + 2 / 3) / 4,
        "hard": (0 + 1 + 0 + 2 / 3) / 4,
    }
    assert result.table["score"][list(expected)].to_dict() == pytest.approx(expected)
    assert result.overall == pytest.approx((2 / 3 + 1 + 0 + 2 / 3) / 4)
    np.testing.assert_array_equal(
        result.details["matrix"]["chat"], [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    )


def test_both_averages_of_safety_are_named(four_domains, rewards):
    """The benchmark's code pools rows; some reports average the two parts."""
    rows, scores = four_domains
    rows.loc[5] = {"id": 6, "domain": "safety-response"}
    scores[6] = {"chosen": [0.0, 0.0, 0.0], "rejected": [1.0, 1.0, 1.0]}
    table = score_suite("rm-bench", rows, rewards(scores)).table["score"]
    assert table["safety"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert table["safety (its parts averaged)"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert table["overall"] == pytest.approx((2 / 3 + 1 + 0 + 4 / 9) / 4)
    assert table["overall (parts of safety averaged)"] == pytest.approx(
        (2 / 3 + 1 + 0 + 1 / 2) / 4
    )


def test_one_file_has_the_mean_of_its_levels(four_domains, rewards):
    """The files of single domains have no column for it."""
    rows, scores = four_domains
    result = score_suite("rm-bench", rows[["id"]], rewards(scores))
    assert result.overall == pytest.approx(
        result.table["score"][["easy", "normal", "hard"]].mean()
    )
    assert "One file" in result.notes[0]


def test_a_domain_that_is_absent_makes_the_headline_partial(four_domains, rewards):
    """The others are not averaged as if they were all."""
    rows, scores = four_domains
    kept = rows[rows["domain"] != "math"]
    result = score_suite("rm-bench", kept, rewards(scores))
    assert math.isnan(result.overall)
    assert result.table.loc["overall (partial)", "score"] == pytest.approx(4 / 9)
    assert result.partial == ("no rows of math",)
    assert "belong to none of the rows" in result.notes[0]


def test_an_unknown_domain_is_refused(four_domains, rewards):
    """It would be counted nowhere."""
    rows, scores = four_domains
    with pytest.raises(InvalidInputError, match="'poetry'"):
        score_suite(
            "rm-bench", rows.replace({"domain": {"math": "poetry"}}), rewards(scores)
        )


def test_a_fourth_style_is_refused(four_domains, rewards):
    """There are three."""
    rows, scores = four_domains
    scores[1]["rejected"].append(4.0)
    with pytest.raises(InvalidInputError, match=r"at most 3.*rejected\[3\]"):
        score_suite("rm-bench", rows, rewards(scores))


def test_the_order_of_scores_does_not_matter(four_domains, rewards):
    """Nor whether ids are numbers or text."""
    rows, scores = four_domains
    table = rewards(scores).sample(frac=1, random_state=0)
    table["id"] = table["id"].astype(str)
    shuffled = score_suite("rm-bench", rows, table)
    pd.testing.assert_frame_equal(
        shuffled.table, score_suite("rm-bench", rows, rewards(scores)).table
    )


def test_intervals_hold_the_score_and_stay_between_0_and_1(four_domains, rewards):
    """Also where every row is right."""
    rows, scores = four_domains
    table = score_suite("rm-bench", rows, rewards(scores)).intervals(n_resamples=200)
    assert (table["low"] <= table["score"]).all()
    assert (table["high"] >= table["score"]).all()
    assert table["low"].min() >= 0
    assert table["high"].max() <= 1
    assert table.loc["math", "low"] < 0.5
