"""RatedHead: base of the heads that are fitted on rated items rather than on pairs."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray
from embrm._validation import check_items
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.pair_scoring import PairScoring
from embrm.heads.rated.rated_items import RatedItems
from embrm.heads.state import HeadState
from embrm.heads.transformer_state import get_transformer_state, set_transformer_state


class RatedHead(PairScoring, BaseEstimator):
    """Base of heads with `fit(X, ratings)`: preprocessing, checked items, storage.

    Parameters
    ----------
    preprocessor : scikit-learn transformer, optional
        Acts on items; cloned and fitted on the distinct rated items.

    Attributes
    ----------
    n_features_in_ : int
        d of the items seen in fit.
    preprocessor_ : fitted transformer or None
    """

    def __init__(self, *, preprocessor: Any = None) -> None:
        self.preprocessor = preprocessor

    @abstractmethod
    def attributes(self, X: Any) -> FloatArray:
        """Predict the ratings of items, (n_items, d) -> (n_items, k)."""

    @abstractmethod
    def _get_state(self) -> HeadState:
        """Return the fitted state in storable form."""

    @abstractmethod
    def _set_state(self, state: HeadState) -> None:
        """Restore what `_get_state` returned; rewards must be bitwise equal."""

    def get_state(self) -> HeadState:
        """Return the fitted state, preprocessor included, in storable form."""
        check_is_fitted(self)
        state = self._get_state() | HeadState(
            values={"n_features_in": self.n_features_in_}
        )
        if self.preprocessor_ is None:
            return state
        return state | get_transformer_state(self.preprocessor_).with_prefix(_PRE)

    def set_state(self, state: HeadState) -> Self:
        """Restore a fitted state that `get_state` returned.

        Raises
        ------
        IntegrityError
            If something is missing from the state, or has the wrong type or shape.
        """
        nested = state.without_prefix(_PRE)
        self._set_state(state)
        self.n_features_in_ = state.value("n_features_in", int)
        self.preprocessor_ = set_transformer_state(nested) if nested.values else None
        return self

    def _preprocess(self, rated: RatedItems) -> tuple[Any, RatedItems]:
        """Fit a clone of the preprocessor; return it with the items it made."""
        if self.preprocessor is None:
            return None, rated
        preprocessor = clone(self.preprocessor).fit(rated.items)
        items = check_items(np.asarray(preprocessor.transform(rated.items)))
        return preprocessor, replace(rated, items=items)

    def _ready(self, X: Any) -> FloatArray:
        """Check and preprocess items to score."""
        check_is_fitted(self)
        items = check_items(X, n_features=self.n_features_in_)
        if items.dtype == np.float16:
            items = items.astype(np.float32)
        if self.preprocessor_ is None or len(items) == 0:
            return items
        return check_items(np.asarray(self.preprocessor_.transform(items)))


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


_PRE = "preprocessor__"
