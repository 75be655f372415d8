"""LengthDebiased takes no credit for length."""

import json
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import spearmanr
from sklearn.decomposition import PCA

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import (
    HeadState,
    LengthDebiased,
    LinearBradleyTerry,
    RewardEnsemble,
    make_head,
)
from embrm.testing import check_head

METHODS = ["nuisance", "erase"]


class Verbose(NamedTuple):
    """Pairs whose annotators like quality and length; `z` is log length."""

    pairs: Pairs
    y: np.ndarray
    lengths: np.ndarray
    quality: np.ndarray
    z: np.ndarray


@pytest.fixture
def verbose():
    """Vectors that tell both quality and length."""
    rng = np.random.default_rng(0)
    n_prompts, d = 300, 20
    quality, z = rng.normal(size=(2, 4 * n_prompts))
    directions, _ = np.linalg.qr(rng.normal(size=(d, d)))
    items = 0.7 * rng.normal(size=(4 * n_prompts, d))
    items += np.outer(quality, directions[0]) + np.outer(z, directions[1])
    base = 4 * np.arange(n_prompts)[:, None]
    ids = (base[:, None] + [[0, 1], [2, 3], [0, 3]]).reshape(-1, 2)
    liked = 1.5 * (quality + z)
    chance = 1 / (1 + np.exp(liked[ids[:, 1]] - liked[ids[:, 0]]))
    y = (rng.random(len(ids)) < chance).astype(int)
    prompts = np.repeat(np.arange(n_prompts), 4)
    lengths = np.expm1(5 + 0.6 * z)
    return Verbose(Pairs(items, ids, prompts), y, lengths, quality, z)


class WithLengths(LengthDebiased):
    """Brings lengths to checks that know of none: the size of the last column."""

    def fit(self, pairs, y=None, *, sample_weight=None, margin=None):
        ends = np.asarray(pairs)
        known = ends.ndim == 3 and ends.dtype.kind in "fiu"
        lengths = np.abs(ends[:, :, -1].astype(float)) if known else None
        return super().fit(
            pairs,
            y,
            sample_weight=sample_weight,
            margin=margin,
            lengths=np.nan_to_num(lengths, posinf=0.0),
        )


@pytest.mark.parametrize(
    "head",
    [
        WithLengths(cv=None),
        WithLengths(LinearBradleyTerry(alpha=1.0), "erase", cv=2),
        WithLengths(LinearBradleyTerry(alpha=1.0), transform="identity", cv=None),
    ],
    ids=["nuisance", "erase", "identity"],
)
def test_a_debiased_head_keeps_every_promise_of_a_head(head):
    """All checks that heads are put to."""
    check_head(head)


