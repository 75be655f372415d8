"""Heads and annotators of the studies."""

import numpy as np
import pytest

from benchmarks.paper.levels import (
    LADDER,
    equally_wrong,
    heads_by_name,
    matched_heads,
    one_annotator,
    with_penalty,
)
from embrm.simulate import SamePrompt, simulate


@pytest.mark.parametrize("factor", LADDER)
def test_matched_linear_heads_have_the_same_penalty(factor):
    """C of the one is 1 / alpha of the other, on standardised items in both."""
    heads = matched_heads(10)
    ours = heads[with_penalty("linear", factor)]
    theirs = heads[with_penalty("logistic", factor)]
    assert ours.alpha == pytest.approx(1 / theirs.estimator_params["C"])
    assert type(ours.preprocessor).__name__ == "StandardScaler"


def test_the_middle_penalty_is_the_one_of_the_logistic_head(pool):
    """By its word it gives the same rewards."""
    design = SamePrompt()
    annotator = one_annotator((0.1,), pool)["errs 10%"]
    drawn = simulate(pool, design, annotator, 100, 0)
    by_word = heads_by_name(("logistic",))["logistic"].fit(drawn.pairs, drawn.y)
    same = matched_heads(4)["logistic, penalty x 1"].fit(drawn.pairs, drawn.y)
    np.testing.assert_array_equal(by_word.reward(pool.items), same.reward(pool.items))


def test_one_annotator_errs_as_its_name_says_on_same_prompt_pairs(pool):
    """Its noise is set, and no longer looks at the design."""
    annotator = one_annotator((0.05, 0.3), pool)["errs 30%"]
    drawn = simulate(pool, SamePrompt(), annotator, 900, 0)
    assert drawn.expected_error_rate == pytest.approx(0.3, abs=0.01)


def test_equally_wrong_annotators_keep_their_target():
    """The engine sets their noise, for each design."""
    assert [level.error_rate for level in equally_wrong((0.05, 0.3)).values()] == [
        0.05,
        0.3,
    ]
