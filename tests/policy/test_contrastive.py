"""The contrastive reward, and what is wrong with the training guide's."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import expit

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.policy import fit_contrastive, info_nce


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def guide_loss(chosen, rejected, temperature=0.1):
    """The training guide's loss: both diagonals, the first of chosen with itself."""
    positive = (chosen * chosen).sum(axis=1) / temperature
    negative = (chosen * rejected).sum(axis=1) / temperature
    return -np.log(expit(positive - negative)).mean()


def test_the_guide_s_loss_knows_no_preference():
    """Of unit vectors it is the same when chosen and rejected are exchanged."""
    rng = np.random.default_rng(0)
    chosen, rejected = unit(rng.normal(size=(50, 8))), unit(rng.normal(size=(50, 8)))
    assert guide_loss(chosen, rejected) == pytest.approx(guide_loss(rejected, chosen))


def test_gradients_are_those_of_finite_differences():
    """Of both projections."""
    rng = np.random.default_rng(1)
    anchors, vectors = rng.normal(size=(10, 3)), rng.normal(size=(10, 4))
    batch = rng.permutation(10).reshape(-1, 2)
    at = rng.normal(size=3 * 2 + 4 * 2) * 0.3

    def loss(packed):
        return info_nce(
            anchors,
            vectors,
            batch,
            packed[:6].reshape(3, 2),
            packed[6:].reshape(4, 2),
            0.5,
        )

    slopes = np.concatenate([s.ravel() for s in loss(at)[1:]])
    assert np.allclose(slopes, approx_fprime(at, lambda p: loss(p)[0], 1e-7), atol=1e-4)


def test_batches_of_one_are_bradley_terry():
    """The loser alone is the negative."""
    rng = np.random.default_rng(2)
    anchors, vectors = rng.normal(size=(2, 3)), rng.normal(size=(2, 4))
    p, q = rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    loss = info_nce(anchors, vectors, np.array([[0, 1]]), p, q, 0.7)[0]
    delta = (anchors[0] @ p) @ ((vectors[0] - vectors[1]) @ q) / 0.7
    assert loss == pytest.approx(np.logaddexp(0, -delta))


def test_it_learns_what_depends_on_the_prompt():
    """Which direction is good changes with the prompt: a linear head is at chance."""
    rng = np.random.default_rng(3)
    prompts = np.repeat(rng.normal(size=(800, 4)), 2, axis=0)
    items = rng.normal(size=(1600, 4))
    gold = (prompts * items).sum(axis=1)
    ids = np.arange(1600).reshape(-1, 2)
    ids = np.where((gold[ids[:, :1]] >= gold[ids[:, 1:]]), ids, ids[:, ::-1])
    train, test = ids[:600], ids[600:]
    fitted = fit_contrastive(prompts, items, train, batch_pairs=1, temperature=1.0)
    reward = fitted.reward(prompts, items)
    assert (reward[test[:, 0]] > reward[test[:, 1]]).mean() > 0.9
    linear = LinearBradleyTerry(posterior=False).fit(Pairs(items, train)).reward(items)
    assert (linear[test[:, 0]] > linear[test[:, 1]]).mean() < 0.65
    batched = fit_contrastive(prompts, items, train, batch_pairs=32, temperature=1.0)
    reward = batched.reward(prompts, items)
    assert (reward[test[:, 0]] > reward[test[:, 1]]).mean() > 0.8


def test_shapes_that_do_not_fit_are_refused():
    """Prompts are repeated for each item."""
    with pytest.raises(InvalidInputError, match="repeat the prompt"):
        fit_contrastive(np.ones((1, 2)), np.ones((2, 2)), [[0, 1]])