@pytest.mark.parametrize("method", METHODS)
def test_length_no_longer_moves_the_reward(verbose, method):
    """Quality does, more than before."""
    before = LinearBradleyTerry().fit(verbose.pairs, verbose.y)
    after = LengthDebiased(method=method)
    after.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    items = verbose.pairs.items
    assert spearmanr(before.reward(items), verbose.z).statistic > 0.5
    assert abs(spearmanr(after.reward(items), verbose.z).statistic) < 0.15
    assert (
        spearmanr(after.reward(items), verbose.quality).statistic
        > spearmanr(before.reward(items), verbose.quality).statistic + 0.1
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_report_says_what_it_cost(verbose, method):
    """On held-out prompts: less length, less agreement with those who like it."""
    head = LengthDebiased(method=method)
    head.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    report = head.report_
    assert report.spearman_before > 0.4
    assert abs(report.spearman_after) < 0.15
    assert report.order_consistency_before > report.order_consistency_after > 0.6
    assert report.n_prompts == 300
    assert report.n_wins == len(verbose.y)


def test_nuisance_is_the_likelihood_with_a_length_term(verbose):
    """Coefficients are those of scipy's minimiser, with gamma hardly penalised."""
    head = LengthDebiased(LinearBradleyTerry(alpha=5.0), cv=None)
    head.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    pairs, sign = verbose.pairs, 2 * verbose.y - 1
    x = sign[:, None] * (pairs.items[pairs.first] - pairs.items[pairs.second])
    log_length = np.log1p(verbose.lengths)
    z = sign * (log_length[pairs.first] - log_length[pairs.second])
    spread = 3 * np.sqrt(pairs.items.var(axis=0).sum()) / log_length.std()

    def loss(params):
        w, gamma = params[:-1], params[-1]
        logit = x @ w + gamma * z
        penalty = w @ w + (gamma / spread) ** 2
        return np.logaddexp(0, -logit).sum() + 2.5 * penalty

    wanted = minimize(loss, np.zeros(21), options={"gtol": 1e-4}).x
    np.testing.assert_allclose(head.head_.coef_[:-1], wanted[:-1], atol=1e-4)
    assert head.head_.coef_[-1] * spread == pytest.approx(wanted[-1], abs=1e-3)


def test_erased_rewards_are_uncorrelated_with_length_within_prompts(verbose):
    """For a linear head exactly, on the training items."""
    head = LengthDebiased(method="erase", cv=None)
    head.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    length = pd.Series(np.log1p(verbose.lengths))
    mean = length.groupby(verbose.pairs.prompt_ids).transform("mean")
    within = (length - mean).to_numpy()
    reward = head.reward(verbose.pairs.items)
    assert abs(within @ reward) < 1e-8 * np.linalg.norm(within) * len(reward)


def test_equal_lengths_leave_the_head_as_it_is(verbose):
    """There is nothing to correct."""
    plain = LinearBradleyTerry(alpha=3.0).fit(verbose.pairs, verbose.y)
    for method in METHODS:
        head = LengthDebiased(LinearBradleyTerry(alpha=3.0), method, cv=None)
        head.fit(verbose.pairs, verbose.y, lengths=np.full(1200, 50))
        np.testing.assert_allclose(
            head.decision_function(verbose.pairs),
            plain.decision_function(verbose.pairs),
            atol=1e-6,
        )


@pytest.mark.parametrize("transform", ["log", "identity"])
def test_the_unit_of_length_hardly_matters(verbose, transform):
    """Characters or tokens, the reward is nearly the same."""
    heads = [
        LengthDebiased(LinearBradleyTerry(alpha=3.0), transform=transform, cv=None).fit(
            verbose.pairs, verbose.y, lengths=factor * verbose.lengths
        )
        for factor in (1, 4)
    ]
    one, other = (head.reward(verbose.pairs.items) for head in heads)
    np.testing.assert_allclose(one, other, atol=0.02)


def test_lengths_by_pair_do_as_well(verbose):
    """The form that scikit-learn can split, and that arrays need."""
    by_pair = verbose.lengths[verbose.pairs.ids]
    one, other, dense = (
        LengthDebiased(LinearBradleyTerry(alpha=3.0), cv=None)
        .fit(pairs, verbose.y, lengths=lengths)
        .reward(verbose.pairs.items)
        for pairs, lengths in (
            (verbose.pairs, verbose.lengths),
            (verbose.pairs, by_pair),
            (np.asarray(verbose.pairs), by_pair),
        )
    )
    np.testing.assert_allclose(other, one, atol=1e-8)
    np.testing.assert_allclose(dense, one, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "method"),
    [("lightgbm", "erase"), ("logistic", "erase"), ("siamese", "nuisance")],
)
def test_other_heads_are_debiased_by_the_method_that_suits_them(verbose, name, method):
    """Trees and classifiers by erasure, Bradley-Terry heads by the nuisance column."""
    head = LengthDebiased(make_head(name, random_state=0), method, cv=2)
    head.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    assert head.report_.spearman_before > 0.3
    assert abs(head.report_.spearman_after) < 0.15


def test_a_preprocessor_acts_before_length_is_added(verbose):
    """Length is no part of what is projected."""
    head = LengthDebiased(preprocessor=PCA(3), cv=None)
    head.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    assert head.head_.n_features_in_ == 4
    assert head.n_features_in_ == 20


