"""RewardHead: what every head promises, and the checks that all of them share."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from embrm._typing import AnyArray, FloatArray, IntArray, LearnsFrom
from embrm._validation import (
    Constraints,
    check_items,
    check_labels,
    check_parameters,
    check_sample_weight,
    widened,
)
from embrm.exceptions import invalid_input
from embrm.heads.comparisons import Comparisons, as_pairs, make_comparisons
from embrm.heads.estimator_state import get_transformer_state, set_transformer_state
from embrm.heads.state import HeadState, Stored, collect_state, restore_state

_PRE = "preprocessor__"


class BaseHead:
    r"""Base of everything with a reward of items: pairs, preprocessor, state.

    Pairs are compared by the reward, :math:`P(\text{first preferred}) =
    \sigma(r(x_1) - r(x_2))`, so that swapping a pair negates its delta exactly. Items
    are preprocessed alike in fit and in use.

    Parameters
    ----------
    preprocessor : scikit-learn transformer, optional
        Acts on items; cloned and fitted on the distinct training items.

    Attributes
    ----------
    n_features_in_ : int
        d of the items seen in fit.
    preprocessor_ : fitted transformer or None

    Examples
    --------
    >>> import numpy as np
    >>> from embrm import Pairs
    >>> from embrm.heads.base import BaseHead
    >>> from sklearn.base import BaseEstimator
    >>> class FirstColumn(BaseHead, BaseEstimator):
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

    n_features_in_: int
    preprocessor_: Any

    is_transitive: ClassVar[bool] = True
    """Whether the sign of delta follows from the two rewards, so that no preference
    goes round in a circle. Delta itself may be another function of their difference:
    see `delta_is_reward_difference`."""

    _constraints: ClassVar[Constraints] = {}
    """What constructor parameters may be."""

    _stored: ClassVar[Sequence[Stored]] = ()
    """The fitted attributes, with how each is stored."""

    # The data argument is called `pairs`, not `X`: it is no metadata to route.
    __metadata_request__predict_proba: ClassVar = {"pairs": UNUSED}
    __metadata_request__decision_function: ClassVar = {"pairs": UNUSED}
    __metadata_request__score: ClassVar = {"pairs": UNUSED}

    def __init__(self, *, preprocessor: Any = None) -> None:
        self.preprocessor = preprocessor

    @property
    def delta_is_reward_difference(self) -> bool:
        """Whether delta is r(first) - r(second), so that items can be scored alone.

        That says more than `is_transitive`: a calibration curve changes the difference
        and keeps its sign.
        """
        return self.is_transitive

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

    def get_state(self) -> HeadState:
        """Return the fitted state, preprocessor included, in storable form."""
        check_is_fitted(self)
        own = HeadState(values={"n_features_in": self.n_features_in_})
        state = self._get_state() | own
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
        items = widened(items)
        preprocessor = clone(self.preprocessor).fit(items)
        return preprocessor, _transform(preprocessor, items)

    def _preprocessed(self, X: Any) -> FloatArray:
        """Check items from outside and transform them as those of the fit were."""
        check_is_fitted(self)
        items = widened(check_items(X, n_features=self.n_features_in_))
        if self.preprocessor_ is None or len(items) == 0:
            return items
        return _transform(self.preprocessor_, items)

    def _check_parameters(self) -> None:
        """Refuse constructor parameters that are none of what `_constraints` lists."""
        check_parameters(self.get_params(deep=False), self._constraints)  # type: ignore[attr-defined]

    def _get_state(self) -> HeadState:
        """Return the fitted state in storable form."""
        return collect_state(self, self._stored)

    def _set_state(self, state: HeadState) -> None:
        """Restore what `_get_state` returned; rewards must be bitwise equal.

        The preprocessor and `n_features_in_` are restored already.
        """
        sizes = {} if self.preprocessor_ is not None else {"d": self.n_features_in_}
        restore_state(self, self._stored, state, **sizes)


