"""Several objectives and many users, against optimisers and known truths."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, softmax

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.policy import (
    conditioned_policy,
    low_rank_users,
    pareto_front,
    policy_soup,
    principal_directions,
    tilted_policy,
    worst_group_policy,
)

RNG = np.random.default_rng(0)
IDS = np.repeat([0, 1, 2], [3, 4, 2])
REWARDS = RNG.normal(size=(9, 3))
BASE = RNG.normal(size=9)


def test_a_soup_of_tilted_policies_is_the_conditioned_policy():
    """And, for linear heads, the policy of the averaged parameters."""
    nu = np.array([0.5, 0.2, 0.3])
    one_by_one = [
        tilted_policy(column, IDS, 0.7, base_logprob=BASE) for column in REWARDS.T
    ]
    conditioned = conditioned_policy(REWARDS, IDS, nu, 0.7, base_logprob=BASE)
    assert np.allclose(policy_soup(one_by_one, IDS, nu), conditioned)
    items, heads = RNG.normal(size=(9, 4)), RNG.normal(size=(4, 3))
    averaged = tilted_policy(items @ (heads @ nu), IDS)
    assert np.allclose(conditioned_policy(items @ heads, IDS, nu), averaged)


def test_no_policy_of_the_front_is_dominated_at_its_price():
    """Each maximises its user's value less divergence among all that are compared."""
    angles = np.linspace(0, np.pi / 2, 9)
    users = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    front = pareto_front(REWARDS[:, :2], IDS, users, 0.5, base_logprob=BASE)
    for user, own in zip(users, range(9), strict=True):
        price = front.value @ user - 0.5 * front.kl
        assert price.argmax() == own
    assert not front.dominated.any()
    worse = pareto_front(REWARDS[:, :2], IDS, [[1.0, 0.0], [-5.0, -5.0]], 0.5)
    assert worse.dominated.tolist() == [False, True]
    assert len(front.to_frame()) == 9


def test_the_robust_policy_maximises_the_worst_group():
    """Against an optimiser over all policies."""
    eta = 0.4

    def loss(packed):
        logits, level = packed[:-1], packed[-1]
        kls = [
            softmax(logits[p == IDS])
            @ np.log(softmax(logits[p == IDS]) / softmax(BASE[p == IDS]))
            for p in range(3)
        ]
        return -(level - eta * np.mean(kls))

    def slack(packed):
        values = [softmax(packed[:-1][p == IDS]) @ REWARDS[p == IDS] for p in range(3)]
        return np.mean(values, axis=0) - packed[-1]

    solved = minimize(
        loss,
        np.r_[BASE, -3.0],
        constraints={"type": "ineq", "fun": slack},
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-12},
    )
    robust = worst_group_policy(REWARDS, IDS, eta, base_logprob=BASE)
    for p in range(3):
        expected = softmax(solved.x[:-1][p == IDS])
        assert np.allclose(np.exp(robust.logprob[p == IDS]), expected, atol=2e-3)
    assert robust.value.min() == pytest.approx(solved.x[-1], abs=1e-4)
    even = conditioned_policy(REWARDS, IDS, np.full(3, 1 / 3), eta, base_logprob=BASE)
    means = np.mean(
        [np.exp(even[p == IDS]) @ REWARDS[p == IDS] for p in range(3)], axis=0
    )
    assert robust.value.min() > means.min()


@pytest.fixture(scope="module")
def crowd():
    """Thirty users with two hidden tastes, forty labels each, in ten dimensions."""
    rng = np.random.default_rng(1)
    tastes = rng.normal(size=(2, 10)) * 1.5
    users = np.repeat(np.arange(30), 40)
    weights = rng.normal(size=(30, 2))
    items = rng.normal(size=(2400, 10))
    pairs = Pairs(items, np.arange(2400).reshape(-1, 2))
    delta = items[::2] - items[1::2]
    y = (
        rng.random(1200) < expit((delta * (weights[users] @ tastes)).sum(axis=1))
    ).astype(float)
    return {"tastes": tastes, "users": users, "pairs": pairs, "y": y, "rng": rng}


