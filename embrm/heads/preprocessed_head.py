"""PreprocessedHead: what a head does with its preprocessor, and with its state."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray
from embrm._validation import check_items, widened
from embrm.heads.pair_scoring import PairScoring
from embrm.heads.state import HeadState
from embrm.heads.transformer_state import get_transformer_state, set_transformer_state

_PRE = "preprocessor__"


class PreprocessedHead(PairScoring):
    """Mixin: preprocess items alike in fit and in use, and store what was fitted.

    Parameters
    ----------
    preprocessor : scikit-learn transformer, optional
        Acts on items; cloned and fitted on the distinct training items.

    Attributes
    ----------
    n_features_in_ : int
        d of the items seen in fit.
    preprocessor_ : fitted transformer or None
    """

    n_features_in_: int
    preprocessor_: Any

    def __init__(self, *, preprocessor: Any = None) -> None:
        self.preprocessor = preprocessor

    @abstractmethod
    def _get_state(self) -> HeadState:
        """Return the fitted state in storable form."""

    @abstractmethod
    def _set_state(self, state: HeadState) -> None:
        """Restore what `_get_state` returned; rewards must be bitwise equal.

        The preprocessor and `n_features_in_` are restored already.
        """

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
        self.n_features_in_ = state.value("n_features_in", int)
        self.preprocessor_ = set_transformer_state(nested) if nested.values else None
        self._set_state(state)
        return self

    def _fit_preprocessor(self, items: FloatArray) -> tuple[Any, FloatArray]:
        """Fit a clone of the preprocessor; return it with the items it made."""
        if self.preprocessor is None:
            return None, items
        preprocessor = clone(self.preprocessor).fit(items)
        return preprocessor, _transform(preprocessor, items)

    def _preprocessed(self, X: Any) -> FloatArray:
        """Check items from outside and transform them as those of the fit were."""
        check_is_fitted(self)
        items = widened(check_items(X, n_features=self.n_features_in_))
        if self.preprocessor_ is None or len(items) == 0:
            return items
        return _transform(self.preprocessor_, items)


def _transform(preprocessor: Any, items: FloatArray) -> FloatArray:
    """Apply a preprocessor, and check what came out of it."""
    return check_items(np.asarray(preprocessor.transform(items)))
