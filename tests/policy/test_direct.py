"""Direct alignment on pools: gradients, closed forms, and theory's equalities."""

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.policy import (
    DirectAlignment,
    SoftmaxPolicy,
    bradley_terry,
    psi_policy,
    tilted_policy,
)
from embrm.policy._prompts import Prompts
from embrm.policy.direct import _Problem
from embrm.policy.losses import PAIR_LOSSES, PairLoss, pair_loss


@pytest.fixture(scope="module")
def pool():
    """Twelve prompts of four responses in three dimensions."""
    items = np.random.default_rng(0).normal(size=(48, 3))
    return CandidatePool(items, np.arange(48) % 12)


@pytest.fixture(scope="module")
def pairs(pool):
    """All pairs, with labels that are soft, hard and ties."""
    ids = pool.same_prompt_ids()
    labels = np.random.default_rng(1).choice([0.0, 1.0, 0.5, 0.8], len(ids))
    return ids, labels


def complete(size, reward):
    """A prompt, all its pairs, and their Bradley-Terry probabilities."""
    ids = np.array(list(combinations(range(size), 2)))
    labels = expit(reward[ids[:, 0]] - reward[ids[:, 1]])
    return CandidatePool(np.eye(size), np.zeros(size)), ids, labels


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_slopes_of_losses_are_their_derivatives(name):
    """By central differences, also far out, where all stay finite."""
    loss = pair_loss(name)
    x = np.array([-30.0, -2.3, -0.4, 0.0, 0.7, 0.994, 1.4, 30.0])
    slope = (loss.value(x + 1e-6) - loss.value(x - 1e-6)) / 2e-6
    assert np.allclose(loss.slope(x), slope, rtol=1e-4, atol=1e-6)
    far = np.array([-1e4, 1e4])
    assert np.isfinite(loss.value(far)).all()
    assert np.isfinite(loss.slope(far)).all()


@pytest.mark.parametrize("policy", ["linear", "tabular"])
@pytest.mark.parametrize(
    "options",
    [
        *({"loss": name} for name in PAIR_LOSSES),
        {"loss": "kto", "desirable": 1.3},
        {"loss": "slic", "sft": 0.3, "reference_free": True},
        {"loss": "dpo", "robust": True, "label_smoothing": 0.2},
    ],
)
def test_gradients_are_those_of_finite_differences(pool, pairs, policy, options):
    """Of the whole loss in the weights, at a point that is not special."""
    rng = np.random.default_rng(2)
    settings = DirectAlignment(policy=policy, beta=0.7, **options)
    problem = _Problem.of(
        settings,
        pool,
        Prompts.of(pool.prompt_ids, len(pool)),
        *(pairs[0], pairs[1], rng.random(len(pairs[0]))),
        rng.normal(size=len(pool)),
    )
    problem.z0 = 0.2
    at = rng.normal(size=3 if policy == "linear" else 48)
    numeric = approx_fprime(at, lambda w: problem.value_and_gradient(w)[0], 1e-7)
    assert np.allclose(problem.value_and_gradient(at)[1], numeric, atol=2e-6)


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_dpo_of_bradley_terry_labels_is_the_tilted_policy(beta):
    """Its implicit reward is the reward, its policy that of RLHF at eta = beta."""
    reward = np.array([0.3, -1.0, 2.0, 0.5, 0.0])
    pool, ids, labels = complete(5, reward)
    base = np.random.default_rng(3).normal(size=5)
    fitted = DirectAlignment("dpo", beta=beta, policy="tabular", alpha=0.0).fit(
        pool, ids, labels, base_logprob=base
    )
    tilted = tilted_policy(reward, np.zeros(5), beta, base_logprob=base)
    assert np.allclose(fitted.logprob(pool, base), tilted, atol=2e-4)


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_ipo_is_psi_po_of_the_identity(beta):
    """Azar et al., equation 6, with the uniform policy as the opponent."""
    reward = np.array([0.3, -1.0, 2.0, 0.5, 0.0])
    pool, ids, labels = complete(5, reward)
    fitted = DirectAlignment("ipo", beta=beta, policy="tabular", alpha=0.0).fit(
        pool, ids, labels
    )
    expected = psi_policy(bradley_terry(reward), np.zeros(5), beta)
    assert np.allclose(fitted.logprob(pool), expected, atol=1e-5)


