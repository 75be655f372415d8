"""GeneralPreference: a preference between two items that need not be transitive."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm._validation import Constraints, Integer, Real, check_items, unless_auto
from embrm.exceptions import invalid_input
from embrm.heads.base import RewardHead
from embrm.heads.comparisons import Comparisons, as_pairs
from embrm.heads.cyclic._skew_training import (
    SkewWeights,
    fit_skew,
    search_blocks,
    skew_delta,
)
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import LinearProblem, make_problem
from embrm.heads.linear.search import penalty_at_scale_one
from embrm.heads.state import Stored, StoredArray, StoredValue
from embrm.heads.win_loss import warn_unless
from embrm.pairs import Pairs
from embrm.pool import CandidatePool


class GeneralPreference(RewardHead):
    r"""Preference by a linear reward plus a skew-symmetric form of both items.

    .. math:: \delta(x_1, x_2) = w^\top (x_1 - x_2) + \sum_{k=1}^{K}
              \bigl(u_k(x_1) v_k(x_2) - v_k(x_1) u_k(x_2)\bigr), \qquad
              u_k(x) = u_k^\top (x - \bar x)

    in nats, with :math:`\bar x` the mean of the distinct training items. Each of the K
    blocks is a plane in which the preference is the sine of the angle between two
    items, so that a can beat b, b beat c, and c beat a. Without blocks it is
    `LinearBradleyTerry`. Minimises, over wins i of a winner over a loser,

    .. math:: \sum_i c_i \, \mathrm{softplus}(-(\delta_i - m_i))
              + \tfrac{\alpha}{2} \lVert w \rVert^2
              + \tfrac{\beta}{2} \sum_k (\lVert u_k \rVert^2 + \lVert v_k \rVert^2)

    The form is that of [1]_, on linear features and with a transitive term added; the
    penalty of the blocks is half the nuclear norm of their matrix.

    Parameters
    ----------
    rank : int >= 0 or "auto", default="auto"
        Number K of blocks, at most d / 2. "auto" chooses by four-fold cross-validated
        log loss with whole prompt groups held out: 0, and then 1, 2, 4, ... up to 16
        while the loss falls by more than two standard errors. 0 where fewer than 20
        wins can be held out.
    alpha : float >= 0 or "auto", default="auto"
        Penalty of the linear part. "auto" chooses it as `LinearBradleyTerry` does.
    block_alpha : float > 0 or "auto", default="auto"
        Penalty beta of the blocks. "auto" chooses by the same cross-validation, along
        a path down from the least penalty without any block; half that penalty where
        fewer than 20 wins can be held out.
    preprocessor : scikit-learn transformer, optional
        Acts on items.
    max_iter : int, default=500
        Largest number of L-BFGS steps of the final fit.
    tol : float, default=1e-10
        The fit ends when a step lowers the objective by less than this share.

    Attributes
    ----------
    rank_ : int
        Number of blocks.
    coef_ : ndarray of shape (d,)
        w, on preprocessed items.
    first_, second_ : ndarray of shape (d, rank_)
        Columns u and v of the blocks.
    mean_ : ndarray of shape (d,)
        Mean of the distinct training items.
    alpha_, block_alpha_ : float
        The penalties used; `block_alpha_` is infinite without blocks.
    held_out_loss_ : ndarray of shape (n_tried, 3)
        Rows of (blocks, penalty, held-out log loss in nats) that were tried, the first
        without blocks; may be empty.
    n_iter_ : int

    Notes
    -----
    `decision_function` uses both items of a pair, and exchanging them negates it
    exactly. `reward(x)` is the mean of :math:`\delta(x, z)` over the distinct training
    items z: a Borda score in nats. The u and v of training items have mean zero, so
    this mean is :math:`w^\top (x - \bar x)`, the gradient part of the preference in
    the sense of [2]_; the blocks are its cyclic part. Hence delta is not the
    difference of two rewards unless `rank_` is 0.

    Deterministic: the fit starts at the leading singular pairs of the gradient. The
    objective is not convex, but it is convex in the matrix of the blocks if their
    number is not limited.

    References
    ----------
    .. [1] Zhang, Zhang, Wu, Xu, Gu (2025). Beyond Bradley-Terry models: a general
       preference model for language model alignment. ICML. arXiv:2410.02197.
    .. [2] Jiang, Lim, Yao, Ye (2011). Statistical ranking and combinatorial Hodge
       theory. Mathematical Programming 127.

    Examples
    --------
    Rock, paper and scissors, as corners of a triangle:

    >>> import numpy as np
    >>> from embrm import Pairs
    >>> angle = 2 * np.pi * np.arange(3) / 3
    >>> items = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> pairs = Pairs(items, [[1, 0], [2, 1], [0, 2]])
    >>> head = GeneralPreference(rank=1, block_alpha=0.1).fit(pairs)
    >>> head.predict(pairs)
    array([1, 1, 1])
    >>> bool(np.abs(head.reward(items)).max() < 1e-6)
    True
    """

    is_transitive: ClassVar[bool] = False

    _constraints: ClassVar[Constraints] = {
        "rank": [Integer(0), "auto"],
        "alpha": [Real(), "auto"],
        "block_alpha": [Real(closed="neither"), "auto"],
        "max_iter": [Integer(1)],
        "tol": [Real(closed="neither")],
    }
    _stored: ClassVar[Sequence[Stored]] = (
        StoredArray("coef_", "d"),
        StoredArray("mean_", "d"),
        StoredArray("first_", "d rank"),
        StoredArray("second_", "d rank"),
        StoredArray("held_out_loss_", "tried columns"),
        StoredValue("alpha_", float),
        # It is infinite without blocks.
        StoredValue("block_alpha_", float, default=lambda _: np.inf),
        StoredValue("n_iter_", int),
    )

    def __init__(
        self,
        rank: int | Literal["auto"] = "auto",
        *,
        alpha: float | Literal["auto"] = "auto",
        block_alpha: float | Literal["auto"] = "auto",
        preprocessor: Any = None,
        max_iter: int = 500,
        tol: float = 1e-10,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.rank = rank
        self.alpha = alpha
        self.block_alpha = block_alpha
        self.max_iter = max_iter
        self.tol = tol

    def _fit(self, comparisons: Comparisons) -> None:
        n_blocks = None if isinstance(self.rank, str) else int(self.rank)
        alpha, beta = unless_auto(self.alpha), unless_auto(self.block_alpha)
        problem = make_problem(comparisons)
        if alpha is None:
            alpha = penalty_at_scale_one(comparisons)
        start = np.zeros(len(problem.curvature))
        linear, n_iter, converged = minimise(
            problem, alpha, start, tol=1e-8, max_iter=self.max_iter
        )
        search = search_blocks(
            comparisons, problem, linear, alpha=alpha, n_blocks=n_blocks, beta=beta
        )
        weights = SkewWeights(linear, *(np.empty((len(linear), 0)),) * 2)
        if search.n_blocks:
            weights, n_iter, converged = fit_skew(
                problem,
                linear,
                search.n_blocks,
                alpha=alpha,
                beta=search.beta,
                tol=self.tol,
                max_iter=self.max_iter,
            )
        what = "the general preference head"
        warn_unless(converged, what, self.max_iter, "the penalties")
        self._keep(weights, problem)
        self.mean_ = comparisons.items.mean(axis=0, dtype=np.float64)
        self.alpha_, self.block_alpha_ = alpha, search.beta
        self.held_out_loss_, self.n_iter_ = search.held_out_loss, n_iter

    def _keep(self, weights: SkewWeights, problem: LinearProblem) -> None:
        """Turn the weights into the coordinates of the user."""
        turned: list[FloatArray] = [
            np.ascontiguousarray(
                part if problem.basis is None else problem.basis @ part
            )
            for part in (weights.linear, weights.first, weights.second)
        ]
        self.coef_, self.first_, self.second_ = turned

    def _reward(self, items: FloatArray) -> FloatArray:
        return np.asarray(items @ self.coef_ - self.mean_ @ self.coef_)

    def decision_function(self, pairs: Any) -> FloatArray:
        """Compute delta from both items of each pair, shape (n_pairs,), in nats.

        Swapping a pair negates its delta exactly.
        """
        reward, ids = self._rewards_of(pairs)
        checked = as_pairs(pairs)
        rows, _ = checked.unique_items()
        items = self._preprocessed(checked.items[rows])
        first = items @ self.first_ - self.mean_ @ self.first_
        second = items @ self.second_ - self.mean_ @ self.second_
        return skew_delta(reward, first, second, ids)

    @property
    def rank_(self) -> int:
        """How many blocks there are."""
        return int(self.first_.shape[1])


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
        raise invalid_input(
            expected="wins of shape (..., K, K), one winner at most in each pair",
            got=f"shape {beats.shape}"
            + ("" if mutual is None else " with items that beat each other"),
            fix="pass delta > 0, with delta of shape (K, K)",
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
        raise invalid_input(
            expected="no prompt_ids beside a pool, which has its own",
            got="both",
            fix="pass the pool alone, or its items and prompt_ids",
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
