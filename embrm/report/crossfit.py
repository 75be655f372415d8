"""Cross-fitting: a held-out delta for every pair, by prompt-grouped folds."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, BoolArray, FloatArray
from embrm.evaluate import PromptGroupKFold
from embrm.exceptions import InvalidInputError, LeftOutWarning, three_parts
from embrm.model.training_data import TrainingData, pair_data
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
    data: TrainingData | None = None,
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
    data : TrainingData, optional
        What the head is fitted on, see `embrm.model.training_data`: needed where it
        learns from other things than pairs. Takes the place of `fit_params`.
    n_splits : int, default=5
        Fewer where there are fewer prompts.
    random_state : int, default=0
        Shuffles prompts into folds; equal seeds give every head equal folds.
    after_fit : callable, optional
        Called after each fit, to move a progress bar.

    Returns
    -------
    CrossFit

    Raises
    ------
    InvalidInputError
        If the head does not learn from pairs, and there is no `data`.

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
    source = _pairs_alone(head, labels, fit_params) if data is None else data
    delta = np.full(len(pairs), np.nan)
    reward = np.full(len(pairs.items), np.nan)
    seconds: list[float] = []
    n_prompts = len(np.unique(pairs.groups))
    folds = PromptGroupKFold(
        max(2, min(n_splits, n_prompts)), shuffle=True, random_state=random_state
    )
    for train, test in folds.split(pairs, labels, pairs.groups):
        start = time.perf_counter()
        with warnings.catch_warnings():
            # Pairs of equal vectors concern all the data, not each fold: they show
            # as ties of the reward in the evaluation.
            warnings.simplefilter("ignore", LeftOutWarning)
            fitted = source.fit(head, pairs, (train, test))
        seconds.append(time.perf_counter() - start)
        rows, _ = pairs[test].unique_items()
        reward[rows] = fitted.reward(pairs.items[rows])
        # Not for every head is delta the difference of two rewards.
        delta[test] = fitted.decision_function(pairs[test])
        if after_fit is not None:
            after_fit()
    return CrossFit(delta, reward, float(np.median(seconds)), len(seconds))


def _pairs_alone(
    head: Any, labels: FloatArray, fit_params: Mapping[str, AnyArray] | None
) -> TrainingData:
    """Take pairs, labels and what goes with them as what the head is fitted on."""
    kind = getattr(head, "learns_from", "pairs")
    if kind != "pairs":
        raise InvalidInputError(
            three_parts(
                expected=f"data=training_data(head, preferences) for "
                f"{type(head).__name__}, which learns from {kind}",
                got="none",
                cure="pass what embrm.model.training_data makes of the preferences",
            )
        )
    return pair_data(labels, fit_params or {})