def test_a_log_linear_dpo_is_logistic_regression_on_differences(pool, pairs):
    """Of the same penalty, for hard labels."""
    ids, labels = pairs[0], (pairs[1] > 0.5).astype(float)
    delta = pool.items[ids[:, 0]] - pool.items[ids[:, 1]]
    fitted = DirectAlignment(beta=0.2, alpha=0.01).fit(pool, ids, labels)
    rival = LogisticRegression(
        C=1 / (0.01 * len(ids)), fit_intercept=False, tol=1e-10
    ).fit(delta, labels)
    assert np.allclose(0.2 * fitted.weights, rival.coef_[0], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "rho"),
    [
        ({"loss": "ipo"}, 0.5 / 0.5),
        ({"loss": "slic"}, 1 / 0.5),
        ({"loss": "squared"}, 1 / 0.5),
        ({"loss": "truncated-quadratic"}, 1 / 0.5),
        ({"loss": "dpo", "label_smoothing": 0.1}, logit(0.9) / 0.5),
        ({"loss": "exponential", "label_smoothing": 0.1}, logit(0.9) / 2 / 0.5),
    ],
)
def test_one_certain_pair_has_its_closed_form(options, rho):
    """How far each loss drives the log ratio, at beta = 1/2."""
    pool = CandidatePool(np.eye(2), [0, 0])
    settings = DirectAlignment(beta=0.5, policy="tabular", alpha=1e-4, **options)
    theta = settings.fit(pool, [[0, 1]]).theta(pool)
    assert theta[0] - theta[1] == pytest.approx(rho, rel=0.02)


def test_a_loss_of_one_s_own_is_trained():
    """Huber's, around a log ratio of three: its minimum is there."""
    own = PairLoss(
        lambda x: np.sqrt(1 + (x - 3) ** 2),
        lambda x: (x - 3) / np.sqrt(1 + (x - 3) ** 2),
        1.0,
    )
    pool = CandidatePool(np.eye(2), [0, 0])
    settings = DirectAlignment(own, beta=0.5, policy="tabular", alpha=0.0)
    theta = settings.fit(pool, [[0, 1]]).theta(pool)
    assert theta[0] - theta[1] == pytest.approx(6.0, rel=1e-3)


def test_dpo_of_one_certain_pair_has_no_optimum_but_ipo_has():
    """The less penalty, the farther: what the guidebook says of DPO."""
    pool = CandidatePool(np.eye(2), [0, 0])

    def distance(loss, alpha):
        settings = DirectAlignment(loss, beta=1.0, policy="tabular", alpha=alpha)
        return np.ptp(settings.fit(pool, [[0, 1]]).theta(pool))

    assert distance("dpo", 1e-6) > distance("dpo", 1e-3) + 5
    assert distance("ipo", 1e-6) == pytest.approx(distance("ipo", 1e-4), abs=1e-3)


def test_the_robust_loss_is_unbiased_for_wrong_labels():
    """Its mean over labels that were flipped at that rate is the clean loss."""
    rate, x = 0.2, np.array([0.7])
    loss = pair_loss("dpo")
    clean, flipped = (
        ((y - rate) / (1 - 2 * rate)) * loss.value(x)
        + (1 - (y - rate) / (1 - 2 * rate)) * loss.value(-x)
        for y in (1.0, 0.0)
    )
    assert (1 - rate) * clean + rate * flipped == pytest.approx(loss.value(x)[0])