def accuracy_of_new_users(crowd, n_labels, fit):
    """Mean order consistency of users who gave a few labels."""
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(40):
        truth = rng.normal(size=2) @ crowd["tastes"]
        items = rng.normal(size=(2 * n_labels, 10))
        pairs = Pairs(items, np.arange(2 * n_labels).reshape(-1, 2))
        y = (rng.random(n_labels) < expit((items[::2] - items[1::2]) @ truth)).astype(
            float
        )
        test = rng.normal(size=(400, 10))
        reward, gold = fit(pairs, y, test), test @ truth
        shares.append(((reward[::2] > reward[1::2]) == (gold[::2] > gold[1::2])).mean())
    return np.mean(shares)


def test_shared_directions_make_few_labels_go_far(crowd):
    """Eight labels: learned directions beat a head of one's own by far."""
    shared, weights = low_rank_users(crowd["pairs"], crowd["y"], crowd["users"], 2)
    assert weights.shape == (30, 2)

    def adapted(pairs, y, test):
        return shared.reward(test, shared.adapt(pairs, y))

    def alone(pairs, y, test):
        head = LinearBradleyTerry(alpha=1.0, posterior=False).fit(pairs, y)
        return head.reward(test)

    low_rank = accuracy_of_new_users(crowd, 8, adapted)
    own = accuracy_of_new_users(crowd, 8, alone)
    assert low_rank > own + 0.05


def test_learned_directions_span_the_tastes(crowd):
    """Of the two tastes nine tenths lie in the plane of two directions."""
    shared, _ = low_rank_users(crowd["pairs"], crowd["y"], crowd["users"], 2)
    plane = np.linalg.qr(shared.directions)[0]
    unit = crowd["tastes"] / np.linalg.norm(crowd["tastes"], axis=1, keepdims=True)
    assert (np.linalg.norm(unit @ plane, axis=1) > 0.9).all()


def test_principal_directions_are_those_of_the_covariance(crowd):
    """Against eigenvectors of the oriented differences, up to sign."""
    pairs, y = crowd["pairs"], crowd["y"]
    found = principal_directions(pairs, y, 3)
    delta = (pairs.items[::2] - pairs.items[1::2]) * (2 * y - 1)[:, None]
    values, vectors = np.linalg.eigh(np.cov(delta.T))
    expected = vectors[:, np.argsort(values)[::-1][:3]]
    assert np.allclose(np.abs((found.directions * expected).sum(axis=0)), 1, atol=1e-8)
    assert (delta.mean(axis=0) @ found.directions >= 0).all()


def test_adapting_to_no_news_keeps_the_prior(crowd):
    """The more penalty, the nearer the mean user."""
    shared, _ = low_rank_users(crowd["pairs"], crowd["y"], crowd["users"], 2)
    few = crowd["pairs"][:4]
    away = [
        np.linalg.norm(shared.adapt(few, crowd["y"][:4], alpha=a) - shared.prior)
        for a in (1e4, 1.0)
    ]
    assert away[0] < 1e-2 < away[1]


def test_shapes_that_do_not_fit_are_refused(crowd):
    """Users, weights and rewards."""
    with pytest.raises(InvalidInputError, match="nu of shape"):
        conditioned_policy(REWARDS, IDS, [1.0])
    with pytest.raises(InvalidInputError, match="sum 1"):
        policy_soup([BASE, BASE], IDS, [1.0, 1.0])
    with pytest.raises(InvalidInputError, match="users of shape"):
        low_rank_users(crowd["pairs"], crowd["y"], [1, 2])
    with pytest.raises(InvalidInputError, match="rewards of shape"):
        worst_group_policy(BASE, IDS)
