"""What every annotator keeps to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from embrm.simulate.annotation import as_annotator, draw_labels

ANNOTATORS = [
    BradleyTerryAnnotator(2.0),
    ThurstoneAnnotator(0.7),
    PerfectAnnotator(),
    FlipAnnotator(0.2),
    LapseAnnotator(BradleyTerryAnnotator(), 0.1),
    LapseAnnotator(TieAnnotator(), 0.2),
    TieAnnotator(1.5, 0.8),
    CallableAnnotator(lambda distance: 1 - 0.5 * np.exp(-distance)),
    BiasedAnnotator(BradleyTerryAnnotator()),
    AnnotatorPanel([BradleyTerryAnnotator(), FlipAnnotator(0.1)], [3, 1]),
    AnnotatorPanel([TieAnnotator(), PerfectAnnotator()], None, 3, "majority"),
    AnnotatorPanel([TieAnnotator(), FlipAnnotator(0.3)], None, 4, "majority"),
    AnnotatorPanel([ThurstoneAnnotator(), PerfectAnnotator()], None, 3, "soft"),
]
every_annotator = pytest.mark.parametrize("annotator", ANNOTATORS)


@given(
    delta=st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20),
    annotator=st.sampled_from(ANNOTATORS),
)
@settings(deadline=None, max_examples=150)
def test_swapping_a_pair_swaps_its_probability(delta, annotator):
    """P(first) and P(second) add up to one, whatever the size of delta."""
    forth = annotator.probabilities(delta)
    back = annotator.probabilities(-np.array(delta))
    assert ((forth >= 0) & (forth <= 1)).all()
    np.testing.assert_allclose(forth + back, 1.0, atol=1e-12)


@every_annotator
def test_a_larger_difference_is_no_harder_to_see(annotator):
    """Probabilities do not decrease in delta."""
    grid = np.concatenate([-np.geomspace(1e4, 1e-6, 300), np.geomspace(1e-6, 1e4, 300)])
    assert (np.diff(annotator.probabilities(grid)) >= -1e-12).all()


@every_annotator
@pytest.mark.parametrize("delta", [-1.2, 0.0, 0.4])
def test_labels_have_the_expected_mean(annotator, delta):
    """Within four standard errors of the probability."""
    annotation = annotator.annotate(np.full(20_000, delta), random_state=0)
    assert annotation.y.mean() == pytest.approx(annotation.probabilities[0], abs=0.0142)
    assert annotator.probabilities(delta) == pytest.approx(annotation.probabilities[0])


@every_annotator
def test_labels_follow_the_seed(annotator):
    """The same labels for the same seed, others for another."""
    delta = np.linspace(-0.1, 0.1, 400)
    labels = annotator.annotate(delta, random_state=1).y
    np.testing.assert_array_equal(labels, annotator.annotate(delta, random_state=1).y)
    if not isinstance(annotator, PerfectAnnotator):
        assert (labels != annotator.annotate(delta, random_state=2).y).any()


@every_annotator
def test_labels_are_labels(annotator):
    """float64 in [0, 1], one per pair; none for no pairs."""
    y = annotator.annotate(np.linspace(-2, 2, 30), random_state=0).y
    assert y.dtype == np.float64
    assert y.shape == (30,)
    assert ((y >= 0) & (y <= 1)).all()
    assert annotator.annotate([], random_state=0).y.shape == (0,)


@every_annotator
def test_a_rescaled_annotator_has_another_scale(annotator):
    """And is of the same kind."""
    rescaled = annotator.rescaled(2.5)
    assert rescaled.scale == 2.5
    assert annotator.scale == "std"
    assert type(rescaled) is type(annotator)


@every_annotator
def test_deltas_that_are_not_finite_are_an_error(annotator):
    """They would be labelled at random."""
    with pytest.raises(InvalidInputError, match="expected finite deltas"):
        annotator.annotate([0.0, np.nan])


@every_annotator
def test_the_noise_parameter_can_be_set(annotator):
    """To either end of its range; an annotator without one stays as it is."""
    noise = annotator.noise_parameter()
    for value in () if noise is None else (noise.low, noise.high):
        changed = annotator.with_noise(value)
        assert type(changed) is type(annotator)
        changed.probabilities([0.5])


def test_less_noise_errs_on_fewer_of_the_same_pairs():
    """With the same seed, what a careful annotator gets wrong a hasty one does too."""
    delta = np.random.default_rng(0).normal(size=3000)
    wrong = [
        BradleyTerryAnnotator(beta).annotate(delta, random_state=0).y != (delta > 0)
        for beta in (0.5, 3.0)
    ]
    assert wrong[1].sum() < wrong[0].sum()
    assert not (wrong[1] & ~wrong[0]).any()


def test_three_outcomes_are_drawn_by_their_shares():
    """First, tie and second."""
    first, tie = np.full((2, 30_000), [[0.2], [0.5]])
    labels = draw_labels(first, tie, np.random.default_rng(0))
    shares = [np.mean(labels == label) for label in (1.0, 0.5, 0.0)]
    assert shares == pytest.approx([0.2, 0.5, 0.3], abs=0.012)


@pytest.mark.parametrize("value", [BradleyTerryAnnotator, 0.3])
def test_what_is_no_annotator_is_an_error(value):
    """A class instead of an instance, for example."""
    with pytest.raises(InvalidInputError, match="expected an annotator; got"):
        as_annotator(value)