def test_an_ensemble_inside_gives_its_mean(verbose):
    """The wrapper goes outermost."""
    head = LengthDebiased(RewardEnsemble(n_members=2, random_state=0), cv=None)
    head.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    assert np.isfinite(head.reward(verbose.pairs.items)).all()


def test_no_lengths_are_refused(verbose):
    """In fit, and where another head's fit does not pass them on."""
    with pytest.raises(InvalidInputError, match="the lengths of items; got none"):
        LengthDebiased().fit(verbose.pairs, verbose.y)
    with pytest.raises(InvalidInputError, match="on this head itself, outermost"):
        RewardEnsemble(LengthDebiased(), 2).fit(verbose.pairs, verbose.y)


def test_a_failed_fit_leaves_no_lengths_behind(verbose):
    """The next fit is asked for its own."""
    head = LengthDebiased(LinearBradleyTerry(alpha=-1.0))
    with pytest.raises(InvalidInputError, match="alpha: a finite number >= 0"):
        head.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    assert set(vars(head)) == set(head.get_params(deep=False)) | {"report_"}


@pytest.mark.parametrize("method", METHODS)
def test_head_direction_and_report_travel_as_json_and_arrays(verbose, method):
    """The same bits, and the same report."""
    head = LengthDebiased(method=method, cv=2)
    head.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    state = head.get_state()
    values = json.loads(json.dumps(dict(state.values), allow_nan=False))
    again = LengthDebiased().set_state(HeadState(state.arrays, values, state.blobs))
    np.testing.assert_array_equal(
        again.reward(verbose.pairs.items), head.reward(verbose.pairs.items)
    )
    assert again.report_ == head.report_


def test_a_damaged_report_is_refused(verbose):
    """It has six figures."""
    head = LengthDebiased(cv=2)
    head.fit(verbose.pairs, verbose.y, lengths=verbose.lengths)
    state = head.get_state()
    damaged = HeadState({**state.arrays, "report": np.zeros(2)}, state.values)
    with pytest.raises(IntegrityError, match="6 numbers in 'report'"):
        LengthDebiased().set_state(damaged)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"method": "odin"}, "method: 'nuisance' or 'erase'"),
        ({"transform": "sqrt"}, "transform: 'log' or 'identity'"),
    ],
)
def test_wrong_parameters_are_refused_in_fit(verbose, params, message):
    """With what they may be."""
    with pytest.raises(InvalidInputError, match=message):
        LengthDebiased(**params).fit(verbose.pairs, verbose.y, lengths=verbose.lengths)


def test_annotators_are_passed_on(data_with_annotators):
    """To a head that estimates how often each one errs."""
    pairs, y, lengths, who = data_with_annotators
    head = LengthDebiased(LinearBradleyTerry(noise="estimate"), cv=None)
    fitted = head.fit(pairs, y, annotator=who, lengths=lengths).head_
    rates = dict(zip(fitted.annotators_, fitted.flip_rates_, strict=True))
    assert rates["Bob"] > 0.25 > 0.1 > rates["Ann"]


def test_annotators_without_use_are_refused(data_with_annotators):
    """As by every other head."""
    pairs, y, lengths, who = data_with_annotators
    with pytest.raises(InvalidInputError, match="noise='estimate'"):
        LengthDebiased(cv=None).fit(pairs, y, annotator=who, lengths=lengths)


@pytest.fixture(scope="module")
def data_with_annotators():
    """Ann is right, Bob tosses a coin in four of ten."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(1200, 4))
    pairs = Pairs(items, np.arange(1200).reshape(600, 2))
    y = (items[pairs.first, 0] > items[pairs.second, 0]).astype(float)
    who = np.where(np.arange(600) % 2, "Ann", "Bob")
    turned = (who == "Bob") & (rng.random(600) < 0.4)
    return pairs, np.where(turned, 1 - y, y), rng.integers(5, 99, 1200), who
