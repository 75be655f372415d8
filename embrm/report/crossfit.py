"""Cross-fitting: a held-out delta for every pair, by prompt-grouped folds."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from embrm._typing import AnyArray, BoolArray, FloatArray
from embrm.evaluate import PromptGroupKFold
from embrm.evaluate.inputs import group_codes
from embrm.exceptions import LeftOutWarning
from embrm.pairs import Pairs


@dataclass(frozen=True, eq=False)
class CrossFit:
    """What a head says about pairs and items whose prompts it was not fitted on.

    Attributes
    ----------
    delta : ndarray of shape (n_pairs,)
        Held-out delta in nats; NaN for pairs across two folds, which no fold can
        hold out without leaking.
    reward : ndarray of shape (n_items,)
        Held-out reward; NaN for items in no held-out pair. Comparable within a
        prompt only: each fold's rewards have their own constant.
    fit_seconds : float
        Median wall time of a fit.
    n_fits : int
    """

    delta: FloatArray
    reward: FloatArray
    fit_seconds: float
    n_fits: int

    @property
    def held_out(self) -> BoolArray:
        """Which pairs have a held-out delta."""
        return np.isfinite(self.delta)


def cross_fit(
    head: Any,
    pairs: Pairs,
    y: ArrayLike,
    *,
    fit_params: Mapping[str, AnyArray] | None = None,
    n_splits: int = 5,
    random_state: int = 0,
    after_fit: Callable[[], None] | None = None,
) -> CrossFit:
    """Fit a head on all folds but one, score that one, in turn.

    Parameters
    ----------
    head : RewardHead
        Cloned for every fold.
    pairs : Pairs
        With prompt ids.
    y : array-like of shape (n_pairs,) in [0, 1]
    fit_params : mapping of str to ndarray of n_pairs rows, optional
        What `fit` is told beside the labels, e.g. sample_weight; split like them.
    n_splits : int, default=5
        Fewer where there are fewer prompts.
    random_state : int, default=0
        Shuffles prompts into folds; equal seeds give every head equal folds.
    after_fit : callable, optional
        Called after each fit, to move a progress bar.

    Returns
    -------
    CrossFit

    Examples
    --------
    >>> from embrm.datasets import make_preferences
    >>> from embrm.heads import LinearBradleyTerry
    >>> data = make_preferences(200, n_features=4, random_state=0)
    >>> held_out = cross_fit(LinearBradleyTerry(alpha=1.0), data.pairs, data.y)
    >>> held_out.delta.shape, held_out.n_fits
    ((200,), 5)
    """
    labels = np.asarray(y, dtype=np.float64)
    delta = np.full(len(pairs), np.nan)
    reward = np.full(len(pairs.items), np.nan)
    seconds: list[float] = []
    _, n_prompts = group_codes(pairs.groups)
    folds = PromptGroupKFold(
        max(2, min(n_splits, n_prompts)), shuffle=True, random_state=random_state
    )
    for train, test in folds.split(pairs, labels, pairs.groups):
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Pairs of equal vectors concern all the data, not each fold: they show
            # as ties of the reward in the evaluation.
            warnings.simplefilter("ignore", LeftOutWarning)
            fitted = clone(head).fit(
                pairs[train],
                labels[train],
                **{name: array[train] for name, array in (fit_params or {}).items()},
            )
        seconds.append(time.perf_counter() - start)
        rows, _ = pairs[test].unique_items()
        reward[rows] = fitted.reward(pairs.items[rows])
        # Not for every head is delta the difference of two rewards.
        delta[test] = fitted.decision_function(pairs[test])
        if after_fit is not None:
            after_fit()
    return CrossFit(delta, reward, float(np.median(seconds)), len(seconds))
