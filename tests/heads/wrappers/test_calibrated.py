"""CalibratedReward says 80% where it is right 80% of the time."""

import json

import numpy as np
import pytest
from scipy.special import expit

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import (
    CalibratedReward,
    HeadState,
    LinearBradleyTerry,
    order_consistency,
)
from embrm.heads.wrappers.calibrated import HeldOut, choose_method
from embrm.testing import check_head, head_checks

METHODS = ["temperature", "platt", "isotonic", "auto"]

# No calibration lets a margin widen a difference: it puts probabilities back.
NOT_PROMISED = {"a_margin_is_respected_or_refused"}


def expected_calibration_error(delta, y):
    """Of the winner's side, in ten bins of equal width."""
    confidence, right = expit(np.abs(delta)), (delta > 0) == (y == 1)
    bins = np.minimum((20 * (confidence - 0.5)).astype(int), 9)
    gaps = [
        np.sum(bins == b) * abs(np.mean(confidence[bins == b] - right[bins == b]))
        for b in np.unique(bins)
    ]
    return sum(gaps) / len(delta)


@pytest.fixture
def noisy():
    """Train and test pairs with Bradley-Terry labels, and a head that overfits them."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(6000, 60))
    pairs = Pairs(items, np.arange(6000).reshape(-1, 2))
    gold = items[:, :4].sum(axis=1) / 2
    y = (rng.random(3000) < expit(gold[pairs.first] - gold[pairs.second])).astype(int)
    return (pairs[:600], y[:600]), (pairs[600:], y[600:])


OVERSURE = LinearBradleyTerry(alpha=1e-3)


class Loud(LinearBradleyTerry):
    """A good head whose rewards are four times too large."""

    def _reward(self, items):
        return 4 * super()._reward(items)


def test_calibration_by_temperature_keeps_every_promise_of_a_head():
    """All checks that heads are put to."""
    check_head(CalibratedReward(LinearBradleyTerry(alpha=2.0), cv=3))


@pytest.mark.parametrize("method", ["platt", "isotonic", "auto"])
def test_other_calibrations_keep_every_promise_but_one(method):
    """That delta is in nats."""
    checks = [name for name, _ in head_checks() if name not in NOT_PROMISED]
    inner = LinearBradleyTerry(alpha=2.0)
    check_head(CalibratedReward(inner, method, cv=3), checks=checks)


@pytest.mark.parametrize("method", METHODS)
def test_an_over_confident_head_is_calibrated(noisy, method):
    """On prompts that neither the head nor the calibration saw."""
    train, (pairs, y) = noisy
    before = Loud().fit(*train).decision_function(pairs)
    after = CalibratedReward(Loud(), method).fit(*train).decision_function(pairs)
    assert expected_calibration_error(before, y) > 0.12
    assert expected_calibration_error(after, y) < 0.07


@pytest.mark.parametrize("method", METHODS)
def test_order_consistency_is_exactly_that_of_the_head(noisy, method):
    """Calibration changes no preference and makes no tie."""
    train, (pairs, y) = noisy
    head = CalibratedReward(OVERSURE, method).fit(*train)
    inner = head.head_.decision_function(pairs)
    delta = head.decision_function(pairs)
    assert head.score(pairs, y) == order_consistency(inner, y)
    np.testing.assert_array_equal(np.argsort(delta), np.argsort(inner))


def test_the_temperature_is_that_of_held_out_deltas(noisy):
    """Above one for a head that is too sure; the reward is divided by it."""
    train, (pairs, _) = noisy
    head = CalibratedReward(OVERSURE).fit(*train)
    assert head.temperature_ > 1.5
    assert head.n_held_out_ == 600
    np.testing.assert_allclose(
        head.reward(pairs.items) * head.temperature_, head.head_.reward(pairs.items)
    )


def test_a_factor_on_all_rewards_is_taken_off_again(noisy):
    """The temperature of the loud head is four times that of the quiet one."""
    train, (pairs, _) = noisy
    quiet = CalibratedReward(LinearBradleyTerry()).fit(*train)
    loud = CalibratedReward(Loud()).fit(*train)
    assert loud.temperature_ == pytest.approx(4 * quiet.temperature_)
    np.testing.assert_allclose(
        loud.decision_function(pairs), quiet.decision_function(pairs), rtol=1e-8
    )


def test_the_head_is_fitted_on_all_pairs(noisy):
    """Held-out fits serve the calibration alone."""
    train, _ = noisy
    head = CalibratedReward(OVERSURE).fit(*train)
    np.testing.assert_array_equal(head.head_.coef_, OVERSURE.fit(*train).coef_)


def test_too_few_held_out_wins_are_not_calibrated(make_preferences):
    """A temperature from a handful of pairs is worse than none."""
    data = make_preferences(n_prompts=3, n_responses=3)
    head = CalibratedReward(method="isotonic").fit(data.pairs, data.y)
    assert (head.temperature_, head.method_) == (1.0, "temperature")
    np.testing.assert_array_equal(
        head.decision_function(data.pairs), head.head_.decision_function(data.pairs)
    )


def test_one_pair_alone_is_not_calibrated():
    """There is no fold to hold out."""
    head = CalibratedReward().fit(Pairs(np.eye(2), [[0, 1]]))
    assert head.n_held_out_ == 0


def test_auto_keeps_the_temperature_where_it_is_enough():
    """The simplest map within one standard error of the best."""
    rng = np.random.default_rng(0)
    true = 2 * rng.normal(size=1000)
    delta = np.where(rng.random(1000) < expit(true), true, -true)
    held = HeldOut(delta, np.ones(1000), np.arange(1000) % 5)
    assert choose_method(held) == "temperature"


def test_auto_takes_a_bent_map_where_log_odds_level_off():
    """Labels flipped at random bound the odds from above."""
    rng = np.random.default_rng(0)
    true = 6 * rng.normal(size=3000)
    won = rng.random(3000) < 0.2 + 0.6 * expit(true)
    held = HeldOut(np.where(won, true, -true), np.ones(3000), np.arange(3000) % 5)
    assert choose_method(held) in ("platt", "isotonic")


def test_auto_has_nothing_to_choose_by_in_one_fold():
    """A map is tried on a fold that it was not fitted on."""
    held = HeldOut(np.ones(30), np.ones(30), np.zeros(30, dtype=int))
    assert choose_method(held) == "temperature"


@pytest.mark.parametrize("method", METHODS)
def test_the_map_travels_as_json_and_arrays(noisy, method):
    """Log odds after reloading are the same bits."""
    train, (pairs, _) = noisy
    head = CalibratedReward(OVERSURE, method).fit(*train)
    state = head.get_state()
    values = json.loads(json.dumps(dict(state.values)))
    again = CalibratedReward().set_state(HeadState(state.arrays, values, state.blobs))
    np.testing.assert_array_equal(
        again.decision_function(pairs), head.decision_function(pairs)
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "beta"}, "method: 'temperature', 'platt', 'isotonic' or 'auto'"),
        ({"cv": 1}, "cv: an integer >= 2"),
    ],
)
def test_wrong_parameters_are_refused_in_fit(make_preferences, params, message):
    """With what they may be."""
    data = make_preferences()
    with pytest.raises(InvalidInputError, match=message):
        CalibratedReward(**params).fit(data.pairs, data.y)
