"""Proposition 15 and Theorem 16, in closed form and by Monte Carlo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from embrm import CandidatePool, Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.simulate import (
    BradleyTerryAnnotator,
    CallableAnnotator,
    CrossPrompt,
    LapseAnnotator,
    PerfectAnnotator,
    SamePrompt,
    ThurstoneAnnotator,
    proposition_14,
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
@settings(max_examples=60)
def test_proposition_15_holds(prompts):
    """Whatever the prompts."""
    assert proposition_15(*zip(*prompts, strict=True), n_draws=2, random_state=0).holds


@given(prompts=prompts, annotator=st.sampled_from(ANNOTATORS))
@settings(max_examples=60)
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


def test_quadrature_knows_its_error():
    """A step is no smooth function; a formula has no error."""
    step = CallableAnnotator(lambda distance: np.where(distance > 1, 1.0, 0.5))
    stds = np.array([0.01, 0.5])
    found = theorem_16([0.0, 0.0], stds, step, n_draws=2).closed_form
    exact_same = np.mean(0.5 + norm.sf(1 / (stds * np.sqrt(2))))
    exact_cross = 0.5 + norm.sf(1 / np.hypot(*stds))
    assert 0 < abs(found.same - exact_same) <= found.same_error < 2e-3
    assert 0 < abs(found.cross - exact_cross) <= found.cross_error < 2e-3
    assert found.cross + found.cross_error < found.same - found.same_error
    thurstone = theorem_16(MEANS, STDS, ThurstoneAnnotator(0.7), n_draws=2).closed_form
    assert thurstone.same_error == thurstone.cross_error == 0.0


@pytest.mark.parametrize(
    "law",
    [
        lambda rng, n: rng.exponential(size=n) ** 2,
        lambda rng, n: rng.choice([-3.0, 0.0, 5.0], size=n),
        lambda rng, n: rng.pareto(3.0, size=n),
    ],
)
def test_both_statements_hold_for_any_law_with_a_mean(law):
    """Skewed, discrete or heavy-tailed: |delta| and a concave xi are larger across."""
    for value in (np.abs, lambda delta: 1 - np.exp(-np.abs(delta)) / 2):
        found = sample_contrast(MEANS, STDS, value, family=law, random_state=4)
        assert found.cross > found.same - 4 * np.hypot(
            found.same_error, found.cross_error
        )


def test_a_sampler_must_draw_what_it_is_asked_for():
    """Each z is one number."""
    with pytest.raises(InvalidInputError, match="draws 100000 finite numbers"):
        sample_contrast(MEANS, STDS, np.abs, family=lambda rng, n: rng.normal(size=2))


@given(
    quality=st.lists(st.floats(0.5, 1.0), min_size=1, max_size=40),
    wrong=st.data(),
)
@settings(max_examples=100)
def test_proposition_14_bounds_the_share_of_right_orders(quality, wrong):
    """Whichever pairs the learned order is wrong about."""
    xi = np.array(quality)
    is_wrong = np.array(
        wrong.draw(st.lists(st.booleans(), min_size=len(xi), max_size=len(xi)))
    )
    agreement = float(np.mean(np.where(is_wrong, 1 - xi, xi)))
    bound = proposition_14(agreement, xi)
    assert max(bound.paper, bound.direct) <= 1 - is_wrong.mean() + 1e-9


def test_proposition_14_bounds_pairs_that_are_all_but_guesses():
    """A quality of 1/2 and one rounding step gives no bound by its rounding error."""
    xi = np.array([1.0, 1.0, 1.0, np.nextafter(0.5, 1)])
    assert proposition_14(float(np.mean([*xi[:3], 1 - xi[3]])), xi).direct <= 0.75


def test_proposition_14_is_tight_for_equal_pairs():
    """The direct bound is then an equation; the paper's needs hardly any error."""
    bound = proposition_14(0.9 * 0.8 + 0.1 * 0.2, np.full(10, 0.8))
    assert bound.direct == pytest.approx(0.9)
    assert bound.paper == 0.0
    almost = proposition_14(0.9995, np.full(10, 1.0))
    assert almost.direct == pytest.approx(0.9995)
    assert 0.8 < almost.paper < 0.95


def test_proposition_14_holds_for_a_fitted_head():
    """The bound from annotations lies below the consistency with gold."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(4000, 5))
    gold = items @ np.ones(5)
    ids = np.arange(4000).reshape(-1, 2)
    delta = gold[::2] - gold[1::2]
    annotator = BradleyTerryAnnotator(1.0, scale=1.0)
    xi = annotator.probabilities(np.abs(delta))
    y = (rng.random(2000) < np.where(delta > 0, xi, 1 - xi)).astype(float)
    pairs = Pairs(items, ids)
    head = LinearBradleyTerry().fit(pairs[:300], y[:300])
    order = head.decision_function(pairs[300:]) > 0
    expected = np.where(order == (delta[300:] > 0), xi[300:], 1 - xi[300:]).mean()
    right = np.mean(order == (delta[300:] > 0))
    assert 0.6 < proposition_14(float(expected), xi[300:]).direct <= right


@pytest.mark.parametrize(
    ("agreement", "quality"), [(1.1, [0.9]), (0.9, []), (0.9, [0.4])]
)
def test_shares_outside_their_range_are_an_error(agreement, quality):
    """An annotator is no worse than a guess."""
    with pytest.raises(InvalidInputError, match="agreement in"):
        proposition_14(agreement, quality)


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
