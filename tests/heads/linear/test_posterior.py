"""The posterior is the inverse Hessian at the mode, in whatever form it is kept."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.heads.linear.posterior import Posterior
from embrm.heads.state import HeadState
from embrm.heads.win_loss import ProbitLoss


def differences(data):
    """Winner less loser."""
    items, ids = data.pairs.items, data.pairs.ids
    return (items[ids[:, 0]] - items[ids[:, 1]]) * (2 * data.y - 1)[:, None]


def numeric_hessian(loss, w, step=1e-4):
    """Second differences of a function of a vector."""
    axes = step * np.eye(len(w))
    return np.array(
        [
            [
                loss(w + a + b) - loss(w + a - b) - loss(w - a + b) + loss(w - a - b)
                for b in axes
            ]
            for a in axes
        ]
    ) / (4 * step**2)


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_the_covariance_is_the_inverse_of_a_numeric_hessian(make_preferences, link):
    """Of the explicit objective, by second differences."""
    data = make_preferences(error_rate=0.2)
    difference = differences(data)

    def loss(w):
        logit = difference @ w
        value = np.logaddexp(0, -logit)
        if link == "probit":
            value = ProbitLoss().evaluate(logit)[0]
        return value.sum() + 0.35 * w @ w

    head = LinearBradleyTerry(alpha=0.7, link=link).fit(data.pairs, data.y)
    wanted = np.linalg.inv(numeric_hessian(loss, head.coef_))
    np.testing.assert_allclose(
        head.covariance_, wanted, rtol=1e-3, atol=1e-5 * wanted.max()
    )


def direct_covariance(data, head):
    difference = differences(data)
    logit = difference @ head.coef_
    edge = 1 / (2 + np.exp(logit) + np.exp(-logit))
    hessian = difference.T @ (edge[:, None] * difference)
    return np.linalg.inv(hessian + head.alpha_ * np.eye(len(hessian)))


@pytest.mark.parametrize(("n_prompts", "d"), [(30, 5), (5, 40)])
def test_standard_deviations_are_those_of_the_covariance(
    make_preferences, n_prompts, d
):
    """With more items than dimensions, and with fewer."""
    data = make_preferences(n_prompts=n_prompts, d=d, error_rate=0.2)
    head = LinearBradleyTerry(alpha=0.7).fit(data.pairs, data.y)
    wanted = direct_covariance(data, head)
    np.testing.assert_allclose(head.covariance_, wanted, atol=1e-8)
    other = np.random.default_rng(99).normal(size=(9, d))
    _, std = head.reward(other, return_std=True)
    shifted = other - data.pairs.items.mean(axis=0)
    np.testing.assert_allclose(std**2, np.sum(shifted @ wanted * shifted, axis=1))
    gap = other[::2][:4] - other[1::2]
    pairs = Pairs(other, np.arange(8).reshape(4, 2))
    _, std = head.decision_function(pairs, return_std=True)
    np.testing.assert_allclose(std**2, np.sum(gap @ wanted * gap, axis=1))


@pytest.mark.parametrize(("n_prompts", "d"), [(30, 5), (5, 40)])
def test_a_whitened_prior_is_in_the_covariance(make_preferences, n_prompts, d):
    """With hardly any weight on the pairs, it is all there is."""
    data = make_preferences(n_prompts=n_prompts, d=d)
    head = LinearBradleyTerry(alpha=2.0, whitening=0.5)
    head.fit(data.pairs, data.y, sample_weight=np.full(len(data.y), 1e-9))
    difference = differences(data)
    spectrum = np.linalg.eigvalsh(difference.T @ difference)
    precision = np.linalg.eigvalsh(np.linalg.inv(head.covariance_))
    assert np.corrcoef(spectrum, precision**2)[0, 1] > 0.999
    assert (precision > 0).all()


def test_planted_weights_lie_within_the_posterior():
    """Of 95% intervals for deltas, about 95% hold the true one."""
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(20):
        items = rng.normal(size=(300, 8))
        weights = rng.normal(size=8)
        ids = rng.permutation(300).reshape(150, 2)
        pairs = Pairs(items, ids)
        delta = (items[ids[:, 0]] - items[ids[:, 1]]) @ weights
        y = rng.random(150) < 1 / (1 + np.exp(-delta))
        head = LinearBradleyTerry(alpha=1.0).fit(pairs, y)
        got, std = head.decision_function(pairs, return_std=True)
        inside.append(np.abs(got - delta) < 1.96 * std)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_spanning_more_items_changes_no_variance(make_preferences):
    """The basis grows until it is everything."""
    data = make_preferences(n_prompts=3, d=30)
    head = LinearBradleyTerry(alpha=0.7).fit(data.pairs, data.y)
    wider = head.posterior_.spanning(np.random.default_rng(0).normal(size=(6, 30)))
    full = wider.spanning(np.random.default_rng(1).normal(size=(40, 30)))
    assert wider.precision.shape[0] == head.posterior_.precision.shape[0] + 6
    assert full.basis is None
    for one in (wider, full, full.spanning(np.ones((1, 30)))):
        np.testing.assert_allclose(one.covariance(), head.covariance_, atol=1e-9)


def test_the_state_restores_the_same_bits(make_preferences):
    """With a basis and without."""
    for d in (4, 40):
        data = make_preferences(n_prompts=5, d=d)
        head = LinearBradleyTerry().fit(data.pairs, data.y)
        other = LinearBradleyTerry().set_state(head.get_state())
        for one, two in zip(
            head.reward(data.pairs.items, return_std=True),
            other.reward(data.pairs.items, return_std=True),
            strict=True,
        ):
            np.testing.assert_array_equal(one, two)


def test_a_damaged_state_is_refused():
    """A missing matrix is said to be missing."""
    with pytest.raises(IntegrityError, match="array 'precision'"):
        Posterior.from_state(HeadState({}, {"has_basis": False, "outside": 1.0}))


@pytest.mark.parametrize("d", [4, 2])
def test_weights_that_nothing_determines_have_no_variance(d):
    """One pair and no penalty."""
    head = LinearBradleyTerry(alpha=0.0, max_iter=500)
    head.fit(Pairs(np.eye(4)[:3, :d], [[0, 1], [1, 0]]))
    with pytest.raises(InvalidInputError, match="pairs that determine every weight"):
        head.reward(np.eye(4)[:, :d], return_std=True)


@pytest.fixture
def fitted(make_preferences):
    """A head, and the pairs it was fitted on."""
    data = make_preferences(d=8, error_rate=0.2)
    return LinearBradleyTerry(alpha=1.0).fit(data.pairs, data.y), data.pairs


def test_more_pairs_leave_less_doubt(make_preferences):
    """Ten times the weight, a third of the deviation."""
    data = make_preferences(n_prompts=60, error_rate=0.3)
    one, ten = (
        LinearBradleyTerry(alpha=1e-3)
        .fit(data.pairs, data.y, sample_weight=np.full(len(data.y), weight))
        .decision_function(data.pairs, return_std=True)[1]
        for weight in (1.0, 10.0)
    )
    np.testing.assert_allclose(one / ten, np.sqrt(10), rtol=0.01)


def test_the_preprocessor_is_applied(make_preferences):
    """Deviations are those of the preprocessed items."""
    data = make_preferences(d=8)
    head = LinearBradleyTerry(alpha=1.0, preprocessor=PCA(3)).fit(data.pairs, data.y)
    inner = head.preprocessor_.transform(data.pairs.items)
    inside = LinearBradleyTerry(alpha=1.0)
    inside.fit(Pairs(inner, data.pairs.ids), data.y)
    np.testing.assert_allclose(
        head.reward(data.pairs.items, return_std=True)[1],
        inside.reward(inner, return_std=True)[1],
    )


def test_half_precision_items_have_deviations(fitted):
    """They are computed with in single precision."""
    head, pairs = fitted
    half = pairs.items.astype(np.float16)
    _, wanted = head.reward(half.astype(np.float32), return_std=True)
    np.testing.assert_array_equal(head.reward(half, return_std=True)[1], wanted)


def test_a_head_without_posterior_says_so(make_preferences):
    """And how to get one."""
    data = make_preferences()
    head = LinearBradleyTerry(posterior=False).fit(data.pairs, data.y)
    with pytest.raises(InvalidInputError, match="posterior=True on at most 4,096"):
        head.reward(data.pairs.items, return_std=True)


def test_a_widened_posterior_adds_to_the_covariance():
    """Outer products of the directions, in a basis of all dimensions or of fewer."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    posterior = Posterior(root @ root.T + np.eye(4), None, 1.0)
    directions = rng.normal(size=(4, 2))
    expected = posterior.covariance() + directions @ directions.T
    got = posterior.widened(directions).covariance()
    np.testing.assert_allclose(got, expected, atol=1e-10)
    basis = np.linalg.qr(rng.normal(size=(4, 2)))[0]
    narrow = Posterior(np.eye(2), basis, 3.0)
    inside = basis @ rng.normal(size=(2, 1))
    expected = narrow.covariance() + inside @ inside.T
    got = narrow.widened(inside).covariance()
    np.testing.assert_allclose(got, expected, atol=1e-10)


def test_intervals_of_an_automatic_fit_cover_the_truth():
    """About as often as they say, though penalty and scale are chosen on the wins."""
    covered = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        items = rng.normal(size=(2400, 30))
        gold = items @ rng.normal(size=30) / np.sqrt(30) * 1.5
        pairs = Pairs(items, np.arange(2400).reshape(-1, 2), np.arange(2400) // 2)
        delta = gold[::2] - gold[1::2]
        y = (rng.random(1200) < 1 / (1 + np.exp(-delta))).astype(float)
        head = LinearBradleyTerry().fit(pairs[:400], y[:400])
        found, std = head.decision_function(pairs[400:], return_std=True)
        covered.append(np.mean(np.abs(found - delta[400:]) < 1.96 * std))
    assert 0.91 < np.mean(covered) < 0.98
