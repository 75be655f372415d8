"""Heads allow for flipped labels, at rates that are known, or found out."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtr

from embrm import Pairs
from embrm.exceptions import EmbrmWarning, InvalidInputError
from embrm.heads import (
    BoostedBradleyTerry,
    CalibratedReward,
    CenteredReward,
    LinearBradleyTerry,
    RewardEnsemble,
    SiameseBradleyTerry,
    StackedReward,
    make_comparisons,
)
from embrm.heads.base import name_annotators
from embrm.heads.noisy_labels import (
    AnnotatedLogits,
    estimate_flip_rates,
    likely_rates,
)

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


JUDGE = LinearBradleyTerry(noise="estimate", posterior=False)
WRAPPERS = {
    "calibrated": CalibratedReward(JUDGE),
    "centered": CenteredReward(JUDGE),
    "ensemble": RewardEnsemble(JUDGE, n_members=3, random_state=0),
    "stacked": StackedReward([JUDGE, "logistic"], random_state=0),
    "wrapped twice": CenteredReward(CalibratedReward(JUDGE)),
}


def innermost(head):
    """The head that estimates the rates."""
    while not isinstance(head, LinearBradleyTerry):
        head = head.members_[0] if hasattr(head, "members_") else head.head_
    return head


@pytest.mark.parametrize("name", WRAPPERS)
def test_heads_in_wrappers_hear_who_labelled(name, make_preferences):
    """Half of what Bob says is the opposite of the truth."""
    data = make_preferences(n_prompts=80)
    who = np.where(np.random.default_rng(0).random(len(data.y)) < 0.5, "ann", "bob")
    flipped = (who == "bob") & (np.random.default_rng(1).random(len(who)) < 0.5)
    y = np.where(flipped, 1 - data.y, data.y)
    head = WRAPPERS[name].fit(data.pairs, y, annotator=who)
    judge = innermost(head)
    assert judge.annotators_.tolist() == ["ann", "bob"]
    assert judge.flip_rates_[0] < 0.1 < 0.3 < judge.flip_rates_[1]


@pytest.mark.parametrize(
    "head",
    [LinearBradleyTerry(), LinearBradleyTerry(noise=0.1), CenteredReward("linear")],
)
def test_annotators_that_nobody_asks_for_are_refused(head):
    """Nothing would be done with them."""
    with pytest.raises(InvalidInputError, match="annotator with noise='estimate'"):
        head.fit(Pairs(np.eye(2), [[0, 1]]), annotator=["a"])


@pytest.mark.parametrize(
    ("annotator", "message"),
    [
        ([0.5], "annotator of shape .*; got shape .1,., dtype float64"),
        ([["a"]], "annotator of shape"),
        (["a", "b"], "annotator of shape .1,., one per pair"),
    ],
)
def test_annotators_that_cannot_be_used_are_refused(annotator, message):
    """They need names, and one for each pair."""
    with pytest.raises(InvalidInputError, match=message):
        JUDGE.fit(Pairs(np.eye(2), [[0, 1]]), annotator=annotator)


def test_annotators_are_numbered_in_the_order_of_their_names():
    """Objects are taken by their text."""
    names, codes = name_annotators(np.array(["b", "a", "b"], dtype=object))
    assert (names.tolist(), codes.tolist()) == (["a", "b"], [1, 0, 1])


def test_an_update_goes_by_the_flip_rates_of_annotators(three_annotators):
    """Those whom the fit knew have their rates, others that of all."""
    pairs, y, who = three_annotators
    first, rest = slice(0, 3500), slice(3500, 4000)

    def update(annotator):
        head = LinearBradleyTerry(alpha=1.0, noise="estimate")
        head.fit(pairs[first], y[first], annotator=who[first])
        start = head.coef_
        head.partial_fit(pairs[rest], y[rest], annotator=annotator)
        return np.linalg.norm(head.coef_ - start)

    trusted, doubted = (update(np.full(500, name)) for name in ("ann", "cy"))
    unknown, none = update(np.full(500, "dora")), update(None)
    assert doubted < trusted
    assert unknown == pytest.approx(none)
    with pytest.raises(InvalidInputError, match="annotator with noise='estimate'"):
        LinearBradleyTerry().fit(pairs, y).partial_fit(pairs, y, annotator=who)


def annotated(rates, n_each, *, size=3.0, seed=0, link=expit):
    """Wins as annotators with these rates would label steep deltas."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(rates)), n_each)
    delta = size * rng.normal(size=len(who))
    right = np.where(rng.random(len(who)) < link(delta), 1.0, -1.0)
    said = np.where(rng.random(len(who)) < np.asarray(rates)[who], -right, right)
    return AnnotatedLogits(said * delta, np.ones(len(who)), who, link)


