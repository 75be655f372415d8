"""CenteredReward has mean 0 and variance 1 where it is told to."""

import json

import numpy as np
import pytest

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import CenteredReward, HeadState
from embrm.testing import check_head, head_checks


@pytest.fixture
def data(make_preferences):
    """Preferences within thirty prompts."""
    return make_preferences(error_rate=0.1)


@pytest.fixture
def pool():
    """Reference items of three domains with levels and spreads of their own."""
    rng = np.random.default_rng(1)
    domains = np.repeat(["chat", "code", "math"], 50)
    level = np.repeat([0.0, 2.0, -1.0], 50)[:, None]
    return rng.normal(size=(150, 5)) * (1 + np.abs(level)) + level, domains


def fit(data, **params):
    return CenteredReward(**params).fit(data.pairs, data.y)


def test_a_centered_head_keeps_every_promise_of_a_head():
    """In nats all of them."""
    check_head(CenteredReward(scale=False))


def test_a_scaled_head_keeps_every_promise_but_one():
    """A unit of one standard deviation takes a margin's wider logit back."""
    but = "a_margin_is_respected_or_refused"
    checks = [name for name, _ in head_checks() if name != but]
    check_head(CenteredReward(scope="domain"), checks=checks)


def test_training_items_are_the_first_reference(data):
    """Mean 0 and variance 1 right after fit."""
    reward = fit(data).reward(data.pairs.items)
    assert reward.mean() == pytest.approx(0, abs=1e-12)
    assert reward.std() == pytest.approx(1)


def test_a_global_reference_has_mean_zero_and_variance_one(data, pool):
    """The affine map of the head's own reward."""
    items, _ = pool
    head = fit(data).calibrate(items)
    reward, raw = head.reward(items), head.head_.reward(items)
    np.testing.assert_allclose(reward, (raw - raw.mean()) / raw.std(), atol=1e-12)
    assert reward.std() == pytest.approx(1)


def test_without_scale_the_unit_stays_the_nat(data, pool):
    """Delta and probability are the head's."""
    head = fit(data, scale=False).calibrate(pool[0])
    assert head.reward(pool[0]).mean() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(
        head.predict_proba(data.pairs), head.head_.predict_proba(data.pairs)
    )


def test_every_domain_has_mean_zero_and_variance_one(data, pool):
    """Whatever its own level and spread."""
    items, domains = pool
    reward = fit(data, scope="domain").calibrate(items, domains).reward(items, domains)
    for domain in ("chat", "code", "math"):
        part = reward[domains == domain]
        assert part.mean() == pytest.approx(0, abs=1e-12)
        assert part.std() == pytest.approx(1)


def test_every_prompt_has_mean_zero_and_one_spread_is_for_all(data):
    """Pooled within prompts: its mean square over all of them is one."""
    items, prompts = data.pairs.items, data.pairs.prompt_ids
    head = fit(data, scope="prompt").calibrate(items, prompts)
    reward = head.reward(items, prompts)
    means = np.bincount(prompts, reward) / np.bincount(prompts)
    np.testing.assert_allclose(means, 0, atol=1e-12)
    assert np.mean(reward**2) == pytest.approx(1)
    assert np.ptp(head.scale_) == 0


def test_a_shift_of_every_prompt_cancels(data):
    """r(x, y) + C(x) has the likelihood of r, and the same centred reward."""
    items, prompts = data.pairs.items, data.pairs.prompt_ids
    head = fit(data, scope="prompt").calibrate(items, prompts)
    before = head.reward(items, prompts)
    shift = np.random.default_rng(0).normal(size=(len(np.unique(prompts)), 5))
    shifted = items + shift[prompts]
    after = head.calibrate(shifted, prompts).reward(shifted, prompts)
    np.testing.assert_allclose(after, before, atol=1e-10)


def test_within_a_domain_order_is_that_of_the_head(data, pool):
    """An affine map with a positive factor."""
    items, domains = pool
    head = fit(data, scope="domain").calibrate(items, domains)
    ids = np.random.default_rng(0).integers(50, 100, (40, 2))
    delta = head.decision_function(Pairs(items, ids), domains)
    inner = head.head_.decision_function(Pairs(items, ids))
    np.testing.assert_allclose(delta * head.scale_[1], inner, atol=1e-10)


