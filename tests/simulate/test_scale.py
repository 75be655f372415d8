"""Gold is scaled by a number that can be said."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import BradleyTerryAnnotator, gold_scale


def test_std_is_the_standard_deviation_over_all_items(pool):
    """As the reference implementations have it."""
    assert gold_scale(pool, "std") == pytest.approx(np.std(pool.gold))


def test_within_prompt_std_is_pooled_over_prompts(ragged):
    """An analysis of variance; prompts of one response say nothing."""
    groups = [ragged.gold[ragged.rows(prompt)] for prompt in ragged.prompts]
    squares = sum(((gold - gold.mean()) ** 2).sum() for gold in groups)
    freedom = sum(len(gold) - 1 for gold in groups)
    expected = np.sqrt(squares / freedom)
    assert gold_scale(ragged, "within_prompt_std") == pytest.approx(expected)


def test_within_prompt_std_does_not_see_prompt_means(pool):
    """Harder prompts do not make a noisier annotator."""
    shifted = CandidatePool(
        pool.items, pool.prompt_ids, gold=pool.gold + 9.0 * pool.prompt_ids
    )
    assert gold_scale(shifted, "within_prompt_std") == pytest.approx(
        gold_scale(pool, "within_prompt_std")
    )
    assert gold_scale(shifted, "std") > 10 * gold_scale(pool, "std")


def test_a_number_needs_no_gold(pool):
    """It is taken as it is."""
    without = CandidatePool(pool.items, pool.prompt_ids)
    assert gold_scale(without, 6) == 6.0


@pytest.mark.parametrize("scale", ["std", "within_prompt_std"])
def test_constant_gold_cannot_be_scaled(scale):
    """Rounded means do not hide that it is constant."""
    pool = CandidatePool(np.ones((6, 1)), np.repeat([0, 1], 3), gold=[0.1] * 6)
    with pytest.raises(InvalidInputError, match=f"expected gold that varies.*{scale}"):
        gold_scale(pool, scale)


def test_one_response_per_prompt_has_no_spread_within():
    """Which is an error, not a division by zero."""
    pool = CandidatePool(np.ones((2, 1)), [0, 1], gold=[0.0, 1.0])
    with pytest.raises(InvalidInputError, match="gold that varies within prompts"):
        gold_scale(pool, "within_prompt_std")


@pytest.mark.parametrize("scale", ["variance", 0.0, -1, None, float("nan")])
def test_an_unknown_scale_is_an_error(scale):
    """When the annotator is made, not when it is used."""
    with pytest.raises(InvalidInputError, match=r"expected (a finite )?scale"):
        BradleyTerryAnnotator(scale=scale)
