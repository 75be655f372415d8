"""A biased annotator sees gold shifted by what should not matter."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    AnnotatorPanel,
    BiasedAnnotator,
    BradleyTerryAnnotator,
    PerfectAnnotator,
    SamePrompt,
    simulate,
)

COVARIATE = np.array([1.0, 5.0, 3.0, 3.0])
IDS = np.array([[0, 1], [1, 0], [2, 3]])


def texts(pool):
    return [("prompt", "x" * (1 + i % 7)) for i in range(len(pool))]


def test_a_covariate_is_worth_gold_by_its_standard_deviation():
    """delta + b (c1 - c2) / std(c)."""
    base = BradleyTerryAnnotator(1.5)
    annotator = BiasedAnnotator(base, COVARIATE, strength=0.4)
    shift = 0.4 * (COVARIATE[IDS[:, 0]] - COVARIATE[IDS[:, 1]]) / COVARIATE.std()
    np.testing.assert_allclose(
        annotator.probabilities([0.1, 0.2, 0.3], IDS),
        base.probabilities(np.array([0.1, 0.2, 0.3]) + shift),
    )


def test_the_unit_of_the_covariate_does_not_matter():
    """Characters or kilobytes."""
    found = [
        BiasedAnnotator(BradleyTerryAnnotator(), unit * COVARIATE, 0.4).probabilities(
            [0.1, 0.2, 0.3], IDS
        )
        for unit in (1.0, 1e-3)
    ]
    np.testing.assert_allclose(*found)


def test_a_constant_covariate_has_no_effect():
    """It tells no items apart."""
    annotator = BiasedAnnotator(BradleyTerryAnnotator(), np.full(4, 0.1), 5.0)
    assert annotator.probabilities([0.0], [[0, 1]]) == [0.5]


def test_position_bias_favours_whoever_stands_first():
    """In both orders of a pair; no ids are needed."""
    annotator = BiasedAnnotator(BradleyTerryAnnotator(), position=0.7)
    forth, back = annotator.probabilities([0.2, -0.2])
    assert forth + back > 1.2


def test_length_is_looked_up_in_the_pool(pool):
    """Characters of the response, not of the prompt."""
    written = CandidatePool(pool.items, pool.prompt_ids, pool.gold, texts(pool))
    annotator = BiasedAnnotator(PerfectAnnotator(), "length", strength=100.0)
    found = simulate(written, SamePrompt(), annotator, 500, random_state=0)
    length = np.array([len(response) for _, response in texts(pool)])
    difference = length[found.pairs.first] - length[found.pairs.second]
    clear = difference != 0
    np.testing.assert_array_equal(found.y[clear], difference[clear] > 0)


def test_a_bias_makes_errors_that_noise_does_not_explain(pool):
    """A perfect annotator with a taste errs."""
    taste = np.random.default_rng(0).normal(size=len(pool))
    annotator = BiasedAnnotator(PerfectAnnotator(), taste, strength=1.0)
    found = simulate(pool, SamePrompt(), annotator, 2000, random_state=0)
    assert found.error_rate == found.expected_error_rate
    assert 0.1 < found.error_rate < 0.4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda base: BiasedAnnotator(base, strength=1.0), "a covariate for a bias"),
        (lambda base: BiasedAnnotator(base, "colour", 1.0), "the covariate 'length'"),
        (lambda base: BiasedAnnotator(base, [[1.0]], 1.0), r"covariate of shape \(n_i"),
        (lambda base: BiasedAnnotator(base, [1, np.nan], 1.0), "1 not finite"),
        (lambda base: BiasedAnnotator(base, [1], np.nan), "expected a finite strength"),
        (lambda base: BiasedAnnotator(base, position=None), "a finite position"),
        (lambda base: BiasedAnnotator(AnnotatorPanel([base])), "got AnnotatorPanel"),
    ],
)
def test_parameters_that_make_no_sense_are_an_error(make, message):
    """When the annotator is made."""
    with pytest.raises(InvalidInputError, match=message):
        make(PerfectAnnotator())


def test_a_covariate_needs_the_pairs():
    """Deltas alone do not say which items they are of."""
    annotator = BiasedAnnotator(PerfectAnnotator(), COVARIATE, 1.0)
    with pytest.raises(InvalidInputError, match="expected ids of the pairs"):
        annotator.probabilities([0.1])


def test_length_needs_a_pool():
    """Before `for_pool` the lengths are not known."""
    annotator = BiasedAnnotator(PerfectAnnotator(), "length", 1.0)
    with pytest.raises(InvalidInputError, match="knows the pool's lengths"):
        annotator.probabilities([0.1], [[0, 1]])


def test_length_needs_texts(pool):
    """A pool of vectors alone has none."""
    annotator = BiasedAnnotator(PerfectAnnotator(), "length", 1.0)
    with pytest.raises(InvalidInputError, match="a pool with texts for covariate"):
        simulate(pool, SamePrompt(), annotator, 5)


def test_the_covariate_of_another_pool_is_an_error(pool):
    """One number for each item of this one."""
    annotator = BiasedAnnotator(PerfectAnnotator(), COVARIATE, 1.0)
    with pytest.raises(InvalidInputError, match=r"shape \(600,\), one number per item"):
        simulate(pool, SamePrompt(), annotator, 5)
