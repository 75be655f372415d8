"""RatedHead: base of the heads that are fitted on rated items rather than on pairs."""

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from embrm._typing import FloatArray
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.base import BaseHead


class RatedHead(BaseHead, BaseEstimator):
    """Base of heads with `fit(X, ratings)`, which predict ratings of items."""

    @abstractmethod
    def attributes(self, X: Any) -> FloatArray:
        """Predict the ratings of items, (n_items, d) -> (n_items, k)."""


def check_attribute_weights(weights: Any, *, k: int, name: str) -> FloatArray:
    """Check one finite weight per attribute, shape (k,)."""
    array = np.asarray(weights)
    numeric = array.dtype.kind in "iubf"
    if numeric and array.shape == (k,) and np.isfinite(array).all():
        return array.astype(np.float64)
    raise InvalidInputError(
        three_parts(
            expected=f"{name}: {k} finite numbers, one per attribute",
            got=f"shape {array.shape}, dtype {array.dtype}",
            cure="pass them in the order of the columns of ratings",
        )
    )
