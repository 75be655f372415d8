"""RegressionReward: the reward is a predicted rating, or a mixture of several."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin, clone
from sklearn.metrics import r2_score
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from embrm._typing import FloatArray, LearnsFrom, RandomState
from embrm._validation import Constraints, Real, check_random_state, unless_auto
from embrm.exceptions import InvalidInputError, invalid_input
from embrm.heads.rated._rated_items import (
    RatedHead,
    RatedItems,
    check_attribute_weights,
    check_ratings,
    make_rated_items,
)
from embrm.heads.rated._regressors import Model, fit_model, model_from_state
from embrm.heads.rated._ridge import RidgeFit, fit_attributes
from embrm.heads.state import HeadState, Stored, StoredArray, StoredPart, StoredValue
from embrm.pairs import Pairs


class NotLinearError(InvalidInputError, AttributeError):
    """Parameters of linear attributes were requested of other attributes."""


def _write_models(models: Sequence[Model]) -> HeadState:
    state = HeadState()
    for j, model in enumerate(models):
        state |= model.get_state().with_prefix(f"model{j}__")
    return state


def _read_models(state: HeadState) -> list[Model]:
    n_models = 0 if state.value("is_linear", bool) else state.value("n_attributes", int)
    prefixes = [f"model{j}__" for j in range(n_models)]
    return [model_from_state(state.without_prefix(prefix)) for prefix in prefixes]


class RegressionReward(RegressorMixin, RatedHead):
    r"""Reward :math:`r(x) = \sum_j \nu_j \hat a_j(x)` of predicted ratings.

    Each attribute j is regressed on the items that are rated for it: masked least
    squares [1]_,

    .. math:: \sum_i c_i m_{ij} (\hat a_j(x_i) - a_{ij})^2

    with :math:`c_i` the weight of an item, and :math:`m_{ij}` 1 where it is rated,
    else 0. "ridge" adds :math:`\alpha_j \lVert w_j \rVert^2`, for linear attributes
    with an intercept. A preference vector :math:`\nu` combines the attributes.

    Parameters
    ----------
    estimator : {"ridge", "mlp", "lightgbm"} or regressor, default="ridge"
        A scikit-learn regressor is cloned for each attribute.
    weights : array-like of shape (k,), optional
        :math:`\nu`, in the order of the columns of `ratings`. None uses a single
        attribute unchanged, and weights several by :math:`1 / (k s_j)` with
        :math:`s_j` the standard deviation of the ratings: the mean of attributes in
        units of their spread.
    alpha : float >= 0 or "auto", default="auto"
        Penalty of "ridge". "auto" chooses for each attribute the least held-out
        squared error: five folds of whole prompts where `groups` are given, else
        exact leave-one-item-out.
    preprocessor : scikit-learn transformer, optional
        Acts on items.
    random_state : int, Generator or None, default=None
        Seeds "mlp", "lightgbm" and estimators with a `random_state` of None.

    Attributes
    ----------
    linear_ : RidgeFit or None
        The attributes of "ridge", with the penalties tried and their held-out errors.
    coef_ : ndarray of shape (k, d)
    intercept_ : ndarray of shape (k,)
    alpha_ : ndarray of shape (k,)
        Of "ridge" only.
    models_ : list of k fitted models
        The attributes of other estimators; empty for "ridge".
    weights_ : ndarray of shape (k,)
        The preference vector in use.
    n_attributes_ : int
        k.

    Notes
    -----
    Rewards are in units of the ratings, so `predict_proba` of pairs depends on these
    units; `TwoStageReward` converts ratings to the scale of preferences. Items of equal
    vectors are one item with the mean of their ratings.

    References
    ----------
    .. [1] Dong, Wang, Sreedhar, Wu, Kuchaiev (2023). SteerLM: attribute conditioned
       SFT as an (user-steerable) alternative to RLHF. Findings of EMNLP.
       arXiv:2310.05344.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.heads.rated.regression import RegressionReward
    >>> items = np.array([[0.0], [1.0], [2.0]])
    >>> ratings = np.array([[1.0, 0.0], [3.0, np.nan], [5.0, -2.0]])
    >>> head = RegressionReward(alpha=0.0).fit(items, ratings)
    >>> head.attributes([[4.0]]).round(6)
    array([[ 9., -4.]])
    >>> head.reward_with([[4.0]], [1.0, 0.5]).round(6)
    array([7.])
    """

    learns_from: ClassVar[LearnsFrom] = "ratings"

    __metadata_request__fit: ClassVar = {"ratings": UNUSED}

    _constraints: ClassVar[Constraints] = {"alpha": [Real(), "auto"]}
    _stored: ClassVar[Sequence[Stored]] = (
        StoredArray("weights_", "k"),
        StoredValue("n_attributes_", int),
        StoredValue("one_column_", bool),
        StoredPart("linear_", RidgeFit.from_state, flag="is_linear"),
        StoredPart("models_", _read_models, write=_write_models, prefix=""),
    )

    def __init__(
        self,
        estimator: Any = "ridge",
        *,
        weights: ArrayLike | None = None,
        alpha: float | Literal["auto"] = "auto",
        preprocessor: Any = None,
        random_state: RandomState = None,
    ) -> None:
        super().__init__(preprocessor=preprocessor)
        self.estimator = estimator
        self.weights = weights
        self.alpha = alpha
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        ratings: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Fit the attributes.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
        ratings : array-like of shape (n_items,) or (n_items, k)
            NaN where an item is not rated.
        sample_weight : array-like of shape (n_items,), >= 0, optional
            Weight k equals k copies of the item; weight 0 equals its removal.
        groups : array-like of shape (n_items,), optional
            Prompt of each item; whole prompts are held out to choose alpha.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            On a wrong shape, dtype or range, on NaN or infinity in a rated item, or
            on an attribute without a rating.
        """
        self._check_parameters()
        rated = make_rated_items(X, ratings, sample_weight, groups)
        k = rated.rating.shape[1]
        weights = self._attribute_weights(rated)
        n_features = rated.items.shape[1]
        preprocessor, items = self._fit_preprocessor(rated.items)
        rated = replace(rated, items=items)
        if isinstance(self.estimator, str) and self.estimator == "ridge":
            linear, models = fit_attributes(rated, unless_auto(self.alpha)), []
        else:
            rng = check_random_state(self.random_state)
            linear, models = None, [self._fit_one(rated, j, rng) for j in range(k)]
        self.linear_: RidgeFit | None = linear
        self.models_ = models
        self.weights_, self.n_attributes_ = weights, k
        self.one_column_ = np.ndim(ratings) == 1
        self.n_features_in_, self.preprocessor_ = n_features, preprocessor
        return self

    def attributes(self, X: Any) -> FloatArray:
        """Predict the ratings of items, shape (n_items, k), in units of the ratings."""
        items = self._preprocessed(X)
        if len(items) == 0:
            return np.empty((0, self.n_attributes_))
        if self.linear_ is not None:
            return self.linear_(items)
        return np.column_stack([model(items) for model in self.models_])

    def predict(self, X: Any) -> FloatArray:
        """Predict ratings, shaped as in fit: (n_items,) or (n_items, k)."""
        attributes = self.attributes(X)
        return attributes[:, 0] if self.one_column_ else attributes

    def reward(self, X: Any) -> FloatArray:
        """Compute the reward of items, (n_items, d) -> (n_items,), float64."""
        return self.attributes(X) @ self.weights_

    def reward_with(self, X: Any, weights: ArrayLike) -> FloatArray:
        """Compute the reward of items under another preference vector.

        Parameters
        ----------
        X : array-like of shape (n_items, d)
        weights : array-like of shape (k,)

        Returns
        -------
        ndarray of shape (n_items,)
        """
        attributes = self.attributes(X)
        k = self.n_attributes_
        return attributes @ check_attribute_weights(weights, k=k)

    def soup(self, weights: ArrayLike) -> "RegressionReward":
        r"""Combine the parameters instead of the predictions.

        :math:`\sum_j \nu_j w_j` is one linear reward, equal to `reward_with(X, nu)`.

        Parameters
        ----------
        weights : array-like of shape (k,)

        Returns
        -------
        RegressionReward
            Fitted, with one attribute.

        Raises
        ------
        InvalidInputError
            If the attributes are not linear.
        """
        check_is_fitted(self)
        linear = self._linear("use reward_with(X, weights), which mixes predictions")
        nu = check_attribute_weights(weights, k=self.n_attributes_)
        mixed: RegressionReward = clone(self).set_params(weights=None)
        none = np.empty((0, 1))
        mixed.linear_ = RidgeFit(
            (nu @ linear.coef)[None],
            (nu @ linear.intercept)[None],
            none[:, 0],
            none,
            none,
        )
        mixed.models_, mixed.weights_ = [], np.ones(1)
        mixed.n_attributes_, mixed.one_column_ = 1, True
        mixed.n_features_in_ = self.n_features_in_
        mixed.preprocessor_ = self.preprocessor_
        return mixed

    def score(
        self, pairs: Any, y: ArrayLike | None = None, sample_weight: Any = None
    ) -> float:
        """Compute order consistency of pairs, or R^2 of items.

        Parameters
        ----------
        pairs : Pairs, array-like of shape (n_pairs, 2, d), or items (n_items, d)
        y : array-like
            Labels of pairs (None: first is preferred), or ratings of items.
        sample_weight : array-like of shape (n_pairs,) or (n_items,), optional

        Returns
        -------
        float
            For items the mean R^2 of the attributes, as of scikit-learn's regressors;
            missing ratings are left out.
        """
        if isinstance(pairs, Pairs) or np.ndim(pairs) == 3:
            return RatedHead.score(self, pairs, y, sample_weight)
        predicted = self.attributes(pairs)
        table = check_ratings(y, n_items=len(predicted))
        if table.shape != predicted.shape:
            raise invalid_input(
                expected=f"ratings of {self.n_attributes_} attributes, as in fit",
                got=f"{table.shape[1]}",
                fix="pass the same columns as in fit",
            )
        weight = np.ones(len(table)) if sample_weight is None else sample_weight
        return float(
            np.mean(
                [
                    r2_score(true[known], found[known], sample_weight=given[known])
                    for true, found in zip(table.T, predicted.T, strict=True)
                    for known, given in [(~np.isnan(true), np.asarray(weight))]
                ]
            )
        )

    @property
    def coef_(self) -> FloatArray:
        """Coefficients of linear attributes, (k, d)."""
        return self._linear("read models_").coef

    @property
    def intercept_(self) -> FloatArray:
        """Intercepts of linear attributes, (k,)."""
        return self._linear("read models_").intercept

    @property
    def alpha_(self) -> FloatArray:
        """Penalties of linear attributes, (k,)."""
        return self._linear("read models_").alpha

    def _linear(self, fix: str) -> RidgeFit:
        """Return the linear attributes; raise if they are not linear."""
        linear: RidgeFit | None = getattr(self, "linear_", None)
        if linear is None:
            raise NotLinearError.of(
                expected="linear attributes, of estimator='ridge', after fit",
                got=f"estimator {self.estimator!r}"[:60],
                fix=fix,
            )
        return linear

    def _attribute_weights(self, rated: RatedItems) -> FloatArray:
        k = rated.rating.shape[1]
        if self.weights is not None:
            return check_attribute_weights(self.weights, k=k)
        return np.ones(1) if k == 1 else 1.0 / (k * rated.spread())

    def _fit_one(self, rated: RatedItems, j: int, rng: np.random.Generator) -> Model:
        rows = np.flatnonzero(rated.weight[:, j])
        return fit_model(
            self.estimator,
            rated.items[rows],
            rated.rating[rows, j],
            rated.weight[rows, j],
            rng,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
