"""StackedReward: several heads, weighed by how they do on prompts not seen."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from embrm._typing import AnyArray, FloatArray, RandomState
from embrm._validation import Constraints, Integer, check_random_state
from embrm.exceptions import invalid_input
from embrm.heads.base import RewardHead
from embrm.heads.classification import seed_estimator
from embrm.heads.comparisons import Comparisons
from embrm.heads.state import Stored, StoredArray, StoredValue
from embrm.heads.wrappers._nested import (
    STORED_MEMBERS,
    ask_inner,
    delta_of,
    mean_and_spread,
    name_annotators_of,
    score_out_of_fold,
    unfitted_head,
)
from embrm.heads.wrappers.calibrated import fit_scale

_FEWEST_HELD_OUT = 20
_PRIOR_WINS = 3.0


class StackedReward(RewardHead):
    r"""Weighted sum of the rewards of several heads, in nats.

    .. math:: r(x) = \sum_k w_k \, s_k \, (r_k(x) - \bar r_k)

    Each head is fitted on all prompt groups but those of one fold, in turn. Its scale
    :math:`s_k` is that of least log loss on the held-out wins; the weights minimise,
    over held-out wins i,

    .. math:: \sum_i c_i \, \mathrm{softplus}\Bigl(-\sum_k w_k s_k \delta_{ik}\Bigr)
              + \tfrac{\lambda}{2} \sum_k \bigl(w_k - \tfrac{1}{K}\bigr)^2,
              \qquad w_k \ge 0

    which is stacking [1]_ with non-negative weights [2]_, shrunk towards equal ones
    (:math:`\lambda = 3`) with few held-out wins. Then the heads are fitted to all data.

    Which head is best depends on noise, pairing and size of the data: a stack is
    rarely worse than the best of its heads, without a choice by hand.

    Parameters
    ----------
    heads : list of str or RewardHead, default=("linear", "logistic")
        At least one. A Bradley-Terry model uses the opponents, a classifier only the
        distribution of items: their errors differ.
    cv : int >= 2, default=5
        Folds; whole prompt groups, or connected components where prompts are unknown.
    random_state : int, Generator or None, default=None
        Sets the seeds of heads whose own is None.
    preprocessor : scikit-learn transformer, optional
        Acts on items, once for all heads.

    Attributes
    ----------
    members_ : list of RewardHead
        Fitted to all data.
    weights_ : ndarray of shape (n_heads,), >= 0
        w.
    scale_ : ndarray of shape (n_heads,), > 0
        s. With fewer than 20 held-out wins all weights are equal and scales are such
        that each head's rewards have standard deviation 1 over the training items.
    center_ : ndarray of shape (n_heads,)
        Mean reward of each head over the training items.
    n_held_out_ : int

    Notes
    -----
    Every head is fitted `cv` + 1 times. A `margin` acts on the fits of the heads, not
    on the weights.

    References
    ----------
    .. [1] Wolpert (1992). Stacked generalization. Neural Networks 5.
    .. [2] Breiman (1996). Stacked regressions. Machine Learning 24.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads import StackedReward
    >>> items = np.random.default_rng(0).normal(size=(200, 3))
    >>> pairs = Pairs(items, np.arange(200).reshape(100, 2))
    >>> y = items[pairs.first, 0] > items[pairs.second, 0]
    >>> head = StackedReward(["linear", "mlp"], random_state=0).fit(pairs, y)
    >>> bool(head.weights_[0] > head.weights_[1]), head.score(pairs, y) > 0.95
    (True, True)
    """

    _constraints: ClassVar[Constraints] = {"cv": [Integer(2)]}
    _stored: ClassVar[Sequence[Stored]] = (
        *STORED_MEMBERS,
        StoredArray("weights_", "members"),
        StoredValue("n_held_out_", int),
    )

    def __init__(
        self,
        heads: Any = ("linear", "logistic"),
        *,
        cv: int = 5,
        random_state: RandomState = None,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.heads = heads
        self.cv = cv
        self.random_state = random_state

    learns_from = ask_inner("learns_from", next, "What the heads are fitted on.")
    is_transitive = ask_inner(
        "is_transitive",
        all,
        "Whether the sign of every head's delta follows from its rewards.",
    )
    accepts_margin = ask_inner(
        "accepts_margin", all, "Whether every head takes a positive `margin`."
    )
    estimates_noise = ask_inner(
        "estimates_noise", any, "Whether a head estimates flip rates."
    )

    def _name_annotators(self, names: AnyArray) -> None:
        name_annotators_of(self.members_, names)

    def _fit(self, comparisons: Comparisons) -> None:
        rng = check_random_state(self.random_state)
        heads = self._list_heads()
        for head in heads:
            seed_estimator(head, rng, replace=False)
        fits = [partial(_fit_copy, head) for head in heads]
        held_out = [score_out_of_fold(fit, comparisons, self.cv) for fit in fits]
        self.members_ = [fit(comparisons) for fit in fits]
        moments = [mean_and_spread(m.reward(comparisons.items)) for m in self.members_]
        self.center_ = np.array([mean for mean, _ in moments])
        self.scale_ = np.array([1.0 / spread for _, spread in moments])
        self.weights_ = np.full(len(heads), 1.0 / len(heads))
        self.n_held_out_ = len(held_out[0].delta)
        if self.n_held_out_ >= _FEWEST_HELD_OUT:
            weight = held_out[0].weight
            self.scale_ = np.array([fit_scale(part.delta, weight) for part in held_out])
            deltas = np.column_stack([part.delta for part in held_out])
            self.weights_ = stacking_weights(self.scale_ * deltas, weight)

    def _list_heads(self) -> list[RewardHead]:
        given = self.heads
        if isinstance(given, str) or not isinstance(given, Sequence) or not len(given):
            raise invalid_input(
                expected="heads: a list of at least one head, or name of one",
                got=repr(given)[:60],
                fix="pass for instance ['linear', 'logistic']",
            )
        return [unfitted_head(head) for head in given]

    def _reward(self, items: FloatArray) -> FloatArray:
        parts = zip(
            self.members_, self.center_, self.weights_ * self.scale_, strict=True
        )
        reward: FloatArray = np.zeros(len(items))
        for head, center, factor in parts:
            reward += factor * (head.reward(items) - center)
        return reward

    def decision_function(self, pairs: Any) -> FloatArray:
        r"""Compute delta, shape (n_pairs,), in nats.

        The weighted sum :math:`\sum_k w_k s_k \delta_k` of the heads' own deltas; the
        difference of two rewards where theirs are. Swapping a pair negates it exactly.
        """
        check_is_fitted(self)
        if all(head.is_transitive for head in self.members_):
            return super().decision_function(pairs)
        X, ids = self._items_of(pairs)
        items = self._preprocessed(X)
        delta: FloatArray = np.zeros(len(ids))
        factors = self.weights_ * self.scale_
        for head, factor in zip(self.members_, factors, strict=True):
            delta += factor * delta_of(head, items, ids)
        return delta


def _fit_copy(head: RewardHead, comparisons: Comparisons) -> RewardHead:
    return unfitted_head(head).fit_comparisons(comparisons)


def stacking_weights(delta: FloatArray, weight: FloatArray) -> FloatArray:
    """Weigh columns of held-out deltas for the least log loss, drawn to equal weights.

    Parameters
    ----------
    delta : ndarray of shape (n_wins, n_heads)
        Of winner and loser, in nats.
    weight : ndarray of shape (n_wins,)

    Returns
    -------
    ndarray of shape (n_heads,), >= 0
        Equal ones where the least loss is with all at zero.

    Examples
    --------
    >>> good = np.tile([1.0, 1.0, 1.0, -1.0], 1000)  # right 3 times in 4: log(3) nats
    >>> bad = np.repeat([1.0, -1.0], 2000)
    >>> stacking_weights(np.column_stack([good, bad]), np.ones(4000)).round(1)
    array([1.1, 0. ])
    """
    equal = np.full(delta.shape[1], 1.0 / delta.shape[1])

    def cost(w: FloatArray) -> tuple[float, FloatArray]:
        logit, off = delta @ w, w - equal
        loss = weight @ np.logaddexp(0.0, -logit) + _PRIOR_WINS / 2 * (off @ off)
        return float(loss), _PRIOR_WINS * off - (weight * expit(-logit)) @ delta

    bounds = [(0.0, None)] * len(equal)
    found = minimize(cost, equal, jac=True, bounds=bounds, method="L-BFGS-B").x
    return np.asarray(found if found.any() else equal)
