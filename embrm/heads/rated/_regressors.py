"""Regressors of one rating: by name, with defaults for dense vectors and few ratings.

What a fit leaves behind is a model of plain arrays or a native model text, so that it
can be stored without code.
"""

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from embrm._optional import import_optional
from embrm._typing import FloatArray
from embrm.exceptions import IntegrityError, invalid_input
from embrm.heads.classification import (
    LIGHTGBM_DEFAULTS,
    MLP_DEFAULTS,
    fit_weighted,
    seed_estimator,
)
from embrm.heads.estimator_state import read_booster
from embrm.heads.state import HeadState

REGRESSORS = ("ridge", "mlp", "lightgbm")
"""The names of regressors that `RegressionReward` knows."""


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
        seed_estimator(copy, rng)
        _fit(copy, items, rating, weight)
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
class DenseLayers:
    """A multilayer perceptron with ReLU on standardised inputs.

    Attributes
    ----------
    mean, scale : ndarray of shape (d,)
    weights, biases : list of ndarray
        Of each layer, (n_in, n_out) and (n_out,).
    """

    mean: FloatArray
    scale: FloatArray
    weights: list[FloatArray]
    biases: list[FloatArray]

    def flow(self, standardised: FloatArray) -> list[FloatArray]:
        """Compute what goes into each layer, and what comes out of the last."""
        flow = [standardised]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            flow.append(np.maximum(flow[-1] @ weight + bias, 0))
        return [*flow, flow[-1] @ self.weights[-1] + self.biases[-1]]

    def get_state(self) -> HeadState:
        """Return the layers in storable form."""
        arrays = {"mean": self.mean, "scale": self.scale}
        arrays |= {f"weight{n}": weight for n, weight in enumerate(self.weights)}
        arrays |= {f"bias{n}": bias for n, bias in enumerate(self.biases)}
        return HeadState(arrays, {"n_layers": len(self.weights)})

    @classmethod
    def from_state(cls, state: HeadState, **more: Any) -> Self:
        """Rebuild the layers that `get_state` described, with what a child adds."""
        layers = range(state.value("n_layers", int))
        made = cls(
            state.array("mean", ndim=1),
            state.array("scale", ndim=1),
            [state.array(f"weight{n}", ndim=2) for n in layers],
            [state.array(f"bias{n}", ndim=1) for n in layers],
            **more,
        )
        sizes = [len(made.mean), *(len(bias) for bias in made.biases)]
        shapes = [weight.shape for weight in made.weights]
        if not shapes or shapes != list(pairwise(sizes)):
            raise _no_fit(shapes)
        return made


def _no_fit(shapes: list[tuple[int, ...]]) -> IntegrityError:
    return IntegrityError.of(
        expected="layers that fit each other in the stored network",
        got=f"weights of shapes {shapes[:8]}",
        fix="save the head again",
    )


class NetworkModel(DenseLayers):
    """A network whose last layer, of one output, is in units of the rating."""

    def __call__(self, items: FloatArray) -> FloatArray:
        """Predict the rating of items, (n_items, d) -> (n_items,)."""
        return self.flow((items - self.mean) / self.scale)[-1][:, 0]

    def get_state(self) -> HeadState:
        """Return the model in storable form."""
        return super().get_state() | HeadState(values={"kind": "network"})

    @classmethod
    def from_state(cls, state: HeadState, **more: Any) -> Self:
        """Rebuild the model that `get_state` described."""
        model = super().from_state(state, **more)
        if model.weights[-1].shape[1] != 1:
            raise _no_fit([weight.shape for weight in model.weights])
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
        return cls(read_booster(state.blob("model")))


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
    mlp = MLPRegressor(**MLP_DEFAULTS, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        # Stopping early is how it regularises, not a failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        _fit(mlp, (items - mean) / scale, (rating - centre) / spread, weight)
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
    trees = lightgbm.LGBMRegressor(
        **LIGHTGBM_DEFAULTS, random_state=int(rng.integers(2**31))
    )
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


def _fit(
    estimator: Any, items: FloatArray, rating: FloatArray, weight: FloatArray
) -> None:
    why = "are rated with different weights or a different number of times"
    fix = "use another regressor, or rate each item once"
    fit_weighted(estimator, items, rating, weight, why=why, fix=fix)