def test_kto_ends_at_its_reference_point(pool, pairs):
    """z0 is beta times the divergence of the policy that it leads to."""
    settings = DirectAlignment("kto", beta=0.5, alpha=0.05)
    ids = pairs[0]
    better = (pool.items[ids] @ [1.0, 0.5, 0.0]) @ [1, -1] > 0
    fitted = settings.fit(pool, ids, better.astype(float))
    problem = _Problem.of(
        settings,
        pool,
        Prompts.of(pool.prompt_ids, len(pool)),
        *(ids, better.astype(float), np.ones(len(ids))),
        None,
    )
    problem.z0 = problem._reference_point(fitted.weights)
    penalty = 0.05 * 0.5**2 * fitted.weights
    gradient = problem.value_and_gradient(fitted.weights)[1] + penalty
    assert np.abs(gradient).max() < 1e-5
    assert np.corrcoef(fitted.theta(pool), pool.items @ [1.0, 0.5, 0.0])[0, 1] > 0.97


def test_sft_keeps_the_policy_at_the_base(pool, pairs):
    """The more cross-entropy, the nearer."""

    def distance(sft):
        settings = DirectAlignment("slic", sft=sft, reference_free=True)
        return np.abs(settings.fit(pool, *pairs).theta(pool)).max()

    assert distance(100.0) < distance(1.0) < distance(0.01)


def test_training_on_from_a_policy_stays_near_it(pool, pairs):
    """A penalty without bounds leaves it where it started."""
    start = SoftmaxPolicy(DirectAlignment(), np.array([3.0, -1.0, 0.5]))
    fitted = DirectAlignment(alpha=1e6).fit(pool, *pairs, start=start)
    assert np.allclose(fitted.weights, start.weights, atol=1e-3)


def test_single_precision_items_give_the_same_policy(pool, pairs):
    """As vectors are stored."""
    half = CandidatePool(pool.items.astype(np.float32), pool.prompt_ids)
    both = [DirectAlignment(alpha=0.01).fit(p, *pairs).weights for p in (pool, half)]
    assert np.allclose(*both, rtol=1e-3)


def test_weights_are_copies(pool, pairs):
    """A weight of two equals two rows; only its share matters."""
    weights = np.random.default_rng(4).integers(1, 4, len(pairs[0]))
    weighted = DirectAlignment().fit(pool, *pairs, sample_weight=weights)
    copied = DirectAlignment().fit(
        pool, np.repeat(pairs[0], weights, axis=0), np.repeat(pairs[1], weights)
    )
    assert np.allclose(weighted.weights, copied.weights, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "ids", "words"),
    [
        ({"loss": "ppo"}, [[0, 12]], "truncated-quadratic"),
        ({"loss": 3}, [[0, 12]], "truncated-quadratic"),
        ({"policy": "mlp"}, [[0, 12]], "tabular"),
        ({"beta": 0.0}, [[0, 12]], "beta > 0"),
        ({"label_smoothing": 0.5}, [[0, 12]], "below 1/2"),
        ({}, [[0, 1]], "responses to one prompt"),
        ({}, np.empty((0, 2), int), "responses to one prompt"),
    ],
)
def test_what_cannot_be_trained_is_refused(pool, options, ids, words):
    """Unknown names, ranges, and pairs of two prompts."""
    with pytest.raises(InvalidInputError, match=words):
        DirectAlignment(**options).fit(pool, ids)


def test_a_table_judges_no_other_pool(pool, pairs):
    """It has a number for each item it was trained on, and no more."""
    fitted = DirectAlignment(policy="tabular").fit(pool, *pairs)
    with pytest.raises(InvalidInputError, match="log-linear"):
        fitted.theta(pool.take(np.arange(4)))
    with pytest.raises(InvalidInputError, match="a start with 3 weights"):
        DirectAlignment().fit(pool, *pairs, start=fitted)
