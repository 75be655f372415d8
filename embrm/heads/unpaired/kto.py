r"""KTOReward: a linear reward from items that are labelled good or bad, unpaired.

The objective of the Kahneman-Tversky head, and its fit along a path of penalties.

.. math:: F(w) = \sum_i a_i \, \sigma(-r_i) + b_i \, \sigma(r_i)
          + \tfrac{\alpha}{2} \lVert w \rVert^2, \qquad r_i = w^\top (x_i - z)

with :math:`a_i` and :math:`b_i` the balanced weight of the desirable and undesirable
labels of item i, and z the mean of the items by that weight, so that the reference
point is 0. F is not convex, but it is where the penalty is strong; minima are followed
from there to weaker penalties.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh, qr
from scipy.special import expit
from sklearn.model_selection import GroupKFold
from sklearn.utils import gen_batches

from embrm._typing import AnyArray, FloatArray, IntArray, LearnsFrom
from embrm._validation import Constraints, Real, unless_auto
from embrm.exceptions import invalid_input
from embrm.heads.rated._rated_items import make_rated_items
from embrm.heads.state import Stored, StoredValue
from embrm.heads.unpaired._linear_item_head import LinearItemHead
from embrm.heads.win_loss import minimise_smooth

_N_FOLDS = 5
_FEWEST_ITEMS = 20
_PATIENCE = 3
_STRONG_PRIOR = 1.0
_NOT_TRIED: FloatArray = np.empty(0)


class KTOReward(LinearItemHead):
    r"""Linear reward from desirable and undesirable items, by the KTO objective.

    Minimises, over labelled items i with :math:`r_i = w^\top x_i`,

    .. math:: \sum_i c_i \lambda_{y_i} (1 - v_i)
              + \tfrac{\alpha}{2} \lVert w \rVert^2, \qquad
              v_i = \begin{cases} \sigma(r_i - z_0) & \text{desirable} \\
                                  \sigma(z_0 - r_i) & \text{undesirable}\end{cases}

    the value function of [1]_ on a linear reward. The loss of an item is bounded, so
    that a wrong label costs at most its weight. The reference point :math:`z_0` is the
    mean reward of the training items by the weights :math:`c_i \lambda_{y_i}`; there
    is no policy, so the divergence that it estimates in [1]_ has no other meaning
    here. Rewards are centred on it: above 0 is desirable.

    Parameters
    ----------
    alpha : float > 0 or "auto", default="auto"
        Penalty. "auto" chooses by five-fold cross-validated log loss of the labels,
        groups kept together. With fewer than 20 items, or where folds cannot be made,
        the penalty under which rewards have a prior standard deviation of 1 nat.
    balance : float > 0, default=1.0
        :math:`\lambda_D n_D / (\lambda_U n_U)`, where n counts labels by weight. The
        two lambda follow from it; [1]_ recommends 1 to 4/3.
    preprocessor : scikit-learn transformer, optional
        Acts on items.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        w, on preprocessed items.
    offset_ : float
        :math:`z_0`.
    lambda_desirable_, lambda_undesirable_ : float
    alpha_ : float
    alphas_, held_out_loss_ : ndarray of shape (n_tried,)
        Penalties tried by "auto", with the held-out log loss of each; may be empty.
    n_iter_ : int
    n_features_in_ : int
    preprocessor_ : fitted transformer or None

    Notes
    -----
    The beta of [1]_ is 1: on a free linear reward it is a part of the scale of w. The
    objective is not convex; its minimum is followed from a strong penalty to
    `alpha_`, which makes the fit deterministic. Penalties are chosen by log loss, as
    the bounded loss itself favours rewards of excessive scale.

    References
    ----------
    .. [1] Ethayarajh, Xu, Muennighoff, Jurafsky, Kiela (2024). KTO: model alignment as
       prospect theoretic optimization. ICML. arXiv:2402.01306.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> items = np.random.default_rng(0).normal(size=(100, 3))
    >>> head = KTOReward().fit(items, items[:, 0] > 0)
    >>> np.round(np.mean((head.reward(items) > 0) == (items[:, 0] > 0)), 1)
    np.float64(1.0)
    >>> head.predict_proba(Pairs(items, [[0, 1], [1, 0]])).shape
    (2, 2)
    """

    learns_from: ClassVar[LearnsFrom] = "labels"

    lambda_desirable_: float
    lambda_undesirable_: float

    _constraints: ClassVar[Constraints] = {
        **LinearItemHead._constraints,
        "balance": [Real(closed="neither")],
    }
    _stored: ClassVar[Sequence[Stored]] = (
        *LinearItemHead._stored,
        StoredValue("lambda_desirable_", float),
        StoredValue("lambda_undesirable_", float),
    )

    def __init__(
        self,
        alpha: float | Literal["auto"] = "auto",
        *,
        balance: float = 1.0,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(alpha, preprocessor=preprocessor)
        self.balance = balance

    def fit(
        self,
        X: Any,
        label: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit the reward to labelled items.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
        label : array-like of shape (n_items,), bool or in [0, 1]
            1 or True is desirable. A soft label p equals two rows, (1, weight p) and
            (0, weight 1 - p).
        groups : array-like of shape (n_items,), optional
            Which prompt each item answers: kept together in cross-validation.
        sample_weight : array-like of shape (n_items,), >= 0, optional
            Weight k equals k copies of the item; weight 0 equals its removal.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            On a wrong shape, dtype or range, NaN or infinity, or if the labels are
            all desirable or all undesirable.
        """
        self._check_parameters()
        alpha = unless_auto(self.alpha)
        rated = make_rated_items(X, _check_label(label), sample_weight, groups)
        preprocessor, items = self._fit_preprocessor(rated.items)
        weight, share = rated.weight[:, 0], rated.rating[:, 0]
        raw = LabelledItems(items, weight * share, weight * (1.0 - share))
        _refuse_one_label(raw)
        labelled = raw.balanced(float(self.balance))
        problem = make_kto_problem(labelled)
        alphas = losses = _NOT_TRIED
        if alpha is None:
            alphas, losses = _held_out(problem, rated.groups, penalties(problem))
            default = problem.mean_square / _STRONG_PRIOR**2
            alpha = float(alphas[np.argmin(losses)]) if len(losses) else default
        *_, (w, n_iter) = follow_path(problem, path_to(problem, alpha))
        self.coef_ = w if problem.basis is None else problem.basis @ w
        self.offset_ = float(labelled.reference_point() @ self.coef_)
        self.lambda_desirable_, self.lambda_undesirable_ = (
            float(labelled.desirable.sum() / raw.desirable.sum()),
            float(labelled.undesirable.sum() / raw.undesirable.sum()),
        )
        self.alpha_, self.n_iter_ = alpha, n_iter
        self.alphas_, self.held_out_loss_ = alphas, losses
        self.n_features_in_ = rated.items.shape[1]
        self.preprocessor_ = preprocessor
        return self


