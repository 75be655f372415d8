"""Calibrated annotators err as often as asked."""

import math

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    AnnotatorPanel,
    BiasedAnnotator,
    BradleyTerryAnnotator,
    CallableAnnotator,
    CrossPrompt,
    FlipAnnotator,
    KWise,
    LapseAnnotator,
    MixedPrompt,
    PerfectAnnotator,
    RankWindow,
    SamePrompt,
    ThurstoneAnnotator,
    TieAnnotator,
    Tournament,
    calibrate,
    gold_error,
    gold_scale,
    simulate,
)


def exponential(distance):
    """Approach certainty at an exponential rate."""
    return 1 - 0.5 * np.exp(-distance)


BT = BradleyTerryAnnotator()
ANNOTATORS = [
    BT,
    BradleyTerryAnnotator(scale="within_prompt_std"),
    ThurstoneAnnotator(scale=3.0),
    FlipAnnotator(0.1),
    LapseAnnotator(BradleyTerryAnnotator(5.0), 0.0),
    TieAnnotator(1.0, 0.3),
    CallableAnnotator(exponential),
    BiasedAnnotator(BT, np.arange(600) % 7, 0.2, 0.1),
    AnnotatorPanel([BT, ThurstoneAnnotator()], [1, 3]),
    AnnotatorPanel([BT, TieAnnotator()], None, 3, "majority"),
    AnnotatorPanel([BT, ThurstoneAnnotator(0.2)], None, 2, "soft"),
]


def all_pairs(pool, design, annotator):
    """Annotate every pair a design has in a pool, either way round."""
    ids = design.draw(pool, design.max_pairs(pool))
    ids = np.concatenate([ids, ids[:, ::-1]])
    delta = pool.gold[ids[:, 0]] - pool.gold[ids[:, 1]]
    scaled = delta / gold_scale(pool, annotator.scale)
    return gold_error(annotator.probabilities(scaled, ids), delta)


@pytest.mark.parametrize("annotator", ANNOTATORS)
@pytest.mark.parametrize("error_rate", [0.15, 0.3, 0.45])
def test_the_expected_error_rate_is_the_target(pool, annotator, error_rate):
    """To a tenth of a percentage point, and of the same kind of annotator."""
    found = calibrate(annotator, pool, SamePrompt(), error_rate)
    assert type(found) is type(annotator)
    expected = all_pairs(pool, SamePrompt(), found)
    assert expected == pytest.approx(error_rate, abs=0.001)


@pytest.mark.parametrize(
    "design",
    [CrossPrompt(), RankWindow(4, 5), MixedPrompt(0.5), KWise(4), Tournament()],
)
def test_the_target_is_met_on_the_design_s_own_pairs(pool, design):
    """The same annotator errs at another rate on other pairs."""
    found = calibrate(BT, pool, design, 0.3)
    again = design.with_replacement()
    expected = simulate(pool, again, found, 500_000, 1).expected_error_rate
    assert expected == pytest.approx(0.3, abs=0.002)


def test_harder_pairs_need_a_better_annotator(pool):
    """To err as often on neighbours in rank as on extremes."""
    betas = [
        calibrate(BT, pool, design, 0.3).beta
        for design in (RankWindow(0, 9), SamePrompt(), RankWindow(4, 5))
    ]
    assert betas == sorted(betas)


def test_a_sample_of_pairs_is_enough(large):
    """On another draw, the rate is within a tenth of a percentage point."""
    found = calibrate(BT, large, CrossPrompt(), 0.35, random_state=0)
    other = simulate(large, CrossPrompt(), found, 400_000, random_state=1)
    assert other.expected_error_rate == pytest.approx(0.35, abs=0.001)
    assert other.error_rate == pytest.approx(0.35, abs=0.003)


def test_designs_with_replacement_are_calibrated_too(pool):
    """Exactly, if there are few different pairs."""
    found = calibrate(BT, pool, SamePrompt(replacement=True), 0.3)
    assert all_pairs(pool, SamePrompt(), found) == pytest.approx(0.3, abs=1e-9)


def test_fewer_pairs_are_a_coarser_calibration(pool):
    """As the caller likes it."""
    found = calibrate(BT, pool, SamePrompt(), 0.3, n_pairs=500, random_state=0)
    assert all_pairs(pool, SamePrompt(), found) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("error_rate", [0.0, 0.5])
