"""Cycles: how often a head prefers a to b, b to c, and c to a."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import BoolArray, IntArray
from embrm._validation import check_items
from embrm.exceptions import InvalidInputError, three_parts
from embrm.pairs import Pairs
from embrm.pool import CandidatePool

_PAIRS_AT_ONCE = 1_000_000


def cycle_rate(head: Any, items: Any, prompt_ids: ArrayLike | None = None) -> float:
    r"""Compute the share of triples of items of one prompt that are cyclic.

    A triple is cyclic if each of its items is preferred to one of the others, by the
    sign of `head.decision_function`; a triple with a tie is not. A head that compares
    rewards has rate 0, a coin 1/4.

    Parameters
    ----------
    head : fitted head
        Anything with `decision_function(pairs)`.
    items : CandidatePool, or array-like of shape (n_items, d)
    prompt_ids : array-like of shape (n_items,), optional
        Which prompt each item answers; None means one prompt. Only for an array.

    Returns
    -------
    float in [0, 1]
        Over all triples of all prompts together; NaN if no prompt has three items.

    Raises
    ------
    InvalidInputError
        If `prompt_ids` comes with a pool, or has another length than the items.

    Notes
    -----
    Without ties, K items of which item i beats :math:`s_i` others have
    :math:`\binom{K}{3} - \sum_i \binom{s_i}{2}` cyclic triples [1]_: every transitive
    triple has one item that beats both others.

    References
    ----------
    .. [1] Kendall, Babington Smith (1940). On the method of paired comparisons.
       Biometrika 31.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads import LinearBradleyTerry
    >>> items = np.array([[0.0], [1.0], [2.0]])
    >>> head = LinearBradleyTerry().fit(Pairs(items, [[1, 0], [2, 1]]))
    >>> cycle_rate(head, items)
    0.0
    >>> cycle_rate(head, items[:2])
    nan
    """
    pool = _as_pool(items, prompt_ids)
    n_cyclic = n_triples = 0
    for size in np.unique(pool.sizes[pool.sizes >= 3]):
        rows = np.stack([pool.rows(p) for p in pool.prompts[pool.sizes == size]])
        n_triples += len(rows) * int(size * (size - 1) * (size - 2) // 6)
        at_once = max(1, _PAIRS_AT_ONCE // int(size) ** 2)
        for start in range(0, len(rows), at_once):
            wins = _wins(head, pool, rows[start : start + at_once])
            n_cyclic += int(cyclic_triples(wins).sum())
    return n_cyclic / n_triples if n_triples else float("nan")


def cyclic_triples(wins: ArrayLike) -> IntArray:
    """Count the cyclic triples of tournaments.

    Parameters
    ----------
    wins : array-like of bool of shape (..., K, K)
        Whether row beats column; at most one of (i, j) and (j, i), neither for a tie.

    Returns
    -------
    ndarray of int of shape (...)

    Raises
    ------
    InvalidInputError
        If the last two axes differ, or two items beat each other.

    Examples
    --------
    >>> cyclic_triples([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    array(1)
    """
    beats = np.asarray(wins, dtype=bool)
    mutual = beats & np.swapaxes(beats, -1, -2) if _is_square(beats) else None
    if mutual is None or mutual.any():
        raise InvalidInputError(
            three_parts(
                expected="wins of shape (..., K, K), one winner at most in each pair",
                got=f"shape {beats.shape}"
                + ("" if mutual is None else " with items that beat each other"),
                cure="pass delta > 0, with delta of shape (K, K)",
            )
        )
    n_items = beats.shape[-1]
    scores = beats.sum(axis=-1)
    n_decided = scores.sum(axis=-1)
    n_triples = n_items * (n_items - 1) * (n_items - 2) // 6
    by_scores = n_triples - (scores * (scores - 1) // 2).sum(axis=-1)
    if np.all(n_decided == n_items * (n_items - 1) // 2):
        return np.asarray(by_scores)
    # With ties the scores do not say enough; walks of three steps that end where they
    # began do. Counts stay below 2**53, so floating point is exact.
    steps = beats.astype(np.float64)
    walks = np.einsum("...ij,...ji->...", steps @ steps, steps)
    return np.asarray(np.rint(walks / 3).astype(np.intp))


def _is_square(wins: Any) -> bool:
    return bool(wins.ndim >= 2 and wins.shape[-1] == wins.shape[-2])


def _as_pool(items: Any, prompt_ids: ArrayLike | None) -> CandidatePool:
    if not isinstance(items, CandidatePool):
        checked = check_items(items, finite=False)
        ids = np.zeros(len(checked), dtype=int) if prompt_ids is None else prompt_ids
        return CandidatePool(checked, ids)
    if prompt_ids is not None:
        raise InvalidInputError(
            three_parts(
                expected="no prompt_ids beside a pool, which has its own",
                got="both",
                cure="pass the pool alone, or its items and prompt_ids",
            )
        )
    return items


def _wins(head: Any, pool: CandidatePool, rows: IntArray) -> BoolArray:
    """Say who beats whom, (n_prompts, K) rows -> (n_prompts, K, K) booleans."""
    n_prompts, size = rows.shape
    left, right = np.triu_indices(size, 1)
    ids = np.stack([rows[:, left], rows[:, right]], axis=-1)
    delta = head.decision_function(Pairs(pool.items, ids.reshape(-1, 2)))
    sign = np.sign(delta).reshape(n_prompts, -1)
    wins = np.zeros((n_prompts, size, size), dtype=bool)
    wins[:, left, right] = sign > 0
    wins[:, right, left] = sign < 0
    return wins
