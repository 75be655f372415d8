"""Each annotator has the probabilities of its formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    AnnotatorPanel,
    BiasedAnnotator,
    BradleyTerryAnnotator,
    CallableAnnotator,
    FlipAnnotator,
    LapseAnnotator,
    PerfectAnnotator,
    ThurstoneAnnotator,
    TieAnnotator,
)
from embrm.simulate import annotators as annotators_module

DELTA = np.array([-3.0, -0.5, 0.0, 0.25, 2.0])


def test_bradley_terry_is_logistic():
    """sigma(beta delta)."""
    expected = 1 / (1 + np.exp(-1.7 * DELTA))
    np.testing.assert_allclose(
        BradleyTerryAnnotator(1.7).probabilities(DELTA), expected
    )


def test_bradley_terry_is_gumbel_noise_on_each_gold():
    """The larger of two noisy scores is preferred."""
    rng = np.random.default_rng(0)
    noise = rng.gumbel(size=(2, 100_000))
    share = np.mean(2.0 * 0.6 + noise[0] > noise[1])
    assert BradleyTerryAnnotator(2.0).probabilities(0.6) == pytest.approx(
        share, abs=0.005
    )


def test_thurstone_is_gaussian_noise_on_each_gold():
    """Phi(delta / (sigma sqrt 2)); sigma belongs to one item."""
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=0.8, size=(2, 100_000))
    share = np.mean(0.6 + noise[0] > noise[1])
    probability = ThurstoneAnnotator(0.8).probabilities(0.6)
    assert probability == pytest.approx(norm.cdf(0.6 / (0.8 * np.sqrt(2))))
    assert probability == pytest.approx(share, abs=0.005)


def test_thurstone_is_near_bradley_terry_with_matched_noise():
    """s sqrt 2 = 1.702 / beta: never more than one point apart."""
    delta = np.linspace(-6, 6, 500)
    logistic = BradleyTerryAnnotator(1.0).probabilities(delta)
    gaussian = ThurstoneAnnotator(1.702 / np.sqrt(2)).probabilities(delta)
    assert np.abs(logistic - gaussian).max() < 0.01


@pytest.mark.parametrize(
    "annotator",
    [
        BradleyTerryAnnotator(1e306),
        ThurstoneAnnotator(1e-306),
        TieAnnotator(1e306, 5.0),
    ],
)
def test_nothing_overflows(annotator):
    """At |delta| = 1e4 and hardly any noise."""
    np.testing.assert_array_equal(annotator.probabilities([-1e4, 1e4]), [0.0, 1.0])


def test_a_perfect_annotator_never_errs():
    """Equal gold is a tie, in the label too."""
    annotation = PerfectAnnotator().annotate(DELTA, random_state=0)
    assert annotation.y.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_flips_are_as_frequent_at_any_difference():
    """Unlike noise on gold."""
    np.testing.assert_allclose(
        FlipAnnotator(0.2).probabilities(DELTA), [0.2, 0.2, 0.5, 0.8, 0.8]
    )
    assert FlipAnnotator(0.2).annotate([0.0], random_state=0).y == [0.5]


@given(delta=st.floats(-30, 30), threshold=st.floats(0, 5), beta=st.floats(0.1, 3))
@settings(max_examples=100)
def test_ties_are_those_of_rao_and_kupper(delta, threshold, beta):
    """P(tie) = (theta^2 - 1) a b / ((a + theta b) (theta a + b))."""
    a, b, theta = np.exp(beta * delta), 1.0, np.exp(threshold)
    first, tie = TieAnnotator(beta, threshold).outcomes(np.array([delta]), None)
    expected = (theta**2 - 1) * a * b / ((a + theta * b) * (theta * a + b))
    assert first[0] == pytest.approx(a / (a + theta * b))
    assert tie[0] == pytest.approx(expected, abs=1e-14)


def test_tie_labels_are_one_half():
    """And about as many as expected."""
    annotator = TieAnnotator(1.0, 1.0)
    y = annotator.annotate(np.zeros(20_000), random_state=0).y
    assert set(y) == {0.0, 0.5, 1.0}
    assert np.mean(y == 0.5) == pytest.approx(0.462, abs=0.015)


def test_without_a_threshold_there_are_no_ties():
    """It is Bradley-Terry."""
    annotator = TieAnnotator(1.3, 0.0)
    expected = BradleyTerryAnnotator(1.3).probabilities(DELTA)
    np.testing.assert_allclose(annotator.probabilities(DELTA), expected)
    assert 0.5 not in annotator.annotate(np.zeros(500), random_state=0).y


def test_any_function_can_be_an_annotator():
    """P(correct), mirrored for negative deltas."""
    annotator = CallableAnnotator(lambda d: np.where(d > 0.3, 0.9, 0.5))
    np.testing.assert_allclose(
        annotator.probabilities(DELTA), [0.1, 0.1, 0.5, 0.5, 0.9]
    )


@pytest.mark.parametrize(
    ("xi", "message"),
    [
        (lambda d: 0.6 + 0 * d, r"expected xi\(0\) = 1/2.*got 0.6"),
        (lambda d: 0.5 + 0.5 * (d > 0) * np.exp(-d), "a xi that does not decrease"),
        (lambda d: 0.5 - 0.1 * (d > 0), r"xi in \[1/2, 1\]; got 0.4 at"),
        (lambda d: 0.5 + d, r"xi in \[1/2, 1\]; got 1\.\d+ at"),
        (lambda d: 0.5 + np.nan * d, r"xi in \[1/2, 1\]; got nan"),
        (lambda d: 0.5, "xi to return an array of the shape it is given"),
        (0.9, "expected a callable xi; got float"),
    ],
)
def test_a_function_that_is_no_such_probability_is_an_error(xi, message):
    """When the annotator is made."""
    with pytest.raises(InvalidInputError, match=message):
        CallableAnnotator(xi)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BradleyTerryAnnotator(0), "finite beta > 0"),
        (lambda: ThurstoneAnnotator(-1.0), "finite sigma > 0"),
        (lambda: FlipAnnotator(1.2), r"rate of flipped labels in \[0, 1\]"),
        (lambda: TieAnnotator(beta=np.inf), "finite beta > 0"),
        (lambda: TieAnnotator(threshold=-1), "finite threshold >= 0"),
    ],
)
def test_parameters_out_of_range_are_an_error(make, message):
    """When the annotator is made."""
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_the_module_names_every_annotator():
    """`embrm.simulate.annotators` holds all that can label."""
    assert all(hasattr(annotators_module, name) for name in annotators_module.__all__)
    assert {"AnnotatorPanel", "BiasedAnnotator"} < set(annotators_module.__all__)


LAPSE_DELTA = np.array([-2.0, 0.0, 1.0])


def test_lapses_pull_probabilities_towards_one_half():
    """p (1 - eps) + eps / 2."""
    base = BradleyTerryAnnotator(2.0)
    expected = 0.7 * base.probabilities(LAPSE_DELTA) + 0.15
    np.testing.assert_allclose(
        LapseAnnotator(base, 0.3).probabilities(LAPSE_DELTA), expected
    )


def test_a_lapse_is_never_a_tie():
    """Ties get rarer as lapses get more frequent."""
    base = TieAnnotator(1.0, 1.0)
    ties = [
        LapseAnnotator(base, rate).outcomes(LAPSE_DELTA, None)[1] for rate in (0, 0.4)
    ]
    np.testing.assert_allclose(ties[1], 0.6 * ties[0])


def test_an_annotator_who_always_lapses_knows_nothing():
    """One half everywhere."""
    annotator = LapseAnnotator(PerfectAnnotator(), 1.0)
    np.testing.assert_array_equal(annotator.probabilities(LAPSE_DELTA), [0.5] * 3)


def test_the_scale_is_that_of_the_base():
    """So that there is only one."""
    base = BradleyTerryAnnotator(scale="within_prompt_std")
    assert LapseAnnotator(base, 0.1).scale == "within_prompt_std"


def test_the_base_is_bound_to_the_pool(pool):
    """A bias below a lapse is checked too."""
    biased = BiasedAnnotator(PerfectAnnotator(), [1.0, 2.0], 0.5)
    with pytest.raises(InvalidInputError, match=r"a covariate of shape \(600,\)"):
        LapseAnnotator(biased, 0.1).for_pool(pool)


def test_a_panel_does_not_lapse_as_one():
    """Its members do."""
    panel = AnnotatorPanel([PerfectAnnotator()])
    with pytest.raises(InvalidInputError, match="wrap the members of a panel"):
        LapseAnnotator(panel, 0.1)


def test_a_rate_beyond_one_is_an_error():
    """It is a share."""
    with pytest.raises(InvalidInputError, match=r"rate of lapses in \[0, 1\]"):
        LapseAnnotator(PerfectAnnotator(), 10)