@pytest.mark.parametrize("link", [expit, ndtr])
def test_planted_rates_are_found(link):
    """Whatever the link, within two standard errors of a share."""
    rates = [0.0, 0.1, 0.25, 0.4]
    got = estimate_flip_rates(annotated(rates, 4000, link=link))
    np.testing.assert_allclose(got, rates, atol=0.03)


def test_logits_may_be_in_any_unit():
    """A head with a strong penalty states all of them too small."""
    wins = annotated([0.05, 0.3], 1000)
    small = replace(wins, logit=wins.logit / 50)
    np.testing.assert_allclose(
        estimate_flip_rates(small), estimate_flip_rates(wins), rtol=1e-9
    )


def test_who_labelled_little_is_taken_to_be_like_the_others():
    """Three wrong labels in three make nobody a liar among the reliable."""
    many = annotated([0.05] * 8, 500)
    newcomer = AnnotatedLogits(
        np.append(many.logit, [-3.0] * 3),
        np.append(many.weight, [1.0] * 3),
        np.append(many.annotator, [8] * 3),
        expit,
    )
    *others, new = estimate_flip_rates(newcomer)
    assert np.max(others) < 0.1
    assert np.mean(others) < new < 0.25


def test_annotators_who_differ_are_not_drawn_together():
    """Half of them answer almost at random, and the prior gives way."""
    rates = np.tile([0.02, 0.45], 10)
    got = estimate_flip_rates(annotated(rates, 200))
    assert got[::2].max() < 0.15
    assert got[1::2].min() > 0.3


def test_means_are_those_of_a_fine_integral():
    """One annotator: a sum over a far finer grid of rates, sizes and prior means."""
    wins = annotated([0.2], 60)
    unit = wins.logit / np.sqrt(np.mean(wins.logit**2))
    fine, mean, strength = (
        np.linspace(0.0005, 0.4995, 500),
        np.linspace(0.05, 0.95, 10),
        np.array([2.0, 5.0, 15.0, 50.0, 150.0]),
    )
    a, b = (np.outer(m, strength).ravel() for m in (mean, 1 - mean))
    log = np.outer(np.log(2 * fine), a - 1) + np.outer(np.log1p(-2 * fine), b - 1)
    prior = np.exp(log) / np.exp(log).sum(axis=0)
    total = np.zeros(len(fine))
    for size in np.geomspace(0.05, 30, 200):
        right = expit(size * unit)[:, None]
        total += np.exp(np.log(fine + (1 - 2 * fine) * right).sum(axis=0) + 40)
    posterior = total * prior.sum(axis=1)
    wanted = posterior @ fine / posterior.sum()
    assert estimate_flip_rates(wins)[0] == pytest.approx(wanted, abs=0.01)


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=20)
def test_rates_follow_annotators_and_weights_are_copies(seed, n_annotators):
    """Renumbering annotators renumbers rates; weight two is two labels."""
    rng = np.random.default_rng(seed)
    wins = annotated(rng.uniform(0, 0.5, n_annotators), 20, seed=seed)
    rates = estimate_flip_rates(wins)
    order = rng.permutation(n_annotators)
    renumbered = replace(wins, annotator=order[wins.annotator])
    np.testing.assert_allclose(estimate_flip_rates(renumbered)[order], rates, rtol=1e-9)
    copies = AnnotatedLogits(
        *(np.tile(column, 2) for column in (wins.logit, wins.weight, wins.annotator)),
        expit,
    )
    double = replace(wins, weight=2 * wins.weight)
    np.testing.assert_allclose(
        estimate_flip_rates(copies), estimate_flip_rates(double), rtol=1e-9
    )
    assert np.all((rates >= 0) & (rates <= 0.49))


def test_logits_of_nothing_leave_the_prior():
    """Every rate is as likely as before, and none is ruled out."""
    wins = replace(annotated([0.1], 50), logit=np.zeros(50))
    assert estimate_flip_rates(wins)[0] == pytest.approx(0.25, abs=0.02)
    assert likely_rates(wins) == (0.0, pytest.approx(0.49))


def test_steep_rewards_say_between_which_rates_the_truth_lies():
    """Shallow ones do not."""
    low, high = likely_rates(annotated([0.2], 4000))
    assert low - 0.03 < 0.2 < high + 0.03
    assert high < low + 0.1
    low, high = likely_rates(annotated([0.2], 400, size=0.5))
    assert high - low > 0.3
