"""Wrappers keep the cyclic part of a head whose delta is no difference of rewards."""

import json

import numpy as np
import pytest

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import (
    CalibratedReward,
    CenteredReward,
    GeneralPreference,
    LengthDebiased,
    RewardEnsemble,
    StackedReward,
    head_from_spec,
    head_spec,
)

CYCLIC = GeneralPreference(rank=1, alpha=1.0, block_alpha=0.01)
WRAPPERS = [
    CalibratedReward(CYCLIC),
    CalibratedReward(CYCLIC, "platt"),
    CenteredReward(CYCLIC),
    RewardEnsemble(CYCLIC, n_members=3, random_state=0),
    RewardEnsemble([CYCLIC, "linear"], bagging=None),
    StackedReward([CYCLIC, "linear"]),
    LengthDebiased(CYCLIC, cv=None),
    LengthDebiased(CYCLIC, "erase", cv=None),
    CalibratedReward(CenteredReward(CYCLIC)),
]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Rock, paper and scissors, many times: what turns left by a third wins."""
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * (np.arange(120) % 3) / 3 + 0.2 * rng.normal(size=120)
    items = np.column_stack([np.cos(angle), np.sin(angle)])
    games = np.arange(120).reshape(-1, 3)[:, [1, 0, 2, 1, 0, 2]].reshape(-1, 2)
    return Pairs(items, games, prompt_ids=np.repeat(np.arange(40), 3))


def fitted(head, pairs):
    told = {"lengths": np.full(pairs.ids.shape, 9)}
    return head.fit(pairs, **(told if isinstance(head, LengthDebiased) else {}))


@pytest.mark.parametrize("head", WRAPPERS, ids=str)
def test_who_beats_whom_is_that_of_the_head_inside(head, pairs):
    """No reward orders a circle better than by half; its pairs are all ordered."""
    wrapper = fitted(head, pairs)
    assert not wrapper.is_transitive
    assert wrapper.score(pairs) > 0.95
    delta = wrapper.decision_function(pairs)
    np.testing.assert_array_equal(wrapper.decision_function(pairs.swap()), -delta)


@pytest.mark.parametrize("head", WRAPPERS, ids=str)
def test_a_stored_wrapper_gives_the_same_deltas(head, pairs):
    """The cycles are in the state of the head inside."""
    wrapper = fitted(head, pairs)
    spec = json.loads(json.dumps(head_spec(wrapper)))
    loaded = head_from_spec(spec).set_state(wrapper.get_state())
    np.testing.assert_array_equal(
        loaded.decision_function(pairs), wrapper.decision_function(pairs)
    )


def test_calibration_sees_the_whole_delta(pairs):
    """Half of the labels turned: the temperature tames the cycles, too."""
    y = np.random.default_rng(0).integers(0, 2, len(pairs))
    head = CalibratedReward(CYCLIC).fit(pairs, y)
    assert head.temperature_ > 2.0
    delta = head.decision_function(pairs)
    inner = head.head_.decision_function(pairs)
    np.testing.assert_allclose(delta, inner / head.temperature_, rtol=1e-12)


def test_an_ensemble_says_how_far_its_members_agree_about_cycles(pairs):
    """The deviation is that of the members' deltas."""
    head = RewardEnsemble(CYCLIC, n_members=3, random_state=0).fit(pairs)
    delta, std = head.decision_function(pairs, return_std=True)
    deltas = [member.decision_function(pairs) for member in head.members_]
    np.testing.assert_allclose(delta, np.mean(deltas, axis=0), rtol=1e-9)
    np.testing.assert_allclose(std, np.std(deltas, axis=0), rtol=1e-9)


def test_the_report_on_length_counts_whole_deltas(pairs):
    """Held-out circles are ordered, with length and without."""
    head = LengthDebiased(CYCLIC, cv=2)
    lengths = np.random.default_rng(0).integers(5, 99, pairs.ids.shape)
    report = head.fit(pairs, lengths=lengths).report_
    assert report.order_consistency_before > 0.95
    assert report.order_consistency_after > 0.95


@pytest.mark.parametrize("aggregate", ["min", "lower", "quantile"])
def test_pessimism_about_rewards_is_refused(aggregate, pairs):
    """The least of several rewards says nothing about a cycle."""
    head = RewardEnsemble(CYCLIC, n_members=2, aggregate=aggregate)
    with pytest.raises(InvalidInputError, match=r"GeneralPreference.*may be cyclic"):
        head.fit(pairs)


def test_centring_by_prompt_moves_deltas_in_one_unit(pairs):
    """Means of prompts are taken off, and all is divided by one deviation."""
    head = CenteredReward(CYCLIC, "prompt").fit(pairs)
    head.calibrate(pairs.items, pairs.prompt_ids)
    inner = head.head_.decision_function(pairs)
    np.testing.assert_allclose(
        head.decision_function(pairs), inner / head.scale_[0], rtol=1e-9
    )


def test_a_cycle_between_domains_with_their_own_units_is_refused(pairs):
    """Within a domain it is divided by that domain's deviation."""
    head = CenteredReward(CYCLIC, "domain").fit(pairs)
    domains = np.where(np.arange(120) < 60, "code", "chat")
    head.calibrate(pairs.items, domains)
    inside = head.decision_function(pairs, domains)
    inner = head.head_.decision_function(pairs)
    scale = head.scale_[(domains[pairs.first] == "code").astype(int)]
    np.testing.assert_allclose(inside, inner / scale, rtol=1e-9)
    across = Pairs(pairs.items, [[0, 1], [0, 119]])
    with pytest.raises(InvalidInputError, match=r"within one domain.*in pair 1"):
        head.decision_function(across, domains)
