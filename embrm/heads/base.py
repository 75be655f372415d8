"""RewardHead: what every head promises, and the checks that all of them share."""

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metadata_routing import UNUSED

from embrm._typing import FloatArray, IntArray, LearnsFrom
from embrm.exceptions import InvalidInputError, three_parts
from embrm.heads.comparisons import Comparisons, make_comparisons
from embrm.heads.preprocessed_head import PreprocessedHead
from embrm.heads.state import HeadState


class RewardHead(PreprocessedHead, ClassifierMixin, BaseEstimator):
    r"""Base of all heads: a reward r(item), fitted on comparisons of two items.

    The sample is the pair, the class is "first is preferred", and antisymmetry is
    structural: :math:`P(\text{first preferred}) = \sigma(r(x_1) - r(x_2))`. A head
    implements `_fit` on canonical comparisons and `_reward` on preprocessed items;
    everything else is here.

    Parameters
    ----------
    preprocessor : scikit-learn transformer, optional
        Acts on items; cloned and fitted on the distinct items of the training pairs.

    Attributes
    ----------
    classes_ : ndarray [0, 1]
    n_features_in_ : int
        d of the items seen in fit.
    preprocessor_ : fitted transformer or None
    learns_from : str
        What `fit` is told: "pairs", for every subclass.
    is_transitive : bool
        Class attribute: whether the sign of delta follows from the two rewards, so
        that no preference goes round in a circle.
    accepts_margin : bool
        Class attribute: whether `fit` takes a positive `margin`.
    """

    learns_from: ClassVar[LearnsFrom] = "pairs"
    is_transitive: ClassVar[bool] = True
    accepts_margin: ClassVar[bool] = True

    # The data argument is called `pairs`, not `X`: it is no metadata to route.
    __metadata_request__fit: ClassVar = {"pairs": UNUSED}
    __metadata_request__predict: ClassVar = {"pairs": UNUSED}

    def fit(
        self,
        pairs: Any,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        margin: ArrayLike | None = None,
    ) -> Self:
        """Fit the head on comparisons.

        Parameters
        ----------
        pairs : Pairs or array-like of shape (n_pairs, 2, d)
        y : array-like of shape (n_pairs,) in [0, 1], optional
            Probability that first is preferred: 1, 0, or soft; 0.5 is a tie. None
            means that first is always preferred (chosen/rejected data). A soft label
            p equals two rows, (1, weight p) and (0, weight 1 - p).
        sample_weight : array-like of shape (n_pairs,), >= 0, optional
            Weight k equals k copies of the pair; weight 0 equals its removal.
        margin : array-like of shape (n_pairs,), >= 0, in nats, optional
            By how much the preferred side's reward should lead.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            On a wrong shape, dtype, range or length, on NaN or infinity, when no pair
            is left to learn from, or on a margin that the head cannot represent.
        """
        return self.fit_comparisons(make_comparisons(pairs, y, sample_weight, margin))

    def fit_comparisons(self, comparisons: Comparisons) -> Self:
        """Fit the head on comparisons in canonical form; for heads made of heads.

        Parameters
        ----------
        comparisons : Comparisons
            As `make_comparisons` returns them.

        Returns
        -------
        self
        """
        if not self.accepts_margin and comparisons.margin.any():
            raise InvalidInputError(
                three_parts(
                    expected=f"no margin: {type(self).__name__} cannot represent one",
                    got=f"{int(np.count_nonzero(comparisons.margin))} positive margins",
                    cure="drop margin, or use a Bradley-Terry head",
                )
            )
        n_features = comparisons.items.shape[1]
        preprocessor, items = self._fit_preprocessor(comparisons.items)
        self._fit(replace(comparisons, items=items))
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = n_features
        self.preprocessor_ = preprocessor
        return self

    def reward(self, X: Any) -> FloatArray:
        """Compute the reward of items.

        Parameters
        ----------
        X : array-like of shape (n_items, d)

        Returns
        -------
        ndarray of shape (n_items,), float64
            In nats for Bradley-Terry heads; defined up to a constant.
        """
        items = self._preprocessed(X)
        if len(items) == 0:
            return np.empty(0)
        return np.asarray(self._reward(items), dtype=np.float64)

    def predict(self, pairs: Any) -> IntArray:
        """Say which item is preferred: 1 for first, 0 for second (and for a tie)."""
        return (self.decision_function(pairs) > 0).astype(np.intp)

    @abstractmethod
    def _fit(self, comparisons: Comparisons) -> None:
        """Set the fitted attributes from canonical comparisons."""

    @abstractmethod
    def _reward(self, items: FloatArray) -> FloatArray:
        """Compute rewards of checked and preprocessed items."""

    def set_state(self, state: HeadState) -> Self:
        """Restore a fitted state that `get_state` returned.

        Raises
        ------
        IntegrityError
            If something is missing from the state, or has the wrong type or shape.
        """
        super().set_state(state)
        self.classes_ = np.array([0, 1])
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.classifier_tags.multi_class = False
        return tags
