"""Flip rates of annotators are found by leads that their labels had no part in."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, ndtr

from embrm.heads.flip_rates import (
    AnnotatedLeads,
    estimate_flip_rates,
    likely_rates,
)


def annotated(rates, n_each, *, size=3.0, seed=0, link=expit):
    """Wins as annotators with these rates would label steep deltas."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(rates)), n_each)
    delta = size * rng.normal(size=len(who))
    right = np.where(rng.random(len(who)) < link(delta), 1.0, -1.0)
    said = np.where(rng.random(len(who)) < np.asarray(rates)[who], -right, right)
    return AnnotatedLeads(said * delta, np.ones(len(who)), who, link)


@pytest.mark.parametrize("link", [expit, ndtr])
def test_planted_rates_are_found(link):
    """Whatever the link, within two standard errors of a share."""
    rates = [0.0, 0.1, 0.25, 0.4]
    got = estimate_flip_rates(annotated(rates, 4000, link=link))
    np.testing.assert_allclose(got, rates, atol=0.03)


def test_leads_may_be_in_any_unit():
    """A head with a strong penalty states all of them too small."""
    wins = annotated([0.05, 0.3], 1000)
    small = replace(wins, lead=wins.lead / 50)
    np.testing.assert_allclose(
        estimate_flip_rates(small), estimate_flip_rates(wins), rtol=1e-9
    )


def test_who_labelled_little_is_taken_to_be_like_the_others():
    """Three wrong labels in three make nobody a liar among the reliable."""
    many = annotated([0.05] * 8, 500)
    newcomer = AnnotatedLeads(
        np.append(many.lead, [-3.0] * 3),
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
    unit = wins.lead / np.sqrt(np.mean(wins.lead**2))
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
@settings(max_examples=20, deadline=None)
def test_rates_follow_annotators_and_weights_are_copies(seed, n_annotators):
    """Renumbering annotators renumbers rates; weight two is two labels."""
    rng = np.random.default_rng(seed)
    wins = annotated(rng.uniform(0, 0.5, n_annotators), 20, seed=seed)
    rates = estimate_flip_rates(wins)
    order = rng.permutation(n_annotators)
    renumbered = replace(wins, annotator=order[wins.annotator])
    np.testing.assert_allclose(estimate_flip_rates(renumbered)[order], rates, rtol=1e-9)
    copies = AnnotatedLeads(
        *(np.tile(column, 2) for column in (wins.lead, wins.weight, wins.annotator)),
        expit,
    )
    double = replace(wins, weight=2 * wins.weight)
    np.testing.assert_allclose(
        estimate_flip_rates(copies), estimate_flip_rates(double), rtol=1e-9
    )
    assert np.all((rates >= 0) & (rates <= 0.49))


def test_leads_of_nothing_leave_the_prior():
    """Every rate is as likely as before, and none is ruled out."""
    wins = replace(annotated([0.1], 50), lead=np.zeros(50))
    assert estimate_flip_rates(wins)[0] == pytest.approx(0.25, abs=0.02)
    assert likely_rates(wins) == (0.0, pytest.approx(0.49))


def test_steep_rewards_say_between_which_rates_the_truth_lies():
    """Shallow ones do not."""
    low, high = likely_rates(annotated([0.2], 4000))
    assert low - 0.03 < 0.2 < high + 0.03
    assert high < low + 0.1
    low, high = likely_rates(annotated([0.2], 400, size=0.5))
    assert high - low > 0.3
