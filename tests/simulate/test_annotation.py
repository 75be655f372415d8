"""What every annotator keeps to."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm import CandidatePool
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
    gold_scale,
)
from embrm.simulate.annotation import as_annotator, draw_labels, majority_outcomes

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
@settings(max_examples=150)
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


def enumerate_votes(first, tie, n_votes):
    """Sum the probability of every sequence of votes by which side has more."""
    chance = {1: first, 0: tie, -1: 1 - first - tie}
    won = drawn = 0.0
    for votes in itertools.product((1, 0, -1), repeat=n_votes):
        probability = np.prod([chance[vote] for vote in votes])
        won += probability * (sum(votes) > 0)
        drawn += probability * (sum(votes) == 0)
    return won, drawn


@given(
    first=st.floats(0, 1),
    tie=st.floats(0, 1),
    n_votes=st.integers(1, 5),
)
@settings(max_examples=100)
def test_the_majority_agrees_with_all_votes(first, tie, n_votes):
    """Ties of single votes and of the whole included."""
    tie = min(tie, 1 - first)
    win, draw = majority_outcomes(np.array([first]), np.array([tie]), n_votes)
    expected = enumerate_votes(first, tie, n_votes)
    draw = np.zeros(1) if draw is None else draw
    assert (win[0], draw[0]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n_votes", "can_draw"), [(3, False), (4, True)])
def test_an_odd_number_of_votes_cannot_draw(n_votes, can_draw):
    """Where no single vote is a tie."""
    draw = majority_outcomes(np.array([0.6]), None, n_votes)[1]
    assert (draw is not None) == can_draw


def test_thousands_of_votes_do_not_overflow():
    """They come to a clear majority."""
    win, draw = majority_outcomes(np.array([0.4, 0.5, 0.6]), None, 4000)
    assert win.round(6).tolist() == [0.0, pytest.approx(0.4937, abs=1e-4), 1.0]
    assert draw[1] == pytest.approx(1 - 2 * win[1])


def test_one_vote_is_its_own_majority():
    """Nothing is computed."""
    first, tie = np.array([0.3]), np.array([0.2])
    assert majority_outcomes(first, tie, 1) == (first, tie)
