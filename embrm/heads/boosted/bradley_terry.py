"""BoostedBradleyTerry: boosted trees as reward, on top of a linear one.

Trees are grown on the residuals of the linear fit. On its own training wins these are
too small, the smaller the more features there are, so the logits passed on are
cross-fitted: each item is scored by a fit without any of its wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from embrm._typing import BoolArray, FloatArray, IntArray, RandomState
from embrm._validation import Constraints, Integer, Real, check_random_state
from embrm.exceptions import invalid_input
from embrm.heads.base import RewardHead
from embrm.heads.boosted._growing import (
    BoostingWins,
    EarlyStopping,
    TreePlan,
    boost,
    boost_until_stalled,
)
from embrm.heads.boosted.binned_items import (
    Backend,
    BinnedItems,
    bin_distinct_items,
    read_forest,
    write_forest,
)
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear.bradley_terry import LinearBradleyTerry, restore_linear
from embrm.heads.noisy_labels import NOISE, STORED_NOISE, model_label_noise
from embrm.heads.state import Stored, StoredArray, StoredPart, StoredValue
from embrm.heads.validation_split import grouped_folds, held_out_by_item, holdout
from embrm.heads.win_loss import best_scale, loss_of_wins

_N_FOLDS = 5
_LOG_SCALES = (-0.7, 10.0)
_FEWEST_HELD_OUT = 10
_BLIND_ROUNDS = 50
_SHARE_OF_FEATURES = 0.2
_FEWEST_FEATURES = 16


@dataclass(frozen=True, eq=False)
class LinearStart:
    """A linear head, and how far to trust it.

    Attributes
    ----------
    head : LinearBradleyTerry
        Fitted to all wins.
    scale : float > 0
        What its rewards are multiplied by for the least out-of-fold log loss: the
        penalty that "auto" chooses orders items well and states deltas too small.
    logit : ndarray of shape (n_wins,)
        Scaled out-of-fold delta of each win, in nats, with effects of prompts where
        the head has them; margins are not subtracted.
    """

    head: LinearBradleyTerry
    scale: float
    logit: FloatArray

    def reward(self, items: FloatArray) -> FloatArray:
        """Score items, (n_items, d) -> (n_items,), in nats."""
        return self.scale * self.head.reward(items)


def fit_linear_start(comparisons: Comparisons) -> LinearStart:
    """Fit a linear head with automatic penalty, and score its wins out of fold.

    Parameters
    ----------
    comparisons : Comparisons

    Returns
    -------
    LinearStart
        With scale 1 and in-sample logits where the wins cannot be divided into folds.
    """
    head = LinearBradleyTerry(posterior=False).fit_comparisons(comparisons)
    items = np.arange(len(comparisons.items))
    reward = head.reward_in_training(comparisons, items)
    # With effects of prompts items are held out, so that these are known from others.
    units = held_out_by_item(comparisons) if head.prompt_effects_ else comparisons
    folds = grouped_folds(units, _N_FOLDS)
    if len(folds) < 2:
        return LinearStart(head, 1.0, _delta(comparisons, reward))
    same = head.with_selected_params()
    for train, _ in folds:
        part = comparisons.take(train)
        unseen = np.setdiff1d(items, [part.winner, part.loser])
        fitted = same.fit_comparisons(part)
        reward[unseen] = fitted.reward_in_training(comparisons, unseen)
    logit = _delta(comparisons, reward)
    doubt = 1.0 / (float(comparisons.weight.sum()) + 2.0)
    scale = best_scale(logit, comparisons, _LOG_SCALES, doubt=doubt)
    return LinearStart(head, scale, scale * logit)


def _delta(comparisons: Comparisons, reward: FloatArray) -> FloatArray:
    return reward[comparisons.winner] - reward[comparisons.loser]


class BoostedBradleyTerry(RewardHead):
    r"""Tree reward: a linear head plus gradient-boosted trees, in nats.

    Trees are grown one by one on the pairwise log loss itself [1]_ [2]_,

    .. math:: \sum_i c_i \, \mathrm{softplus}(-(r(\text{winner}_i)
              - r(\text{loser}_i) - m_i)),

    whose gradient and (diagonal) hessian with respect to the reward of an item, sums
    of :math:`\mp c_i q_i` and :math:`c_i q_i (1 - q_i)` over its wins and losses with
    :math:`q_i` the probability of the opposite outcome, are what the library fits its
    trees to. One row is one distinct item, however many pairs it is in. The number of
    trees is that of the least log loss on held-out prompt groups; then all wins are
    fitted with that many.

    The trees are added to a `LinearBradleyTerry` fitted to the same wins, scaled by its
    out-of-fold log loss, and grown on its out-of-fold residuals. If no number of trees
    is better on the held-out wins by more than 2.5 standard errors, there are none: on
    few or noisy labels trees alone are worse than a linear head.

    Parameters
    ----------
    backend : {"lightgbm", "xgboost"}, default="lightgbm"
        The library that grows the trees.
    linear_start : bool, default=True
        Whether to add the trees to a linear head, or to grow them alone.
    noise : float in [0, 0.5), "estimate" or None, default=None
        Rate e at which labels are flipped: then the loss is
        :math:`-\log(e + (1 - 2e)\,\sigma(t))`. "estimate" takes the rates that
        `LinearBradleyTerry` would estimate, one for each annotator if `annotator` is
        passed to `fit`.
    learning_rate : float > 0, default=0.05
        Each tree's leaves are shrunk by it.
    max_rounds : int >= 1, default=1000
        Largest number of trees.
    max_leaves : int >= 2, default=4
        Leaves of a tree; 2 is an additive model.
    min_comparisons : float > 0, default=20
        How many comparisons a leaf must take part in, counted by hessian: four times
        the sum of :math:`c q (1 - q)`, so that a nearly certain one counts less.
    l2 : float >= 0, default=10
        Penalty on the square of a leaf's value, added to its hessian.
    feature_fraction : float in (0, 1] or "auto", default="auto"
        Share of the features that each tree may split on. "auto" is a fifth, but at
        least 16 features.
    item_fraction : float in (0, 1], default=0.7
        Share of the items that each tree is grown on.
    patience : int >= 1, default=50
        Trees without improvement after which growth ends.
    validation_fraction : float in (0, 1), default=0.2
        Share of the wins that are held out, by prompt group where prompts are known.
        With fewer than 10 held-out wins nothing is held out: the head stays linear,
        or has 50 trees if `linear_start` is off.
    refit : bool, default=True
        Whether to fit again on all wins with the number of trees found. Off, the
        held-out wins have chosen that number and nothing else.
    bins : int in [2, 255] or BinnedItems, default=63
        Bins of each feature, or items that `bin_items` has binned beforehand, for
        many fits on items among them.
    random_state : int, Generator or None, default=None
        An integer makes the fit reproducible on one machine.
    preprocessor : scikit-learn transformer, optional
        Acts on items.

    Attributes
    ----------
    n_trees_ : int
        0 if trees did not improve on the linear part.
    linear_ : LinearBradleyTerry or None
        The linear part.
    linear_scale_ : float
        What its rewards are multiplied by.
    held_out_loss_ : ndarray of shape (n_rounds + 1,)
        Log loss of a held-out win after each tree, from none; may be empty.
    forest_ : Forest or None
        The trees.
    offset_ : float
        Mean of the uncentred reward over training items.
    flip_rate_ : float
        Flip rate, given or estimated; the mean over wins where annotators differ.
    annotators_, flip_rates_ : ndarray of shape (n_annotators,)
        The annotators passed to `fit`, sorted, and the flip rate of each; NaN if none
        of their pairs counted.

    Notes
    -----
    Needs `embrm[lightgbm]` or `embrm[xgboost]`, also for scoring where there are
    trees. Uses the threads of OpenMP (OMP_NUM_THREADS). A margin is subtracted from
    the logit of the win, as in `LinearBradleyTerry`.

    References
    ----------
    .. [1] Friedman (2001). Greedy function approximation: a gradient boosting
       machine. Annals of Statistics 29.
    .. [2] Bradley, Terry (1952). Rank analysis of incomplete block designs: I. The
       method of paired comparisons. Biometrika 39.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads.boosted.bradley_terry import BoostedBradleyTerry
    >>> items = np.random.default_rng(0).normal(size=(2000, 2))
    >>> pairs = Pairs(items, np.arange(2000).reshape(-1, 2))
    >>> size = np.abs(items[:, 0])
    >>> y = size[pairs.first] > size[pairs.second]
    >>> BoostedBradleyTerry(random_state=0).fit(pairs, y).score(pairs, y) > 0.9
    True
    """

    _constraints: ClassVar[Constraints] = {
        "backend": ["lightgbm", "xgboost"],
        "linear_start": [bool],
        "noise": NOISE,
        "learning_rate": [Real(closed="neither")],
        "max_rounds": [Integer(1)],
        "max_leaves": [Integer(2)],
        "min_comparisons": [Real(closed="neither")],
        "l2": [Real()],
        "feature_fraction": [Real(0, 1, closed="right"), "auto"],
        "item_fraction": [Real(0, 1, closed="right")],
        "patience": [Integer(1)],
        "validation_fraction": [Real(0, 1, closed="neither")],
        "refit": [bool],
        "bins": [Integer(2), BinnedItems],
    }
    _stored: ClassVar[Sequence[Stored]] = (
        StoredArray("held_out_loss_", "rounds"),
        StoredValue("n_trees_", int),
        StoredValue("linear_scale_", float),
        StoredValue("offset_", float),
        StoredPart("linear_", restore_linear, flag="linear_start"),
        StoredPart("forest_", read_forest, write=write_forest, prefix=""),
        *STORED_NOISE,
    )

    def __init__(
        self,
        backend: Backend = "lightgbm",
        *,
        linear_start: bool = True,
        noise: float | Literal["estimate"] | None = None,
        learning_rate: float = 0.05,
        max_rounds: int = 1000,
        max_leaves: int = 4,
        min_comparisons: float = 20.0,
        l2: float = 10.0,
        feature_fraction: float | Literal["auto"] = "auto",
        item_fraction: float = 0.7,
        patience: int = 50,
        validation_fraction: float = 0.2,
        refit: bool = True,
        bins: int | BinnedItems = 63,
        random_state: RandomState = None,
        preprocessor: Any = None,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.backend = backend
        self.linear_start = linear_start
        self.noise = noise
        self.learning_rate = learning_rate
        self.max_rounds = max_rounds
        self.max_leaves = max_leaves
        self.min_comparisons = min_comparisons
        self.l2 = l2
        self.feature_fraction = feature_fraction
        self.item_fraction = item_fraction
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.bins = bins
        self.random_state = random_state

    def _fit(self, comparisons: Comparisons) -> None:
        rng = check_random_state(self.random_state)
        plan = self._plan(comparisons.items.shape[1], rng)
        labels = model_label_noise(comparisons, self.noise, LinearBradleyTerry)
        self.flip_rate_, self.flip_rates_ = labels.flip_rate, labels.flip_rates
        self.annotators_, comparisons = labels.annotators, labels.comparisons
        binned, rows = self._binned(comparisons)
        train, validation = holdout(comparisons, self.validation_fraction, rng)
        blind = validation.sum() < _FEWEST_HELD_OUT
        n_trees = 0 if self.linear_start else min(_BLIND_ROUNDS, self.max_rounds)
        self.held_out_loss_ = np.empty(0)
        if blind:
            train = np.ones_like(train)
        start, logit = self._start(comparisons, train)
        if not blind:
            stopping = boost_until_stalled(
                binned.grower(plan),
                _wins(comparisons, rows, logit, train),
                _wins(comparisons, rows, logit, validation),
                max_rounds=self.max_rounds,
                patience=self.patience,
            )
            n_trees = _n_trees(stopping, may_keep_start=self.linear_start)
            self.held_out_loss_ = np.array(stopping.history)
            if self.refit:
                train = np.ones_like(train)
                start, logit = self._start(comparisons, train)
        self.forest_ = None
        if n_trees:
            wins = _wins(comparisons, rows, logit, train)
            self.forest_ = boost(binned.grower(plan), wins, n_trees)
        self.n_trees_ = n_trees
        self.linear_ = None if start is None else start.head
        self.linear_scale_ = 1.0 if start is None else start.scale
        self.offset_ = 0.0
        self.offset_ = float(self._reward(comparisons.items).mean())

    def _plan(self, n_features: int, rng: np.random.Generator) -> TreePlan:
        features: Any = self.feature_fraction
        if isinstance(features, str) and features == "auto":
            features = min(1.0, max(_SHARE_OF_FEATURES, _FEWEST_FEATURES / n_features))
        return TreePlan(
            learning_rate=float(self.learning_rate),
            max_leaves=int(self.max_leaves),
            # The hessian of a comparison of equal items is 1/4.
            min_hessian=self.min_comparisons / 4,
            l2=float(self.l2),
            feature_fraction=float(features),
            item_fraction=float(self.item_fraction),
            seed=int(rng.integers(2**31)),
        )

    def _binned(self, comparisons: Comparisons) -> tuple[BinnedItems, IntArray]:
        """Bin the items, or find them in bins; return the row of each."""
        if not isinstance(self.bins, BinnedItems):
            binned = bin_distinct_items(comparisons.items, self.backend, self.bins)
            return binned, np.arange(len(comparisons.items))
        if self.bins.backend != self.backend:
            raise invalid_input(
                expected=f"bins of the backend '{self.backend}'",
                got=f"bins of '{self.bins.backend}'",
                fix="give bin_items and the head the same backend",
            )
        return self.bins, self.bins.find(comparisons.items)

    def _start(
        self, comparisons: Comparisons, train: BoolArray
    ) -> tuple[LinearStart | None, FloatArray]:
        """Fit the linear part to some wins; return its delta of every win."""
        if not self.linear_start:
            return None, -comparisons.margin
        start = fit_linear_start(comparisons.take(train))
        reward = start.reward(comparisons.items)
        delta = reward[comparisons.winner] - reward[comparisons.loser]
        delta[train] = start.logit
        return start, delta - comparisons.margin

    def _reward(self, items: FloatArray) -> FloatArray:
        reward = np.full(len(items), -self.offset_)
        if self.linear_ is not None:
            reward += self.linear_scale_ * self.linear_.reward(items)
        if self.forest_ is not None:
            reward += self.forest_(items)
        return reward


def _wins(
    comparisons: Comparisons, rows: IntArray, logit: FloatArray, chosen: BoolArray
) -> BoostingWins:
    """Take some wins, between the rows in which their items are binned."""
    c = comparisons.take(chosen)
    winner, loser = rows[c.winner], rows[c.loser]
    return BoostingWins(winner, loser, logit[chosen], c.weight, loss_of_wins(c))


def _n_trees(stopping: EarlyStopping, *, may_keep_start: bool) -> int:
    if may_keep_start:
        return 0 if stopping.is_chance() else stopping.best
    # Trees alone cannot be none, unless not one could be grown.
    after_first = stopping.history[1:]
    return 1 + int(np.argmin(after_first)) if after_first else 0
