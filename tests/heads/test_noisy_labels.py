"""Heads allow for flipped labels, at rates that are known, or found out."""

from dataclasses import replace

import numpy as np
import pytest

from embrm import Pairs
from embrm.exceptions import EmbrmWarning, InvalidInputError
from embrm.heads import LinearBradleyTerry, SiameseBradleyTerry
from embrm.heads.boosted.bradley_terry import BoostedBradleyTerry
from embrm.heads.comparisons import make_comparisons

NAMES = np.array(["ann", "bob", "cy"])
RATES = np.array([0.0, 0.1, 0.3])
FAST = {
    "linear": lambda **params: LinearBradleyTerry(**params),
    "siamese": lambda **params: SiameseBradleyTerry(
        16, ensemble_size=1, max_epochs=5, random_state=0, **params
    ),
    "boosted": lambda **params: BoostedBradleyTerry(
        max_rounds=30, random_state=0, **params
    ),
}


@pytest.fixture(params=FAST)
def make(request):
    """Make a head that allows for flips, fast to fit."""
    return FAST[request.param]


def draw_with_flips(rates, n_pairs=4000):
    """Labels from a steep reward, flipped at the rate of each pair."""
    rng = np.random.default_rng(6)
    items = rng.normal(size=(400, 4))
    ids = rng.integers(400, size=(n_pairs, 2))
    ids[:, 1] = np.where(ids[:, 0] == ids[:, 1], (ids[:, 0] + 1) % 400, ids[:, 1])
    delta = (items[ids[:, 0]] - items[ids[:, 1]]) @ [2.0, -1.5, 1.0, 0.0]
    y = rng.random(n_pairs) < 1 / (1 + np.exp(-delta))
    return Pairs(items, ids), np.where(rng.random(n_pairs) < rates, ~y, y)


@pytest.fixture(scope="module")
def three_annotators():
    """Pairs, labels and who made them; one answers at random in 60% of cases."""
    who = np.random.default_rng(8).integers(3, size=4000)
    return (*draw_with_flips(RATES[who]), NAMES[who])


@pytest.mark.parametrize("link", ["logit", "probit"])
@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_the_planted_flip_rate_is_estimated(rate, link):
    """Steep rewards make most pairs certain, which tells flips from doubt."""
    pairs, y = draw_with_flips(rate)
    head = LinearBradleyTerry(alpha=1.0, link=link, noise="estimate").fit(pairs, y)
    assert head.flip_rate_ == pytest.approx(rate, abs=0.04)
    wanted = np.array([2.0, -1.5, 1.0, 0.0]) / (1.7 if link == "probit" else 1.0)
    np.testing.assert_allclose(head.coef_, wanted, atol=0.45)


def test_the_flip_rates_of_annotators_are_estimated(make, three_annotators):
    """The same by every head, under the names that were told."""
    pairs, y, who = three_annotators
    head = make(noise="estimate").fit(pairs, y, annotator=who)
    assert head.annotators_.tolist() == NAMES.tolist()
    np.testing.assert_allclose(head.flip_rates_, RATES, atol=0.05)
    assert head.flip_rate_ == pytest.approx(np.mean(head.flip_rates_), abs=0.02)


def test_rates_are_found_by_vectors_of_many_dimensions(make_preferences):
    """Where a head fits the labels of its own pairs, wrong ones included."""
    data = make_preferences(n_prompts=150, n_responses=4, d=300)
    who = np.random.default_rng(0).integers(3, size=len(data.y))
    planted = np.array([0.0, 0.2, 0.45])[who]
    flipped = np.random.default_rng(1).random(len(who)) < planted
    y = np.where(flipped, 1 - data.y, data.y)
    rates = LinearBradleyTerry(noise="estimate").fit(data.pairs, y, annotator=who)
    assert rates.flip_rates_[0] < 0.15 < rates.flip_rates_[2] - 0.1
    assert np.all(np.diff(rates.flip_rates_) > 0)


def test_telling_annotators_orders_unseen_pairs_better(make):
    """Half of the labels are coin tosses, and the head is told whose."""
    who = np.random.default_rng(8).integers(2, size=600)
    pairs, y = draw_with_flips(np.array([0.0, 0.49])[who], 600)
    test, truth = draw_with_flips(0.0)
    plain = make().fit(pairs, y).score(test, truth)
    told = make(noise="estimate").fit(pairs, y, annotator=who).score(test, truth)
    assert told > plain


def test_a_flip_rate_that_cannot_be_told_is_said_to_be(make, make_preferences):
    """A few pairs of shallow reward are explained by any rate."""
    data = make_preferences(n_prompts=8, n_responses=3, error_rate=0.3)
    with pytest.warns(EmbrmWarning, match="flip rate is not identified"):
        make(noise="estimate").fit(data.pairs, data.y)


def test_a_known_flip_rate_makes_rewards_steeper(make, make_preferences):
    """Certain pairs no longer have to be explained away."""
    data = make_preferences(n_prompts=60, error_rate=0.2)
    plain = make().fit(data.pairs, data.y).decision_function(data.pairs)
    head = make(noise=0.2).fit(data.pairs, data.y)
    assert np.std(head.decision_function(data.pairs)) > 1.2 * np.std(plain)
    assert head.flip_rate_ == pytest.approx(0.2)


def test_flips_that_comparisons_know_of_are_allowed_for(make, three_annotators):
    """A head without a rate of its own takes the rates it is given."""
    pairs, y, _ = three_annotators
    wins = make_comparisons(pairs[:800], y[:800])
    known = replace(wins, flip_rate=np.full(len(wins), 0.2))
    told = make().fit_comparisons(known)
    same = make(noise=0.2).fit_comparisons(wins)
    np.testing.assert_array_equal(
        told.decision_function(pairs), same.decision_function(pairs)
    )
    assert told.flip_rate_ == pytest.approx(0.2)


def test_what_was_estimated_is_stored(make, three_annotators):
    """Names, rates and rewards come back."""
    pairs, y, who = (part[:600] for part in three_annotators)
    head = make(noise="estimate").fit(pairs, y, annotator=who)
    other = make(noise="estimate").set_state(head.get_state())
    np.testing.assert_array_equal(other.flip_rates_, head.flip_rates_)
    np.testing.assert_array_equal(other.annotators_, head.annotators_)
    assert other.flip_rate_ == head.flip_rate_
    np.testing.assert_array_equal(
        other.decision_function(pairs), head.decision_function(pairs)
    )


def test_an_annotator_without_pairs_has_no_rate():
    """Weight zero takes all pairs of the second away."""
    pairs, y = draw_with_flips(0.1, 300)
    who = np.arange(300) % 3
    head = LinearBradleyTerry(alpha=0.1, noise="estimate")
    head.fit(pairs, y, annotator=who, sample_weight=who != 1)
    assert np.isnan(head.flip_rates_).tolist() == [False, True, False]


def test_one_pair_has_no_rate_to_tell(make):
    """Nothing is left to fit to, and the rate stays between its bounds."""
    with pytest.warns(EmbrmWarning, match="flip rate is not identified"):
        head = make(noise="estimate").fit(Pairs(np.eye(2), [[0, 1]]))
    assert 0 < head.flip_rate_ < 0.5


@pytest.mark.parametrize("noise", [0.5, -0.1, "guess", [0.1]])
def test_a_rate_that_is_none_is_refused(make, noise):
    """Above one half the opposite label would be the truer one."""
    with pytest.raises(InvalidInputError, match="noise"):
        make(noise=noise).fit(Pairs(np.eye(2), [[0, 1]]))
