"""Columns of unit variance: where they are computed, and what the linear head does."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.heads.linear import in_place_problem
from embrm.heads.linear.column_scale import mean_and_scale

UNITS = np.array([1e-4, 1.0, 30.0, 1e2, 0.1])


@pytest.fixture
def data(make_preferences):
    """Preferences over items in five dimensions."""
    return make_preferences(n_prompts=60, error_rate=0.1)


def in_units(pairs, units):
    return Pairs(pairs.items * units, pairs.ids, pairs.prompt_ids)


def test_mean_and_scale_are_those_of_numpy():
    """Whatever the number of blocks."""
    items = np.random.default_rng(0).normal(3.0, 2.0, size=(9000, 3))
    mean, scale = mean_and_scale(items.astype(np.float32))
    np.testing.assert_allclose(mean, items.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scale, items.std(axis=0), rtol=1e-6)


def test_a_constant_column_has_scale_one():
    """Rounding is no variance."""
    items = np.random.default_rng(0).normal(size=(50, 2))
    items[:, 1] = 0.1
    assert mean_and_scale(items)[1][1] == 1.0


@pytest.mark.parametrize("in_place", [False, True])
def test_the_units_of_columns_do_not_matter(monkeypatch, data, in_place):
    """A standardised prior, chosen or given, means the same in any units."""
    if in_place:
        monkeypatch.setattr(in_place_problem, "_WORTH_LEAVING", 0)
    other = in_units(data.pairs, UNITS)
    for head in (LinearBradleyTerry(1.0, standardise=True), LinearBradleyTerry()):
        one = head.fit(data.pairs, data.y)
        wanted = one.reward(data.pairs.items, return_std=True)
        alpha = one.alpha_
        again = LinearBradleyTerry(alpha, standardise=True).fit(other, data.y)
        got = again.reward(other.items, return_std=True)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_given_penalty_is_that_of_the_weights_themselves(data):
    """As in logistic regression, unless asked for."""
    head = LinearBradleyTerry(alpha=1.0).fit(data.pairs, data.y)
    assert (head.scale_ == 1.0).all()


def test_few_items_are_not_standardised(make_preferences):
    """The variance of a column of twelve says little."""
    few = make_preferences(n_prompts=3)
    head = LinearBradleyTerry().fit(few.pairs, few.y)
    assert (head.scale_ == 1.0).all()


def test_the_posterior_is_that_of_scaled_items(data):
    """Standard deviations and covariance, in the units of the user."""
    items = data.pairs.items * UNITS
    head = LinearBradleyTerry(1.0, standardise=True)
    head.fit(in_units(data.pairs, UNITS), data.y)
    gap = items - head.mean_
    wanted = np.sqrt(np.einsum("ij,jk,ik->i", gap, head.covariance_, gap))
    np.testing.assert_allclose(head.reward(items, return_std=True)[1], wanted)


def test_learning_in_parts_keeps_the_scale(data):
    """partial_fit adds to the posterior of the same standardised weights."""
    pairs, half = in_units(data.pairs, UNITS), len(data.y) // 2
    whole = LinearBradleyTerry(1.0, standardise=True).fit(pairs, data.y)
    parts = LinearBradleyTerry(1.0, standardise=True)
    parts.fit(pairs[:half], data.y[:half]).partial_fit(pairs[half:], data.y[half:])
    one, other = (head.reward(pairs.items) for head in (whole, parts))
    assert np.corrcoef(one, other)[0, 1] > 0.99


def test_the_scale_is_part_of_the_state(data):
    """Standard deviations after loading are the same."""
    head = LinearBradleyTerry().fit(in_units(data.pairs, UNITS), data.y)
    items = data.pairs.items * UNITS
    restored = LinearBradleyTerry().set_state(head.get_state())
    np.testing.assert_array_equal(restored.scale_, head.scale_)
    np.testing.assert_array_equal(
        restored.reward(items, return_std=True)[1],
        head.reward(items, return_std=True)[1],
    )


def test_a_warm_start_is_in_the_units_of_the_user(data):
    """A second fit starts at the first one's minimum."""
    pairs = in_units(data.pairs, UNITS)
    head = LinearBradleyTerry(1.0, standardise=True, warm_start=True)
    first = head.fit(pairs, data.y).n_iter_
    assert head.fit(pairs, data.y).n_iter_ < first


def test_columns_are_left_alone_where_that_does_better(make_preferences):
    """A reward in the columns of large variance is what the plain ridge expects."""
    rng = np.random.default_rng(0)
    data = make_preferences(n_prompts=80, d=60, error_rate=0.1)
    spread = np.concatenate([[8.0, 4.0], np.full(58, 0.1)])
    items = data.pairs.items * spread
    gold = items[:, 0] + items[:, 1]
    y = gold[data.pairs.first] > gold[data.pairs.second]
    y = np.where(rng.random(len(y)) < 0.2, ~y, y)
    pairs = Pairs(items, data.pairs.ids, data.pairs.prompt_ids)
    assert not LinearBradleyTerry().fit(pairs, y).standardise_


def test_columns_are_standardised_where_small_ones_tell(make_preferences):
    """The plain ridge cannot see a column in units of a millionth."""
    data = make_preferences(n_prompts=80, d=6, error_rate=0.1)
    items = data.pairs.items * np.array([1e-6, 1.0, 1.0, 1.0, 1.0, 1e-6])
    pairs = Pairs(items, data.pairs.ids, data.pairs.prompt_ids)
    head = LinearBradleyTerry().fit(pairs, data.y)
    assert head.standardise_
    plain = LinearBradleyTerry(standardise=False).fit(pairs, data.y)
    gold = np.argsort(np.argsort(data.gold))
    far = [np.corrcoef(h.reward(items), gold)[0, 1] for h in (head, plain)]
    assert far[0] > far[1] + 0.1


def test_another_word_for_standardise_is_refused(data):
    """The message names what is known."""
    with pytest.raises(InvalidInputError, match="standardise"):
        LinearBradleyTerry(standardise="yes").fit(data.pairs, data.y)


def test_a_column_that_rules_keeps_its_scale(make_preferences):
    """Who makes one column larger than all others together wants it so."""
    data = make_preferences(n_prompts=80, d=6, error_rate=0.1)
    items = data.pairs.items * np.array([5.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    pairs = Pairs(items, data.pairs.ids, data.pairs.prompt_ids)
    assert not LinearBradleyTerry().fit(pairs, data.y).standardise_
    assert LinearBradleyTerry(standardise=True).fit(pairs, data.y).standardise_