class RewardHead(BaseHead, ClassifierMixin, BaseEstimator):
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
        What `fit` learns from: "pairs", for every subclass.
    accepts_margin : bool
        Class attribute: whether `fit` takes a positive `margin`.
    reads_blocked : bool
        Class attribute: whether `fit` reads a large item matrix in blocks, uncopied.
    """

    learns_from: ClassVar[LearnsFrom] = "pairs"
    accepts_margin: ClassVar[bool] = True
    reads_blocked: ClassVar[bool] = False

    annotators_: AnyArray
    flip_rates_: FloatArray

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
        annotator: ArrayLike | None = None,
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
            Least reward difference required in favour of the preferred side.
        annotator : array-like of int or str of shape (n_pairs,), optional
            Who labelled each pair; needs a Bradley-Terry head with noise="estimate".

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            On a wrong shape, dtype, range or length, on NaN or infinity, when no pair
            is left to learn from, or on margins or annotators that the head cannot use.
        """
        names, codes = self._number_annotators(annotator)
        comparisons = make_comparisons(
            pairs,
            y,
            sample_weight,
            margin,
            annotator=codes,
            blocked=self.reads_blocked,
            differences=self._reads_differences,
        )
        self.fit_comparisons(comparisons)
        if names is not None:
            self._name_annotators(names)
        return self

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
        self._check_parameters()
        if not self.accepts_margin and comparisons.margin.any():
            raise invalid_input(
                expected=f"no margin: {type(self).__name__} cannot represent one",
                got=f"{int(np.count_nonzero(comparisons.margin))} positive margins",
                fix="drop margin, or use a Bradley-Terry head",
            )
        n_features = comparisons.items.shape[1]
        preprocessor, items = self._fit_preprocessor(comparisons.items)
        # What a preprocessor makes of columns need not be the same columns.
        blocks = comparisons.blocks if preprocessor is None else None
        self._fit(replace(comparisons, items=items, blocks=blocks))
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
        """Predict which item is preferred: 1 for first, 0 for second and for a tie."""
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

    @property
    def _reads_differences(self) -> bool:
        """Whether `fit` reads nothing but differences of items, where it can."""
        return False

    @property
    def estimates_noise(self) -> bool:
        """Whether `fit` estimates flip rates, and so takes `annotator`."""
        return isinstance(getattr(self, "noise", None), str)

    def _number_annotators(
        self, annotator: ArrayLike | None
    ) -> tuple[AnyArray | None, IntArray | None]:
        """Return names of annotators and the number of each pair's; None if unknown."""
        if annotator is None:
            return None, None
        if not self.estimates_noise:
            raise invalid_input(
                expected="annotator with noise='estimate'",
                got=f"a {type(self).__name__} that estimates no flip rate",
                fix="drop annotator, or set noise='estimate'",
            )
        return name_annotators(annotator)

    def _name_annotators(self, names: AnyArray) -> None:
        """Set the names of the annotators that the head was fitted with."""
        rates = np.full(len(names), np.nan)
        rates[: len(self.flip_rates_)] = self.flip_rates_
        self.annotators_, self.flip_rates_ = names, rates

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.classifier_tags.multi_class = False
        return tags


def refuse_items(pairs: Any) -> None:
    """Raise on a matrix of items where pairs are expected."""
    if isinstance(pairs, np.ndarray | list) and np.ndim(pairs) == 2:
        raise invalid_input(
            expected="Pairs, or an array of shape (n_pairs, 2, d)",
            got=f"items of shape {np.shape(pairs)}",
            fix="use reward(X) for the rewards of items",
        )


def name_annotators(annotator: ArrayLike) -> tuple[AnyArray, IntArray]:
    """Return the names of annotators, sorted, and the number of each pair's.

    Examples
    --------
    >>> name_annotators(["bob", "ann", "bob"])
    (array(['ann', 'bob'], dtype='<U3'), array([1, 0, 1]))
    """
    array = np.asarray(annotator)
    if array.ndim != 1 or array.dtype.kind not in "iuUO":
        raise invalid_input(
            expected="annotator of shape (n_pairs,), integers or strings",
            got=f"shape {array.shape}, dtype {array.dtype}",
            fix="pass one annotator for each pair",
        )
    if array.dtype.kind == "O":
        array = array.astype(str)
    names, codes = np.unique(array, return_inverse=True)
    return names, codes


def order_consistency(
    delta: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> float:
    """Compute the share of pairs ordered as the labels order them.

    Parameters
    ----------
    delta : array-like of shape (n_pairs,)
        Reward of first minus reward of second, in nats.
    y : array-like of shape (n_pairs,) in [0, 1], optional
        Probability that first is preferred; pairs with y = 0.5 are left out. None
        means that first is always preferred.
    sample_weight : array-like of shape (n_pairs,), >= 0, optional

    Returns
    -------
    float in [0, 1]
        A tie of the head (delta = 0) counts one half.

    Raises
    ------
    InvalidInputError
        If no labelled pair is left, or a delta is NaN.

    Examples
    --------
    >>> order_consistency([2.0, -1.0, 0.0, 3.0], [1, 1, 0, 0.5])
    0.5
    """
    differences = np.asarray(delta, dtype=np.float64)
    labels = check_labels(y, n_pairs=len(differences))
    weights = check_sample_weight(sample_weight, n_pairs=len(differences))
    if np.isnan(differences).any():
        raise invalid_input(
            expected="delta without NaN",
            got=f"NaN at pair {int(np.argmax(np.isnan(differences)))}",
            fix="score every item before comparing",
        )
    weights = np.where(labels == 0.5, 0.0, weights)
    if not weights.any():
        raise invalid_input(
            expected="at least one pair whose label is not a tie",
            got=f"{len(differences)} pairs, none of them",
            fix="pass pairs with y above or below 0.5",
        )
    right = (np.sign(differences) * np.sign(labels - 0.5) + 1) / 2
    return float(np.average(right, weights=weights))


def _transform(preprocessor: Any, items: FloatArray) -> FloatArray:
    """Apply a preprocessor, and check what came out of it."""
    return check_items(np.asarray(preprocessor.transform(items)))
