"""LinearItemHead: base of the linear rewards that are fitted on items, not on pairs."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from embrm._typing import FloatArray
from embrm.exceptions import IntegrityError, InvalidInputError, format_error
from embrm.heads.base import BaseHead
from embrm.heads.parameters import check_real
from embrm.heads.state import HeadState


class LinearItemHead(BaseHead, BaseEstimator):
    r"""Linear reward :math:`r(x) = w^\top x - o`.

    Parameters
    ----------
    alpha : float > 0 or "auto", default="auto"
        Penalty.
    preprocessor : scikit-learn transformer, optional
        As of every head.

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
    """

    coef_: FloatArray
    offset_: float
    alpha_: float
    alphas_: FloatArray
    held_out_loss_: FloatArray
    n_iter_: int

    def __init__(self, alpha: Any = "auto", *, preprocessor: Any = None) -> None:
        super().__init__(preprocessor=preprocessor)
        self.alpha = alpha

    def reward(self, X: Any) -> FloatArray:
        """Compute the reward of items.

        Parameters
        ----------
        X : array-like of shape (n_items, d)

        Returns
        -------
        ndarray of shape (n_items,), float64, in nats
        """
        items = self._preprocessed(X)
        return np.asarray(items @ self.coef_ - self.offset_, dtype=np.float64)

    def _get_state(self) -> HeadState:
        return HeadState(
            {
                "coef": self.coef_,
                "alphas": self.alphas_,
                "held_out_loss": self.held_out_loss_,
            },
            {"offset": self.offset_, "alpha": self.alpha_, "n_iter": self.n_iter_},
        )

    def _set_state(self, state: HeadState) -> None:
        coef = state.array("coef", ndim=1)
        d = self.n_features_in_
        if self.preprocessor_ is None and len(coef) != d:
            raise IntegrityError(
                format_error(
                    expected=f"{d} weights in the stored state of the head",
                    got=f"{len(coef)}",
                    fix="save the head again",
                )
            )
        self.coef_ = coef
        self.offset_ = state.value("offset", float)
        self.alpha_ = state.value("alpha", float)
        self.alphas_ = state.array("alphas", ndim=1)
        self.held_out_loss_ = state.array("held_out_loss", ndim=1)
        self.n_iter_ = state.value("n_iter", int)

    def _given_alpha(self) -> float | None:
        """Return the parameter alpha as a number, None for "auto"."""
        if not isinstance(self.alpha, str):
            return check_real(self.alpha, "alpha", 0.0, open_at_low=True)
        if self.alpha == "auto":
            return None
        raise InvalidInputError(
            format_error(
                expected="alpha that is 'auto' or a finite number > 0",
                got=repr(self.alpha)[:40],
                fix="use alpha='auto' unless you know better",
            )
        )
