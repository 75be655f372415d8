"""Proposition 15 and Theorem 16, in closed form and by Monte Carlo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    BradleyTerryAnnotator,
    CallableAnnotator,
    CrossPrompt,
    LapseAnnotator,
    PerfectAnnotator,
    SamePrompt,
    ThurstoneAnnotator,
    proposition_15,
    sample_contrast,
    simulate,
    theorem_16,
)

RNG = np.random.default_rng(0)
MEANS, STDS = RNG.normal(size=30), RNG.uniform(0.2, 2.0, size=30)
ANNOTATORS = [
    BradleyTerryAnnotator(2.0),
    BradleyTerryAnnotator(50.0),
    ThurstoneAnnotator(0.5),
    PerfectAnnotator(),
    LapseAnnotator(ThurstoneAnnotator(2.0), 0.1),
    CallableAnnotator(lambda distance: 1 - 0.5 * np.exp(-distance)),
]
prompts = st.lists(
    st.tuples(st.floats(-5, 5), st.floats(0.05, 5)), min_size=2, max_size=6
)


def assert_agree(check):
    """The closed form lies within four standard errors of the sampled figures."""
    exact, sampled = check.closed_form, check.monte_carlo
    assert exact.same == pytest.approx(sampled.same, abs=4 * sampled.same_error + 1e-9)
    assert exact.cross == pytest.approx(
        sampled.cross, abs=4 * sampled.cross_error + 1e-9
    )


def test_proposition_15_agrees_with_sampling():
    """Expected |delta| within and across prompts."""
    assert_agree(proposition_15(MEANS, STDS, random_state=1))


@pytest.mark.parametrize("annotator", ANNOTATORS)
def test_theorem_16_agrees_with_sampling(annotator):
    """Expected P(correct), by Owen's function or by quadrature."""
    assert_agree(theorem_16(MEANS, STDS, annotator, random_state=1))


@given(prompts=prompts)
@settings(deadline=None, max_examples=60)
def test_proposition_15_holds(prompts):
    """Whatever the prompts."""
    assert proposition_15(*zip(*prompts, strict=True), n_draws=2, random_state=0).holds


@given(prompts=prompts, annotator=st.sampled_from(ANNOTATORS))
@settings(deadline=None, max_examples=60)
def test_theorem_16_holds(prompts, annotator):
    """For every concave xi; equal prompts give equal quality."""
    check = theorem_16(
        *zip(*prompts, strict=True), annotator, n_draws=2, random_state=0
    )
    assert check.closed_form.cross >= check.closed_form.same - 1e-7


def test_theorem_16_needs_a_concave_xi():
    """A xi with a step far out prefers a few very different pairs to many different."""
    step = CallableAnnotator(lambda distance: np.where(distance > 8, 1.0, 0.5))
    check = theorem_16([0.0, 0.0], [0.1, 4.0], step, n_draws=200_000, random_state=0)
    assert not check.holds
    assert check.monte_carlo.cross < check.monte_carlo.same


def test_owen_s_function_agrees_with_quadrature():
    """The two closed forms are of the same integral."""
    thurstone = ThurstoneAnnotator(0.7)
    as_callable = CallableAnnotator(thurstone.probabilities)
    exact = theorem_16(MEANS, STDS, thurstone, n_draws=2).closed_form
    integrated = theorem_16(MEANS, STDS, as_callable, n_draws=2).closed_form
    assert exact.same == pytest.approx(integrated.same, abs=1e-9)
    assert exact.cross == pytest.approx(integrated.cross, abs=1e-9)


def test_equal_prompts_gain_nothing():
    """All in Proposition 15 comes from differences between prompts."""
    check = proposition_15([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], n_draws=2)
    assert check.closed_form.same == pytest.approx(check.closed_form.cross)
    assert check.closed_form.same == pytest.approx(4.0 / np.sqrt(np.pi))


@pytest.mark.parametrize("family", ["gaussian", "laplace", "logistic", "uniform"])
def test_other_families_agree_in_direction(family):
    """Unimodal and symmetric, of unit variance."""
    abs_delta = sample_contrast(MEANS, STDS, np.abs, family=family, random_state=2)
    assert abs_delta.cross > abs_delta.same + 4 * abs_delta.cross_error
    square = sample_contrast(
        [0.0, 0.0], [1.0, 1.0], np.square, family=family, random_state=2
    )
    assert square.cross == pytest.approx(2.0, abs=5 * square.cross_error)


def test_a_simulated_pool_agrees_with_the_theory():
    """Designs and annotators do what the formulas say, on 40 Gaussian prompts."""
    rng = np.random.default_rng(3)
    gold = (MEANS[:, None] + STDS[:, None] * rng.normal(size=(30, 400))).ravel()
    pool = CandidatePool(np.ones((12_000, 1)), np.repeat(np.arange(30), 400), gold=gold)
    annotator = BradleyTerryAnnotator(2.0, scale=1.0)
    exact = theorem_16(MEANS, STDS, annotator, n_draws=2).closed_form
    spread = proposition_15(MEANS, STDS, n_draws=2).closed_form
    for design, quality, distance in (
        (SamePrompt(), exact.same, spread.same),
        (CrossPrompt(), exact.cross, spread.cross),
    ):
        found = simulate(pool, design, annotator, 100_000, 0)
        assert 1 - found.expected_error_rate == pytest.approx(quality, abs=0.01)
        assert found.diversity.mean_abs_delta == pytest.approx(distance, rel=0.03)


@pytest.mark.parametrize(
    ("means", "stds"),
    [([0.0], [1.0]), ([0, 1], [1.0]), ([0, 1], [1, 0]), ([0, np.nan], [1, 1])],
)
def test_prompts_that_are_none_are_an_error(means, stds):
    """Two prompts at least, each with a spread."""
    with pytest.raises(InvalidInputError, match="expected means and stds > 0"):
        proposition_15(means, stds)


def test_an_unknown_family_is_an_error():
    """Four are known."""
    with pytest.raises(InvalidInputError, match="family 'gaussian', 'laplace', 'logis"):
        sample_contrast(MEANS, STDS, np.abs, family="cauchy")


def test_one_draw_has_no_standard_error():
    """Two are the least."""
    with pytest.raises(InvalidInputError, match="expected an integer n_draws >= 2"):
        proposition_15(MEANS, STDS, n_draws=1)
