"""Regressors of one rating: by name, with defaults for dense vectors and few ratings.

What a fit leaves behind is a model of plain arrays or a native model text, so that it
can be stored without code.
"""

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from embrm._optional import import_optional
from embrm._typing import FloatArray
from embrm.exceptions import IntegrityError, invalid_input
from embrm.heads.state import HeadState

REGRESSORS = ("ridge", "mlp", "lightgbm")
"""The names of regressors that `RegressionReward` knows."""

_MLP = {"hidden_layer_sizes": (64,), "alpha": 10.0, "max_iter": 50}
_LIGHTGBM = {
    "n_estimators": 300,
    "learning_rate": 0.05,
    "num_leaves": 4,
    "min_child_samples": 10,
    "colsample_bytree": 0.2,
    "subsample": 0.7,
    "subsample_freq": 1,
    "reg_lambda": 10.0,
    "extra_trees": True,
    "deterministic": True,
    "force_row_wise": True,
    "n_jobs": 0,  # the number of OpenMP threads
    "verbosity": -1,
}


class Model(Protocol):
    """A fitted regressor of one rating."""

    def __call__(self, items: FloatArray) -> FloatArray:
        """Predict the rating of items, (n_items, d) -> (n_items,)."""

    def get_state(self) -> HeadState:
        """Return the model in storable form."""


def fit_model(
    estimator: Any,
    items: FloatArray,
    rating: FloatArray,
    weight: FloatArray,
    rng: np.random.Generator,
) -> Model:
    """Fit a regressor, given by name or as a scikit-learn estimator, to one rating.

    Parameters
    ----------
    estimator : {"mlp", "lightgbm"} or regressor
        A regressor is cloned.
    items : ndarray of shape (n, d)
    rating, weight : ndarray of shape (n,)
        Weights are > 0.
    rng : numpy.random.Generator
        Seeds every `random_state` that is None.

    Returns
    -------
    Model

    Raises
    ------
    InvalidInputError
        If the name is unknown, or the estimator is no regressor that takes the
        weights.
    """
    if isinstance(estimator, str):
        if estimator == "mlp":
            return _fit_network(items, rating, weight, rng)
        if estimator == "lightgbm":
            return _fit_trees(items, rating, weight, rng)
    elif hasattr(estimator, "fit") and hasattr(estimator, "predict"):
        copy = clone(estimator)
        _seed(copy, rng)
        _fit_weighted(copy, items, rating, weight)
        return ForeignModel(copy)
    raise invalid_input(
        expected="a regressor with fit and predict, or one of " + ", ".join(REGRESSORS),
        got=repr(estimator)[:40],
        fix="use one of these names, or pass a scikit-learn regressor",
    )


def model_from_state(state: HeadState) -> Model:
    """Rebuild the model that `get_state` described.

    Raises
    ------
    IntegrityError
        If the state names another kind of model, or lacks something.
    """
    kind = state.value("kind", str)
    if kind == "network":
        return NetworkModel.from_state(state)
    if kind == "lightgbm":
        return TreeModel.from_state(state)
    raise IntegrityError.of(
        expected="a stored regressor of kind network or lightgbm",
        got=repr(kind)[:40],
        fix="check where the file comes from, or upgrade embrm",
    )


@dataclass(frozen=True, eq=False)
class NetworkModel:
    """A multilayer perceptron with ReLU on standardised items.

    Attributes
    ----------
    mean, scale : ndarray of shape (d,)
    weights, biases : list of ndarray
        The last layer is in units of the rating.
    """

    mean: FloatArray
    scale: FloatArray
    weights: list[FloatArray]
    biases: list[FloatArray]

    def __call__(self, items: FloatArray) -> FloatArray:
        """Predict the rating of items, (n_items, d) -> (n_items,)."""
        hidden = (items - self.mean) / self.scale
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.maximum(hidden @ weight + bias, 0)
        return np.asarray(hidden @ self.weights[-1] + self.biases[-1])[:, 0]

    def get_state(self) -> HeadState:
        """Return the model in storable form."""
        arrays = {"mean": self.mean, "scale": self.scale}
        arrays |= {f"weight{n}": weight for n, weight in enumerate(self.weights)}
        arrays |= {f"bias{n}": bias for n, bias in enumerate(self.biases)}
        return HeadState(arrays, {"kind": "network", "n_layers": len(self.weights)})

    @classmethod
    def from_state(cls, state: HeadState) -> "NetworkModel":
        """Rebuild the model that `get_state` described."""
        layers = range(state.value("n_layers", int))
        model = cls(
            state.array("mean", ndim=1),
            state.array("scale", ndim=1),
            [state.array(f"weight{n}", ndim=2) for n in layers],
            [state.array(f"bias{n}", ndim=1) for n in layers],
        )
        sizes = [len(model.mean), *(len(bias) for bias in model.biases)]
        shapes = [weight.shape for weight in model.weights]
        if shapes != list(pairwise(sizes)) or sizes[-1] != 1:
            raise IntegrityError.of(
                expected="layers that fit each other in the stored network",
                got=f"weights of shapes {shapes[:8]}",
                fix="save the head again",
            )
        return model


