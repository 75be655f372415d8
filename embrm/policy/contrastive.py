r"""A contrastive reward: prompts and the responses preferred to them, drawn together.

The reward is :math:`a_x^\top W \phi_y`, with :math:`a_x` the vector of the prompt alone
and W of low rank. Each prompt is asked which of a batch of responses is its winner
(InfoNCE, van den Oord et al. 2018, arXiv:1807.03748): positives are winners, negatives
its loser and the responses to other prompts.

The reward-model training guide compares each chosen response with itself: with vectors
of length one that similarity is constant, and the loss the same when chosen and
rejected are exchanged, so that nothing about preference is learned.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import (
    as_numbers,
    check_count,
    check_pair_ids,
    check_positive,
    check_random_state,
)
from embrm.exceptions import invalid_input
from embrm.heads.win_loss import minimise_smooth


@dataclass(frozen=True, eq=False)
class ContrastiveReward:
    """A reward of a prompt's vector and a response's.

    Attributes
    ----------
    of_prompts : ndarray of shape (p, k)
    of_items : ndarray of shape (d, k)
        Their projections.
    temperature : float
    converged : bool
    """

    of_prompts: FloatArray
    of_items: FloatArray
    temperature: float
    converged: bool

    def reward(self, prompts: ArrayLike, items: ArrayLike) -> FloatArray:
        """Compute rewards in nats: of (n, p) prompts and (n, d) items, row by row."""
        anchors = as_numbers(prompts, "prompts") @ self.of_prompts
        projected = as_numbers(items, "items") @ self.of_items
        return np.asarray((anchors * projected).sum(axis=1) / self.temperature)


def fit_contrastive(
    prompts: ArrayLike,
    items: ArrayLike,
    ids: ArrayLike,
    *,
    n_components: int = 8,
    temperature: float = 0.1,
    batch_pairs: int = 64,
    alpha: float = 1e-2,
    max_iter: int = 200,
    random_state: RandomState = 0,
) -> ContrastiveReward:
    r"""Fit a contrastive reward on pairs of preferred and other responses.

    Parameters
    ----------
    prompts : array-like of shape (n_items, p)
        The vector of each item's prompt.
    items : array-like of shape (n_items, d)
    ids : array-like of int of shape (n_pairs, 2)
        Winners and losers, of one prompt each.
    n_components : int >= 1, default=8
        Rank of W.
    temperature : float > 0, default=0.1
    batch_pairs : int >= 1, default=64
        Pairs whose responses are each other's negatives; with one, only the loser is,
        and the loss is that of Bradley and Terry.
    alpha : float >= 0, default=1e-2
        Penalty on the mean loss, :math:`\alpha / 2` times the squared projections.
    max_iter : int >= 1, default=200
    random_state : int, Generator, RandomState or None, default=0
        Of the batches, which are drawn once, and of the start.

    Returns
    -------
    ContrastiveReward

    Notes
    -----
    Negatives of other prompts teach what answers the prompt at all, losers which of two
    answers is better. Where responses are all on the topic, the latter is what counts.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> prompts = np.repeat(rng.normal(size=(100, 3)), 2, axis=0)
    >>> items = rng.normal(size=(200, 3))
    >>> items[::2] += prompts[::2]
    >>> ids = np.arange(200).reshape(-1, 2)
    >>> fitted = fit_contrastive(prompts, items, ids)
    >>> reward = fitted.reward(prompts, items)
    >>> bool((reward[::2] > reward[1::2]).mean() > 0.8)
    True
    """
    anchors = as_numbers(prompts, "prompts").astype(np.float64)
    vectors = as_numbers(items, "items").astype(np.float64)
    if anchors.ndim != 2 or vectors.ndim != 2 or len(anchors) != len(vectors):
        raise invalid_input(
            "prompts (n_items, p) and items (n_items, d)",
            f"shapes {anchors.shape} and {vectors.shape}",
            "repeat the prompt's vector for each of its items",
        )
    pairs = check_pair_ids(ids, n_items=len(vectors))
    rank = check_count(n_components, "n_components")
    check_count(batch_pairs, "batch_pairs")
    check_positive(temperature, "temperature")
    check_positive(alpha, "alpha", zero=True)
    generator = check_random_state(random_state)
    order = generator.permutation(len(pairs))
    batches = [
        pairs[order[start : start + batch_pairs]]
        for start in range(0, len(order), batch_pairs)
    ]
    edge = anchors.shape[1] * rank
    start = generator.normal(size=edge + vectors.shape[1] * rank)
    start *= np.sqrt(temperature / np.sqrt(anchors.shape[1] * vectors.shape[1]))

    def objective(packed: FloatArray) -> tuple[float, FloatArray]:
        first, second = packed[:edge].reshape(-1, rank), packed[edge:].reshape(-1, rank)
        value, gradient = 0.0, np.zeros_like(packed)
        for batch in batches:
            lost, *slopes = info_nce(
                anchors, vectors, batch, first, second, temperature
            )
            value += lost / len(pairs)
            both = np.concatenate([slope.ravel() for slope in slopes])
            gradient += both / len(pairs)
        return value + alpha / 2 * float(packed @ packed), gradient + alpha * packed

    found = minimise_smooth(
        objective, start, np.ones(len(start)), small=1e-5, max_iter=max_iter
    )
    weights = found.parameters
    return ContrastiveReward(
        weights[:edge].reshape(-1, rank),
        weights[edge:].reshape(-1, rank),
        temperature,
        found.converged,
    )


def info_nce(
    anchors: FloatArray,
    vectors: FloatArray,
    batch: IntArray,
    of_prompts: FloatArray,
    of_items: FloatArray,
    temperature: float,
) -> tuple[float, FloatArray, FloatArray]:
    """Compute the loss of a batch, summed over pairs, and its two gradients.

    Each winner's prompt chooses among the winners and losers of the batch; items that
    stand in it twice are negatives once for each.

    Returns
    -------
    loss : float
    slope_prompts, slope_items : ndarray
        Of the shapes of the projections.
    """
    asked = anchors[batch[:, 0]]
    offered = vectors[np.concatenate([batch[:, 0], batch[:, 1]])]
    left, right = asked @ of_prompts, offered @ of_items
    logits = left @ right.T / temperature
    own = np.arange(len(batch))
    loss = float((logsumexp(logits, axis=1) - logits[own, own]).sum())
    residual = softmax(logits, axis=1)
    residual[own, own] -= 1
    residual /= temperature
    return loss, asked.T @ (residual @ right), offered.T @ (residual.T @ left)