def test_delta_across_domains_is_the_difference_of_rewards(data, pool):
    """And negated by a swap, exactly."""
    items, domains = pool
    head = fit(data, scope="domain").calibrate(items, domains)
    pairs = Pairs(items, np.random.default_rng(0).integers(0, 150, (60, 2)))
    reward = head.reward(items, domains)
    delta = head.decision_function(pairs, domains)
    np.testing.assert_array_equal(delta, reward[pairs.first] - reward[pairs.second])
    np.testing.assert_array_equal(head.decision_function(pairs.swap(), domains), -delta)


def test_pairs_bring_their_prompts_along(data):
    """With scope="prompt" their prompt_ids are the groups."""
    items, prompts = data.pairs.items, data.pairs.prompt_ids
    head = fit(data, scope="prompt").calibrate(items, prompts)
    np.testing.assert_array_equal(
        head.decision_function(data.pairs),
        head.decision_function(Pairs(items, data.pairs.ids), prompts),
    )
    assert 0 <= head.score(data.pairs, data.y) <= 1


def test_a_later_fit_forgets_the_reference(data, pool):
    """The reference belongs to the head that was calibrated with it."""
    head = fit(data, scope="domain").calibrate(*pool)
    assert head.fit(data.pairs, data.y).domains_ is None


def test_equal_reference_rewards_are_centred_and_not_divided(data):
    """A pool of one item has no spread."""
    head = fit(data).calibrate(data.pairs.items[:1])
    assert head.reward(data.pairs.items[:1])[0] == 0
    assert head.scale_.tolist() == [1.0]


@pytest.mark.parametrize("names", [["a", "b"], [7, 9], np.array(["x", "y"], object)])
def test_domains_travel_as_json(data, names):
    """Strings and integers alike."""
    items, domains = data.pairs.items[:8], np.repeat(names, 4)
    head = fit(data, scope="domain").calibrate(items, domains)
    state = head.get_state()
    values = json.loads(json.dumps(dict(state.values)))
    again = CenteredReward(scope="domain")
    again.set_state(HeadState(state.arrays, values, state.blobs))
    np.testing.assert_array_equal(
        again.reward(items, domains), head.reward(items, domains)
    )


def test_a_state_that_lacks_a_domain_is_refused(data, pool):
    """Means and names belong together."""
    state = fit(data, scope="domain").calibrate(*pool).get_state()
    damaged = HeadState(state.arrays, {**state.values, "domains": ["chat"]})
    with pytest.raises(IntegrityError, match="size groups = 1"):
        CenteredReward(scope="domain").set_state(damaged)


def test_missing_domains_are_asked_for(data, pool):
    """Once rewards are centred by domain, an item without one has no reward."""
    head = fit(data, scope="domain")
    with pytest.raises(InvalidInputError, match="the domain of each item"):
        head.calibrate(pool[0])
    head.calibrate(*pool)
    with pytest.raises(InvalidInputError, match=r"pass domains=\.\.\., or use scope"):
        head.reward(pool[0])
    with pytest.raises(InvalidInputError, match="the domain of each item"):
        head.predict(data.pairs)


def test_an_unknown_domain_is_refused(data, pool):
    """It has no zero."""
    head = fit(data, scope="domain").calibrate(*pool)
    with pytest.raises(InvalidInputError, match=r"got 1 unknown, e\.g\. 'law'"):
        head.reward(pool[0][:2], ["chat", "law"])


def test_too_few_domains_are_refused(data, pool):
    """One for each item."""
    with pytest.raises(InvalidInputError, match=r"domains of shape \(150,\)"):
        fit(data, scope="domain").calibrate(pool[0], pool[1][:-1])


def test_an_empty_reference_is_refused(data, pool):
    """It has no mean."""
    with pytest.raises(InvalidInputError, match="at least one reference item"):
        fit(data).calibrate(pool[0][:0])


def test_an_unknown_scope_is_refused(data):
    """With what it may be."""
    with pytest.raises(InvalidInputError, match="'global', 'domain' or 'prompt'"):
        fit(data, scope="task")