@dataclass(frozen=True, eq=False)
class TreeModel:
    """A LightGBM booster."""

    booster: Any

    def __call__(self, items: FloatArray) -> FloatArray:
        """Predict the rating of items, (n_items, d) -> (n_items,)."""
        return np.asarray(self.booster.predict(items), dtype=np.float64)

    def get_state(self) -> HeadState:
        """Return the model in storable form."""
        text = self.booster.model_to_string()
        return HeadState({}, {"kind": "lightgbm"}, {"model": text.encode()})

    @classmethod
    def from_state(cls, state: HeadState) -> "TreeModel":
        """Rebuild the model; the state's checksum must have been verified."""
        lightgbm = import_optional("lightgbm", extra="lightgbm")
        try:
            text = state.blob("model").decode("ascii")
            return cls(lightgbm.Booster(model_str=text))
        except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
            raise IntegrityError.of(
                expected="a LightGBM model text",
                got="bytes that it cannot read",
                fix="restore the file from where it was saved",
            ) from error


@dataclass(frozen=True, eq=False)
class ForeignModel:
    """Any fitted scikit-learn regressor; it can be used, but not stored."""

    estimator: Any

    def __call__(self, items: FloatArray) -> FloatArray:
        """Predict the rating of items, (n_items, d) -> (n_items,)."""
        return np.asarray(self.estimator.predict(items), dtype=np.float64).reshape(-1)

    def get_state(self) -> HeadState:
        """Refuse: there is no storable form for an arbitrary estimator."""
        raise invalid_input(
            expected="a regressor that can be saved: " + ", ".join(REGRESSORS),
            got=type(self.estimator).__name__,
            fix="use one of these, or keep the fitted head in memory",
        )


def _fit_network(
    items: FloatArray, rating: FloatArray, weight: FloatArray, rng: np.random.Generator
) -> NetworkModel:
    mean, scale = _mean_and_scale(items, weight)
    centre = float(np.average(rating, weights=weight))
    spread = float(np.sqrt(np.average((rating - centre) ** 2, weights=weight))) or 1.0
    mlp = MLPRegressor(**_MLP, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        # Stopping early is how it regularises, not a failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        _fit_weighted(mlp, (items - mean) / scale, (rating - centre) / spread, weight)
    weights: list[FloatArray] = [
        np.ascontiguousarray(coef, dtype=np.float64) for coef in mlp.coefs_
    ]
    biases: list[FloatArray] = [
        np.asarray(bias, dtype=np.float64) for bias in mlp.intercepts_
    ]
    weights[-1] = weights[-1] * spread
    biases[-1] = biases[-1] * spread + centre
    return NetworkModel(mean, scale, weights, biases)


def _fit_trees(
    items: FloatArray, rating: FloatArray, weight: FloatArray, rng: np.random.Generator
) -> TreeModel:
    lightgbm = import_optional("lightgbm", extra="lightgbm")
    trees = lightgbm.LGBMRegressor(**_LIGHTGBM, random_state=int(rng.integers(2**31)))
    return TreeModel(trees.fit(items, rating, sample_weight=weight).booster_)


def _mean_and_scale(
    items: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Compute mean and standard deviation of each column, 1 where it is constant."""
    mean = np.average(items.astype(np.float64), axis=0, weights=weight)
    scale = np.sqrt(np.average((items - mean) ** 2, axis=0, weights=weight))
    # A constant column has a deviation of some rounding errors, not of zero.
    constant = scale <= 1e-6 * np.abs(mean) + 1e-9 * scale.max()
    return mean, np.where(constant, 1.0, scale)


def _seed(estimator: Any, rng: np.random.Generator) -> None:
    """Set every `random_state` that is None, also of the steps of a pipeline."""
    params = estimator.get_params(deep=True)
    unset = [
        name
        for name in sorted(params)
        if name.rpartition("__")[2] == "random_state" and params[name] is None
    ]
    estimator.set_params(**{name: int(rng.integers(2**31)) for name in unset})


def _fit_weighted(
    estimator: Any, items: FloatArray, rating: FloatArray, weight: FloatArray
) -> None:
    last, name = estimator, "sample_weight"
    if isinstance(estimator, Pipeline):
        step, last = estimator.steps[-1]
        name = f"{step}__sample_weight"
    if has_fit_parameter(last, "sample_weight"):
        # The estimator is ours: routing that a user switched on is not meant for it.
        with config_context(enable_metadata_routing=False):
            estimator.fit(items, rating, **{name: weight})
    elif np.all(weight == weight[0]):
        estimator.fit(items, rating)
    else:
        raise invalid_input(
            expected="a regressor whose fit takes sample_weight, since items are "
            "rated with different weights or a different number of times",
            got=type(last).__name__,
            fix="use another regressor, or rate each item once",
        )
