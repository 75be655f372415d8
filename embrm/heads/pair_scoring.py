"""PairScoring: what follows for pairs from a reward of items."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray, IntArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.comparisons import as_pairs
from embrm.heads.order import order_consistency


class PairScoring:
    r"""Mixin: compare pairs by a reward r(item) that the class computes.

    :math:`P(\text{first preferred}) = \sigma(r(x_1) - r(x_2))`, so that swapping a
    pair negates its delta exactly.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads.pair_scoring import PairScoring
    >>> from sklearn.base import BaseEstimator
    >>> class FirstColumn(PairScoring, BaseEstimator):
    ...     def fit(self, X):
    ...         self.n_features_in_ = X.shape[1]
    ...         return self
    ...
    ...     def reward(self, X):
    ...         return X[:, 0]
    >>> FirstColumn().fit(np.eye(2)).decision_function(
    ...     Pairs(np.eye(2), [[0, 1], [1, 0]])
    ... )
    array([ 1., -1.])
    """

    delta_is_reward_difference: ClassVar[bool] = True
    """Whether delta is always r(first) - r(second), so that items can be scored alone.
    False where `decision_function` may compute something else."""

    # The data argument is called `pairs`, not `X`: it is no metadata to route.
    __metadata_request__predict_proba: ClassVar = {"pairs": UNUSED}
    __metadata_request__decision_function: ClassVar = {"pairs": UNUSED}
    __metadata_request__score: ClassVar = {"pairs": UNUSED}

    @abstractmethod
    def reward(self, X: Any) -> FloatArray:
        """Compute the reward of items, (n_items, d) -> (n_items,)."""

    def decision_function(self, pairs: Any) -> FloatArray:
        """Compute delta = r(first) - r(second), shape (n_pairs,).

        Swapping a pair negates its delta exactly.
        """
        reward, ids = self._rewards_of(pairs)
        return reward[ids[:, 0]] - reward[ids[:, 1]]

    def predict_proba(self, pairs: Any) -> FloatArray:
        """Compute probabilities of shape (n_pairs, 2): second, first preferred."""
        delta = self.decision_function(pairs)
        return np.column_stack([expit(-delta), expit(delta)])

    def score(
        self, pairs: Any, y: ArrayLike | None = None, sample_weight: Any = None
    ) -> float:
        """Compute order consistency with `y`; see `order_consistency`."""
        return order_consistency(self.decision_function(pairs), y, sample_weight)

    def _rewards_of(self, pairs: Any) -> tuple[FloatArray, IntArray]:
        """Score each distinct item once; return rewards and positions of the pairs."""
        items, ids = self._items_of(pairs)
        return self.reward(items), ids

    def _items_of(self, pairs: Any) -> tuple[FloatArray, IntArray]:
        """Check pairs; return their distinct items, and positions among these."""
        check_is_fitted(self)
        refuse_items(pairs)
        checked = as_pairs(pairs)
        rows, ids = checked.unique_items()
        return checked.items[rows], ids


def refuse_items(pairs: Any) -> None:
    """Refuse a matrix of items where pairs belong, in the words of its cure."""
    if isinstance(pairs, np.ndarray | list) and np.ndim(pairs) == 2:
        raise InvalidInputError(
            three_parts(
                expected="Pairs, or an array of shape (n_pairs, 2, d)",
                got=f"items of shape {np.shape(pairs)}",
                cure="use reward(X) for the rewards of items",
            )
        )
