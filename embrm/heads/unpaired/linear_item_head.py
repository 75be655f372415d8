"""LinearItemHead: base of the linear rewards that are fitted on items, not on pairs."""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray
from embrm._validation import check_items
from embrm.exceptions import IntegrityError, InvalidInputError, three_parts
from embrm.heads.pair_scoring import PairScoring
from embrm.heads.parameters import check_real
from embrm.heads.state import HeadState
from embrm.heads.transformer_state import get_transformer_state, set_transformer_state


class LinearItemHead(PairScoring, BaseEstimator):
    r"""Linear reward :math:`r(x) = w^\top x - o` with a preprocessor and a state.

    Parameters
    ----------
    alpha : float > 0 or "auto", default="auto"
        Penalty.
    preprocessor : scikit-learn transformer, optional
        Acts on items; cloned and fitted on the distinct training items.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
        w, on preprocessed items.
    offset_ : float
        o, the reward without offset of what counts as zero.
    alpha_ : float
    alphas_, held_out_loss_ : ndarray of shape (n_tried,)
        Penalties tried by "auto", with the held-out loss of each; may be empty.
    n_iter_ : int
    n_features_in_ : int
        d of the items seen in fit.
    preprocessor_ : fitted transformer or None
    """

    coef_: FloatArray
    offset_: float
    alpha_: float
    alphas_: FloatArray
    held_out_loss_: FloatArray
    n_iter_: int
    n_features_in_: int
    preprocessor_: Any

    def __init__(self, alpha: Any = "auto", *, preprocessor: Any = None) -> None:
        self.alpha = alpha
        self.preprocessor = preprocessor

    def reward(self, X: Any) -> FloatArray:
        """Compute the reward of items.

        Parameters
        ----------
        X : array-like of shape (n_items, d)

        Returns
        -------
        ndarray of shape (n_items,), float64, in nats
        """
        check_is_fitted(self)
        items = as_float(check_items(X, n_features=self.n_features_in_))
        if len(items) and self.preprocessor_ is not None:
            items = check_items(np.asarray(self.preprocessor_.transform(items)))
        return np.asarray(items @ self.coef_ - self.offset_, dtype=np.float64)

    def get_state(self) -> HeadState:
        """Return the fitted state, preprocessor included, in storable form."""
        check_is_fitted(self)
        state = HeadState(
            {
                "coef": self.coef_,
                "alphas": self.alphas_,
                "held_out_loss": self.held_out_loss_,
            },
            {
                "offset": self.offset_,
                "alpha": self.alpha_,
                "n_iter": self.n_iter_,
                "n_features_in": self.n_features_in_,
            },
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
        coef = state.array("coef", ndim=1)
        n_features = state.value("n_features_in", int)
        nested = state.without_prefix(_PRE)
        if not nested.values and len(coef) != n_features:
            raise IntegrityError(
                three_parts(
                    expected=f"{n_features} weights in the stored state of the head",
                    got=f"{len(coef)}",
                    cure="save the head again",
                )
            )
        self.offset_ = state.value("offset", float)
        self.alpha_ = state.value("alpha", float)
        self.alphas_ = state.array("alphas", ndim=1)
        self.held_out_loss_ = state.array("held_out_loss", ndim=1)
        self.n_iter_ = state.value("n_iter", int)
        self.coef_, self.n_features_in_ = coef, n_features
        self.preprocessor_ = set_transformer_state(nested) if nested.values else None
        return self

    def _preprocess(self, items: FloatArray) -> tuple[Any, FloatArray]:
        """Fit a clone of the preprocessor; return it with the items it made."""
        if self.preprocessor is None:
            return None, items
        preprocessor = clone(self.preprocessor).fit(items)
        return preprocessor, check_items(np.asarray(preprocessor.transform(items)))

    def _given_alpha(self) -> float | None:
        """Return the parameter alpha as a number, None for "auto"."""
        if not isinstance(self.alpha, str):
            return check_real(self.alpha, "alpha", 0.0, open_at_low=True)
        if self.alpha == "auto":
            return None
        raise InvalidInputError(
            three_parts(
                expected="alpha that is 'auto' or a finite number > 0",
                got=repr(self.alpha)[:40],
                cure="use alpha='auto' unless you know better",
            )
        )


def as_float(items: FloatArray) -> FloatArray:
    """Widen float16, which is fine to store and too coarse to compute with."""
    return items.astype(np.float32) if items.dtype == np.float16 else items


_PRE = "preprocessor__"