def _check_label(label: ArrayLike) -> FloatArray:
    """Check labels: numbers or booleans in [0, 1], none missing."""
    raw = np.asarray(label)
    if raw.dtype.kind in "iubf":
        labels = raw.astype(np.float64)
        if bool(np.all((labels >= 0) & (labels <= 1))):
            return labels
        got = "a label that is NaN or outside"
    else:
        got = f"dtype {raw.dtype}"
    raise invalid_input(
        expected="label in [0, 1]: 1 or True if desirable, 0 or False if not",
        got=got,
        fix="map the labels to 0 and 1, and drop the items without one",
    )


def _refuse_one_label(labelled: "LabelledItems") -> None:
    for name in ("desirable", "undesirable"):
        if not getattr(labelled, name).any():
            raise invalid_input(
                expected="desirable and undesirable items",
                got=f"{len(labelled.items)} items, none of them {name}",
                fix="add items of the other label; one label orders nothing",
            )
    if len(labelled.items) < 2:
        raise invalid_input(
            expected="at least two different vectors",
            got="one",
            fix="check the encoder: different texts should embed differently",
        )


def _held_out(
    problem: "KTOProblem", groups: IntArray | None, alphas: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Compute the mean held-out log loss of penalties, until it rises.

    Returns
    -------
    alphas, losses : ndarray of shape (n_tried,)
        Empty with too few items to choose.
    """
    labelled = problem.labelled
    n = len(labelled.items)
    units = np.arange(n) if groups is None else groups
    n_units = len(np.unique(units))
    if n < _FEWEST_ITEMS or n_units < 2:
        return _NOT_TRIED, _NOT_TRIED
    folds = GroupKFold(min(_N_FOLDS, n_units)).split(np.empty((n, 1)), groups=units)
    splits = [(problem.without(held), held) for _, held in folds]
    splits = [(p, held) for p, held in splits if p.labelled.has_both]
    if not splits:
        return _NOT_TRIED, _NOT_TRIED
    losses = list[float]()
    paths = [follow_path(part, alphas, tol=LOOSE) for part, _ in splits]
    for fits in zip(*paths, strict=True):
        total = 0.0
        for (part, held), (w, _) in zip(splits, fits, strict=True):
            total += float(label_log_losses(part.reward(w), labelled)[held].sum())
        losses.append(total)
        if len(losses) - 1 - int(np.argmin(losses)) >= _PATIENCE:
            break
    weight = sum(float(labelled.weight[held].sum()) for _, held in splits)
    return alphas[: len(losses)], np.array(losses) / weight


PRIORS = np.geomspace(0.03, 30.0, 13)
"""Prior standard deviations of a reward, in nats, from strong to weak penalty."""

TIGHT, LOOSE = 1e-9, 1e-4
"""Tolerances of fits to keep, and of fits to choose by."""

_LARGEST_ROTATION = 1024
_ROWS_AT_A_TIME = 1 << 14
_SMALLEST_CURVATURE = 1e-12
_MAX_ITER = 500


@dataclass(frozen=True, eq=False)
class LabelledItems:
    """Distinct items with the weight of their labels.

    Attributes
    ----------
    items : ndarray of shape (n_items, k)
    desirable, undesirable : ndarray of shape (n_items,), >= 0
    """

    items: FloatArray
    desirable: FloatArray
    undesirable: FloatArray

    def balanced(self, balance: float) -> "LabelledItems":
        """Weigh the labels so that desirable is to undesirable as `balance` to 1."""
        n_desirable, n_undesirable = self.desirable.sum(), self.undesirable.sum()
        total = n_desirable + n_undesirable
        share = balance / (1.0 + balance)
        return replace(
            self,
            desirable=self.desirable * (share * total / n_desirable),
            undesirable=self.undesirable * ((1.0 - share) * total / n_undesirable),
        )

    @property
    def has_both(self) -> bool:
        """Whether an item is desirable, and one is not."""
        return bool(self.desirable.any() and self.undesirable.any())

    @property
    def weight(self) -> FloatArray:
        """Weight of both labels together, shape (n_items,)."""
        return self.desirable + self.undesirable

    def reference_point(self) -> FloatArray:
        """Compute the mean of the items by weight, shape (k,), float64."""
        weight = self.weight
        return np.asarray(weight @ self.items / weight.sum(), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class KTOProblem:
    """Balanced labels on items in coordinates where the problem is well conditioned.

    Attributes
    ----------
    labelled : LabelledItems
        Centred at the reference point, rotated by `basis` where that pays.
    basis : ndarray of shape (d, k) or None
    curvature : ndarray of shape (k,)
        Sum of squares of the columns, by weight.
    center : ndarray of shape (k,)
        The reference point in these coordinates: 0, unless items were left out.
    """

    labelled: LabelledItems
    basis: FloatArray | None
    curvature: FloatArray
    center: FloatArray

    @property
    def mean_square(self) -> float:
        """Mean squared distance of an item from the reference point."""
        return float(self.curvature.sum() / self.labelled.weight.sum())

    def reward(self, w: FloatArray) -> FloatArray:
        """Compute the reward of all items, those that were left out included."""
        return np.asarray(self.labelled.items @ w - self.center @ w)

    def without(self, rows: AnyArray) -> "KTOProblem":
        """Leave items out, by their weight: the matrix is shared, not copied."""
        kept = np.ones(len(self.labelled.items))
        kept[rows] = 0.0
        labelled = replace(
            self.labelled,
            desirable=self.labelled.desirable * kept,
            undesirable=self.labelled.undesirable * kept,
        )
        weight, items = labelled.weight, labelled.items
        if not labelled.has_both:
            return replace(self, labelled=labelled)
        center = labelled.reference_point()
        squares = np.einsum("i,ij,ij->j", weight, items, items)
        curvature = np.maximum(squares - weight.sum() * center**2, 0)
        return replace(self, labelled=labelled, curvature=curvature, center=center)


def make_kto_problem(labelled: LabelledItems) -> KTOProblem:
    """Centre balanced items, and rotate them to their principal axes."""
    weight = labelled.weight
    items = labelled.items - labelled.reference_point()
    basis = None
    if len(items) < items.shape[1]:
        # The solution lies in the span of the items: solve there.
        basis, triangle = qr(items.T, mode="economic")
        items = np.ascontiguousarray(triangle.T)
    blocks = list(gen_batches(len(items), _ROWS_AT_A_TIME))
    if items.shape[1] > _LARGEST_ROTATION:
        curvature = np.einsum("i,ij,ij->j", weight, items, items)
    else:
        gram = sum(items[b].T @ (weight[b, None] * items[b]) for b in blocks)
        curvature, rotation = eigh(gram)
        for b in blocks:
            items[b] = items[b] @ rotation
        basis = rotation if basis is None else basis @ rotation
    inside = replace(labelled, items=items)
    center = np.zeros(items.shape[1])
    return KTOProblem(inside, basis, np.maximum(curvature, 0), center)


def kto_value_and_gradient(
    problem: KTOProblem, alpha: float, w: FloatArray
) -> tuple[float, FloatArray]:
    """Compute F and its gradient at w."""
    labelled = problem.labelled
    reward = problem.reward(w)
    slope = (labelled.undesirable - labelled.desirable) * expit(reward) * expit(-reward)
    value = kto_losses(reward, labelled).sum() + alpha / 2 * (w @ w)
    gradient = labelled.items.T @ slope - slope.sum() * problem.center + alpha * w
    return float(value), gradient


def kto_losses(reward: FloatArray, labelled: LabelledItems) -> FloatArray:
    """Compute the loss of each item: lambda (1 - v), summed over its labels."""
    return labelled.desirable * expit(-reward) + labelled.undesirable * expit(reward)


def label_log_losses(reward: FloatArray, labelled: LabelledItems) -> FloatArray:
    """Compute the log loss of each item in nats, summed over its labels."""
    for_desirable = labelled.desirable * np.logaddexp(0.0, -reward)
    return for_desirable + labelled.undesirable * np.logaddexp(0.0, reward)


def penalties(problem: KTOProblem) -> FloatArray:
    """List the penalties of the path, descending."""
    return np.asarray(problem.mean_square / PRIORS**2)


def follow_path(
    problem: KTOProblem, alphas: FloatArray, *, tol: float = TIGHT
) -> Iterator[tuple[FloatArray, int]]:
    """Minimise F for each penalty, each fit starting from the last.

    Parameters
    ----------
    problem : KTOProblem
    alphas : ndarray of shape (n_alphas,)
        Descending.
    tol : float
        Size of the gradient at which a fit ends, relative to the root of the weight.

    Yields
    ------
    w : ndarray of shape (k,)
    n_iter : int
    """
    w: FloatArray = np.zeros(len(problem.curvature))
    floor = _SMALLEST_CURVATURE * problem.curvature.max()
    for alpha in alphas:
        found = minimise_smooth(
            partial(kto_value_and_gradient, problem, float(alpha)),
            w,
            1.0 / np.sqrt(problem.curvature / 4 + alpha + floor),
            small=tol * np.sqrt(problem.labelled.weight.sum()),
            max_iter=_MAX_ITER,
        )
        w = found.parameters
        yield w, found.n_iter


def path_to(problem: KTOProblem, alpha: float) -> FloatArray:
    """List the penalties above `alpha`, then `alpha` itself."""
    strong = penalties(problem)
    return np.append(strong[strong > alpha], alpha)
