r"""DPO, IPO, SLiC, KTO and any loss of theirs, trained on softmax policies over pools.

A policy is :math:`\pi \propto \pi_0 e^{\theta}`, with :math:`\theta = \phi^\top w`
(log-linear) or a number for each item (tabular). For two responses to one prompt the
normaliser cancels: :math:`\rho = \theta^+ - \theta^-`. DPO on a log-linear policy is
therefore Bradley-Terry regression, and its optimum the policy tilted by that reward.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cholesky, solve_triangular
from scipy.special import expit

from embrm._typing import FloatArray, IntArray
from embrm._validation import (
    as_numbers,
    check_choice,
    check_count,
    check_labels,
    check_pair_ids,
    check_positive,
    check_sample_weight,
    check_share,
)
from embrm.exceptions import invalid_input
from embrm.heads.win_loss import minimise_smooth
from embrm.policy._prompts import Prompts
from embrm.policy.losses import PAIR_LOSSES, PairLoss, pair_loss
from embrm.pool import CandidatePool

_SMALL = 1e-6
_PAIRS_AT_ONCE = 16384


@dataclass(frozen=True)
class DirectAlignment:
    r"""How a policy is trained on preferences.

    Parameters
    ----------
    loss : str or PairLoss, default="dpo"
        One of `PAIR_LOSSES`, a loss of your own, or `"kto"` (Ethayarajh et al. 2024,
        arXiv:2402.01306).
    beta : float > 0, default=0.1
        Price of divergence: losses are of :math:`\beta \rho`.
    policy : {"linear", "tabular"}, default="linear"
    alpha : float >= 0, default=1e-4
        Penalty :math:`\alpha / 2 \lVert \beta w \rVert^2` beside the mean loss, on the
        implicit reward's weights, so that it weighs the same at every beta. Without one
        DPO of certain preferences has no optimum.
    sft : float >= 0, default=0
        Weight of the cross-entropy :math:`-E_{\pi_0} \log \pi`, which SLiC adds.
    reference_free : bool, default=False
        Whether :math:`\rho` is of :math:`\log \pi` alone, as in SLiC.
    label_smoothing : float in [0, 1/2), default=0
        Share of the labels taken as wrong (cDPO).
    robust : bool, default=False
        Whether the loss is made unbiased for that share instead (robust DPO,
        Chowdhury et al. 2024, arXiv:2403.00409).
    desirable, undesirable : float > 0, default=1
        Weights of KTO.
    max_iter : int >= 1, default=300

    Examples
    --------
    >>> pool = CandidatePool(np.eye(2), ["a", "a"])
    >>> fitted = DirectAlignment("ipo", beta=0.5, policy="tabular", alpha=0.0).fit(
    ...     pool, [[0, 1]]
    ... )
    >>> fitted.theta(pool).round(3)
    array([ 0.5, -0.5])
    """

    loss: str | PairLoss = "dpo"
    beta: float = 0.1
    policy: str = "linear"
    alpha: float = 1e-4
    sft: float = 0.0
    reference_free: bool = False
    label_smoothing: float = 0.0
    robust: bool = False
    desirable: float = 1.0
    undesirable: float = 1.0
    max_iter: int = 300

    def fit(
        self,
        pool: CandidatePool,
        ids: ArrayLike,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        base_logprob: ArrayLike | None = None,
        start: "SoftmaxPolicy | None" = None,
    ) -> "SoftmaxPolicy":
        """Train a policy on pairs of a pool.

        Parameters
        ----------
        pool : CandidatePool
        ids : array-like of int of shape (n_pairs, 2)
            Both items of a pair answer one prompt.
        y : array-like of shape (n_pairs,), optional
            Probability that first is preferred; None means always.
        sample_weight : array-like of shape (n_pairs,), optional
        base_logprob : array-like of shape (n_items,), optional
            Of the base policy; it matters with `sft`, `reference_free` or KTO alone.
        start : SoftmaxPolicy, optional
            A policy that is trained on: the penalty draws to it instead of to the base
            policy.

        Returns
        -------
        SoftmaxPolicy

        Raises
        ------
        InvalidInputError
            If a pair is of two prompts, or a parameter out of range.
        """
        self._check()
        pairs = check_pair_ids(ids, n_items=len(pool))
        labels = check_labels(y, n_pairs=len(pairs))
        weights = check_sample_weight(sample_weight, n_pairs=len(pairs))
        prompts = Prompts.of(pool.prompt_ids, len(pool))
        if len(pairs) == 0 or (np.diff(prompts.codes[pairs], axis=1) != 0).any():
            raise invalid_input(
                "pairs of responses to one prompt",
                "none" if len(pairs) == 0 else "a pair of two prompts",
                "a policy orders the responses to each prompt alone",
            )
        problem = _Problem.of(self, pool, prompts, pairs, labels, weights, base_logprob)
        return problem.solve(start)

    def _check(self) -> None:
        if isinstance(self.loss, str):
            check_choice(self.loss, "loss", (*PAIR_LOSSES, "kto"))
        else:
            pair_loss(self.loss)
        check_choice(self.policy, "policy", ("linear", "tabular"))
        for name in ("beta", "desirable", "undesirable"):
            check_positive(getattr(self, name), name)
        for name in ("alpha", "sft"):
            check_positive(getattr(self, name), name, zero=True)
        check_count(self.max_iter, "max_iter")
        if check_share(self.label_smoothing, "label_smoothing") >= 0.5:
            raise invalid_input(
                "label_smoothing below 1/2",
                f"{self.label_smoothing:g}",
                "labels that are wrong more often than right say the opposite",
            )


@dataclass(frozen=True, eq=False)
class SoftmaxPolicy:
    r"""A policy :math:`\pi \propto \pi_0 e^\theta`.

    Attributes
    ----------
    settings : DirectAlignment
    weights : ndarray of shape (d,) or (n_items,)
        Of features (log-linear), or of the items trained on (tabular).
    n_iter : int
    converged : bool
    """

    settings: DirectAlignment
    weights: FloatArray
    n_iter: int = 0
    converged: bool = True

    def theta(self, pool: CandidatePool) -> FloatArray:
        r"""Compute :math:`\theta` of items, shape (n_items,)."""
        if self.settings.policy == "tabular":
            if len(pool) != len(self.weights):
                raise invalid_input(
                    f"the pool of {len(self.weights)} items that was trained on",
                    f"one of {len(pool)}",
                    "train a log-linear policy to judge other responses",
                )
            return self.weights
        return np.asarray(
            pool.items @ self.weights.astype(pool.items.dtype), np.float64
        )

    def reward(self, pool: CandidatePool) -> FloatArray:
        r"""Compute the implicit reward :math:`\beta \theta`, in nats."""
        return np.asarray(self.settings.beta * self.theta(pool))

    def logprob(
        self, pool: CandidatePool, base_logprob: ArrayLike | None = None
    ) -> FloatArray:
        """Compute log-probabilities of items, normalised within prompts."""
        prompts = Prompts.of(pool.prompt_ids, len(pool))
        return prompts.log_softmax(prompts.base(base_logprob) + self.theta(pool))


@dataclass(eq=False)
class _Problem:
    """Mean loss and its gradient, in theta of the items that matter."""

    settings: DirectAlignment
    items: FloatArray | None
    first: IntArray
    second: IntArray
    labels: FloatArray
    weights: FloatArray
    prompts: Prompts
    base: FloatArray
    n_items: int
    z0: float = 0.0
    root: FloatArray = field(init=False)

    @classmethod
    def of(
        cls,
        settings: DirectAlignment,
        pool: CandidatePool,
        prompts: Prompts,
        pairs: IntArray,
        labels: FloatArray,
        weights: FloatArray,
        base_logprob: ArrayLike | None,
    ) -> "_Problem":
        """Keep the items that pairs are of, or all where the normaliser matters."""
        base = prompts.base(base_logprob)
        tabular = settings.policy == "tabular"
        needs_all = settings.sft > 0 or settings.loss == "kto"
        used = None
        if not (needs_all or settings.reference_free or tabular):
            used = np.zeros(len(pool), dtype=bool)
            used[pairs.ravel()] = True
            place = np.cumsum(used) - 1
            pairs = place[pairs]
        items: FloatArray | None = None
        if not tabular:
            chosen = pool.items if used is None else pool.items[used]
            kind = np.float64 if chosen.dtype == np.float64 else np.float32
            items = np.asarray(as_numbers(chosen, "items"), dtype=kind)
        return cls(
            settings,
            items,
            pairs[:, 0],
            pairs[:, 1],
            _smoothed(labels, settings),
            weights / weights.sum(),
            prompts,
            base,
            len(pool),
        )

    def solve(self, start: SoftmaxPolicy | None) -> SoftmaxPolicy:
        n_parameters = self.n_items if self.items is None else self.items.shape[1]
        centre = np.zeros(n_parameters) if start is None else start.weights
        if len(centre) != n_parameters:
            raise invalid_input(
                f"a start with {n_parameters} weights",
                f"one of {len(centre)}",
                "start from a policy of the same kind on the same pool",
            )
        self.root = self._whitening()
        weights, total, converged = centre, 0, False
        # The reference point of KTO is held fixed while the loss is minimised.
        for _ in range(_KTO_ROUNDS if self.settings.loss == "kto" else 1):
            self.z0 = self._reference_point(weights)
            found = minimise_smooth(
                self._objective(centre),
                self._whitened(weights - centre),
                np.ones(n_parameters),
                small=_SMALL,
                max_iter=self.settings.max_iter,
            )
            before, weights = weights, centre + self._unwhitened(found.parameters)
            total, converged = total + found.n_iter, found.converged
            if np.abs(weights - before).max() < _SMALL * (1 + np.abs(weights).max()):
                break
        return SoftmaxPolicy(self.settings, weights, total, converged)

    def _objective(
        self, centre: FloatArray
    ) -> Callable[[FloatArray], tuple[float, FloatArray]]:
        penalty = self.settings.alpha * self.settings.beta**2

        def objective(u: FloatArray) -> tuple[float, FloatArray]:
            step = self._unwhitened(u)
            value, gradient = self.value_and_gradient(centre + step)
            value += penalty / 2 * float(step @ step)
            return value, self._pulled_back(gradient + penalty * step)

        return objective

    def value_and_gradient(self, weights: FloatArray) -> tuple[float, FloatArray]:
        """Compute the mean loss without the penalty, and its gradient in weights."""
        theta = weights if self.items is None else self._times(weights)
        value, gradient = self._kto(theta) if self._is_kto else self._of_pairs(theta)
        if self.settings.sft:
            logprob = self.prompts.log_softmax(self.base + theta)
            share = self.settings.sft / len(self.prompts)
            value -= share * float(np.exp(self.base) @ logprob)
            gradient += share * (np.exp(logprob) - np.exp(self.base))
        if self.items is None:
            return value, gradient
        projected = gradient.astype(self.items.dtype) @ self.items
        return value, projected.astype(np.float64)

    def _times(self, weights: FloatArray) -> FloatArray:
        assert self.items is not None  # noqa: S101
        return np.asarray(self.items @ weights.astype(self.items.dtype), np.float64)

    @property
    def _is_kto(self) -> bool:
        return self.settings.loss == "kto"

    def _of_pairs(self, theta: FloatArray) -> tuple[float, FloatArray]:
        loss, beta = pair_loss(self.settings.loss), self.settings.beta
        rho = theta[self.first] - theta[self.second]
        if self.settings.reference_free:
            rho = rho + self.base[self.first] - self.base[self.second]
        value, slope = _soft(loss, beta * rho, self.labels)
        slopes = beta * self.weights * slope
        gained = np.bincount(self.first, slopes, minlength=len(theta))
        lost = np.bincount(self.second, slopes, minlength=len(theta))
        gradient = np.asarray(gained - lost, dtype=np.float64)
        return float(self.weights @ value), gradient

    def _kto(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Compute w (1 - v) of each response of each pair, z0 fixed."""
        ratio = self.prompts.log_softmax(self.base + theta) - self.base
        value, by_item = 0.0, np.zeros(len(theta), dtype=np.float64)
        for at, good in ((self.first, self.labels), (self.second, 1 - self.labels)):
            x = self.settings.beta * ratio[at] - self.z0
            gain = self.settings.desirable * good
            loss = self.settings.undesirable * (1 - good)
            # 1 - v is sigma(-x) where desirable, sigma(x) where not.
            value += float(self.weights @ (gain * expit(-x) + loss * expit(x)))
            slope = (loss - gain) * expit(x) * expit(-x)
            slopes = self.settings.beta * self.weights * slope
            by_item = by_item + np.bincount(at, slopes, minlength=len(theta))
        shares = np.exp(ratio + self.base)
        total = self.prompts.sum(by_item)[self.prompts.codes]
        return value, by_item - shares * total

    def _reference_point(self, weights: FloatArray) -> float:
        """Compute beta KL(pi || pi_0), exactly; 0 for other losses."""
        if not self._is_kto:
            return 0.0
        theta = weights if self.items is None else self._times(weights)
        logprob = self.prompts.log_softmax(self.base + theta)
        kl = float(np.exp(logprob) @ (logprob - self.base)) / len(self.prompts)
        return self.settings.beta * max(kl, 0.0)

    def _whitening(self) -> FloatArray:
        """Factor the curvature at the base policy, so that steps are well scaled."""
        settings = self.settings
        curvature = pair_loss("dpo" if self._is_kto else settings.loss).curvature
        scale = curvature * settings.beta**2
        ridge = settings.alpha * settings.beta**2 + settings.sft / max(1, self.n_items)
        if self.items is None:
            counts = np.bincount(self.first, self.weights, minlength=self.n_items)
            counts += np.bincount(self.second, self.weights, minlength=self.n_items)
            curve = scale * counts + ridge
            return np.asarray(np.sqrt(np.maximum(curve, 1e-3 * curve.max())))
        gram = np.zeros((self.items.shape[1],) * 2)
        for begin in range(0, len(self.first), _PAIRS_AT_ONCE):
            part = slice(begin, begin + _PAIRS_AT_ONCE)
            delta = self.items[self.first[part]] - self.items[self.second[part]]
            share = self.weights[part, None].astype(delta.dtype)
            gram += delta.T @ (share * delta)
        gram *= scale
        gram[np.diag_indices_from(gram)] += ridge + 1e-6 * np.trace(gram) / len(gram)
        if not gram.any():
            return np.ones(len(gram))
        return np.asarray(cholesky(gram, lower=True))

    def _whitened(self, step: FloatArray) -> FloatArray:
        return self.root * step if self.root.ndim == 1 else self.root.T @ step

    def _unwhitened(self, u: FloatArray) -> FloatArray:
        if self.root.ndim == 1:
            return u / self.root
        return np.asarray(solve_triangular(self.root, u, lower=True, trans="T"))

    def _pulled_back(self, gradient: FloatArray) -> FloatArray:
        if self.root.ndim == 1:
            return gradient / self.root
        return np.asarray(solve_triangular(self.root, gradient, lower=True))


_KTO_ROUNDS = 50


def _smoothed(labels: FloatArray, settings: DirectAlignment) -> FloatArray:
    wrong = settings.label_smoothing
    if settings.robust:
        return (labels - wrong) / (1 - 2 * wrong)
    return labels * (1 - wrong) + (1 - labels) * wrong


def _soft(
    loss: PairLoss, x: FloatArray, labels: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weigh the loss of both orders by the label: value and slope in x."""
    value, slope = labels * loss.value(x), labels * loss.slope(x)
    mixed = labels != 1
    if mixed.any():
        other = 1 - labels[mixed]
        value[mixed] += other * loss.value(-x[mixed])
        slope[mixed] -= other * loss.slope(-x[mixed])
    return value, slope
