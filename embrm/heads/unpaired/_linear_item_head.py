"""LinearItemHead: base of the linear rewards that are fitted on items, not on pairs."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from embrm._typing import FloatArray
from embrm._validation import Constraints, Real
from embrm.heads.base import BaseHead
from embrm.heads.state import Stored, StoredArray, StoredValue


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

    _constraints: ClassVar[Constraints] = {"alpha": [Real(closed="neither"), "auto"]}
    _stored: ClassVar[Sequence[Stored]] = (
        StoredArray("coef_", "d"),
        StoredArray("alphas_", "tried"),
        StoredArray("held_out_loss_", "tried"),
        StoredValue("offset_", float),
        StoredValue("alpha_", float),
        StoredValue("n_iter_", int),
    )

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