def test_the_ends_of_the_range_can_be_met(pool, error_rate):
    """Nearly no noise, and nothing but noise."""
    found = calibrate(BT, pool, SamePrompt(), error_rate)
    expected = all_pairs(pool, SamePrompt(), found)
    assert expected == pytest.approx(error_rate, abs=0.001)


@pytest.mark.parametrize("error_rate", [0.51, -0.1, 30])
def test_a_rate_above_one_half_is_an_error(pool, error_rate):
    """Noise alone cannot make labels worse than chance."""
    with pytest.raises(InvalidInputError, match=r"expected error_rate in \[0, 0.5\]"):
        calibrate(BT, pool, SamePrompt(), error_rate)


def test_a_rate_below_the_bias_is_an_error(pool):
    """The message says what can be reached."""
    taste = np.random.default_rng(0).normal(size=600)
    biased = BiasedAnnotator(BT, taste, strength=1.0)
    with pytest.raises(
        InvalidInputError, match=r"these pairs, 2\d.\d\d% to 50.00%; got 5"
    ):
        calibrate(biased, pool, SamePrompt(), 0.05)


def test_a_rate_that_falls_and_rises_with_the_noise_is_found(pool):
    """With a position bias, both no noise and much noise err more than some."""
    biased = BiasedAnnotator(BT, position=10.0)
    found = calibrate(biased, pool, SamePrompt(), 0.4995)
    expected = all_pairs(pool, SamePrompt(), found)
    assert expected == pytest.approx(0.4995, abs=0.001)


def test_a_rate_that_is_jumped_over_is_an_error():
    """All pairs have the same delta, and xi a step."""
    pool = CandidatePool(np.ones((4, 1)), [0, 0, 1, 1], gold=[0.0, 1.0, 0.0, 1.0])
    step = CallableAnnotator(lambda distance: np.where(distance > 1, 0.9, 0.5))
    with pytest.raises(
        InvalidInputError, match="an error_rate that is not jumped over"
    ):
        calibrate(step, pool, SamePrompt(), 0.3)


def test_an_annotator_without_noise_cannot_be_calibrated(pool):
    """The fix is named."""
    with pytest.raises(InvalidInputError, match=r"noise parameter.*LapseAnnotator"):
        calibrate(PerfectAnnotator(), pool, SamePrompt())


def test_pairs_of_equal_gold_cannot_be_erred_on():
    """There is no rate to meet."""
    pool = CandidatePool(np.ones((4, 1)), [0, 0, 1, 1], gold=[0.0, 0.0, 1.0, 1.0])
    with pytest.raises(InvalidInputError, match="expected pairs of different gold"):
        calibrate(BT, pool, SamePrompt())


def test_a_pool_without_pairs_is_an_error():
    """That of the design."""
    pool = CandidatePool(np.ones((2, 1)), [0, 1], gold=[0.0, 1.0])
    with pytest.raises(InvalidInputError, match=r"SamePrompt.* can form a pair"):
        calibrate(BT, pool, SamePrompt())


def test_an_error_is_a_label_on_the_wrong_side():
    """Two of four."""
    delta = np.array([1.0, 2.0, -1.0, -2.0])
    assert gold_error(np.array([1.0, 0.0, 0.0, 1.0]), delta) == 0.5


def test_pairs_of_equal_gold_do_not_count():
    """No label of theirs is wrong."""
    labels = np.array([1.0, 0.0, 1.0])
    assert gold_error(labels, np.array([0.0, 0.0, 1.0])) == 0.0


def test_a_tie_is_half_an_error():
    """As it is half a win when scores are compared."""
    assert gold_error(np.array([0.5, 1.0]), np.array([1.0, 1.0])) == 0.25


def test_the_error_of_probabilities_is_the_expected_error():
    """The mean over many draws of labels."""
    rng = np.random.default_rng(0)
    delta, chance = rng.normal(size=50), rng.random(50)
    draws = (rng.random((4000, 50)) < chance).astype(float)
    mean = np.mean([gold_error(labels, delta) for labels in draws])
    assert gold_error(chance, delta) == pytest.approx(mean, abs=0.005)


def test_without_a_difference_there_is_no_rate():
    """NaN, not zero."""
    assert math.isnan(gold_error(np.array([1.0]), np.array([0.0])))
