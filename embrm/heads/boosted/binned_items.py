"""Items sorted into bins once, for many fits of trees by LightGBM or XGBoost."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from embrm._optional import import_optional
from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import (
    Integer,
    check_choice,
    check_items,
    check_parameters,
    widened,
)
from embrm.exceptions import invalid_input
from embrm.heads.boosted._growing import Forest, Gradients, Grower, TreePlan
from embrm.heads.estimator_state import read_booster, unreadable
from embrm.heads.state import HeadState
from embrm.pairs import distinct_rows

# Quantiles of 5,000 items are exact enough for bins, and 40 times as fast as the
# default. Features of an encoder are dense: there is nothing to bundle.
_BINNING = {
    "bin_construct_sample_cnt": 5000,
    "data_random_seed": 1,
    "enable_bundle": False,
    "feature_pre_filter": False,
    "is_enable_sparse": False,
    "min_data_in_bin": 1,
    "verbosity": -1,
}

_LARGEST = float(np.finfo(np.float32).max)

Backend: TypeAlias = Literal["lightgbm", "xgboost"]
_BLOB = "forest"
_MOST_BINS = 255


def _objective(gradients: Gradients) -> Any:
    """Make the objective of a booster, which takes its scores and data."""

    def objective(scores: FloatArray, _: Any) -> tuple[FloatArray, FloatArray]:
        gradient, hessian = gradients(np.asarray(scores, dtype=np.float64))
        return gradient.astype(np.float32), hessian.astype(np.float32)

    return objective


class LightGBMForest:
    """Trees of a LightGBM booster, detached from what they were grown on.

    Parameters
    ----------
    blob : bytes
        What `to_bytes` wrote; the checksum of a file must have been verified.
    """

    backend: ClassVar[str] = "lightgbm"

    def __init__(self, blob: bytes) -> None:
        self.booster = read_booster(blob)

    def __call__(self, items: FloatArray) -> FloatArray:
        """Score items, (n_items, d) -> (n_items,), float64."""
        return np.asarray(self.booster.predict(items, raw_score=True))

    def to_bytes(self) -> bytes:
        """Write the trees as LightGBM's model text."""
        return bytes(self.booster.model_to_string().encode())


class LightGBMGrower:
    """A LightGBM booster with a custom objective."""

    def __init__(self, dataset: Any, plan: TreePlan) -> None:
        params = {
            **dataset.params,
            "objective": "none",
            "boosting": "gbdt",
            "learning_rate": plan.learning_rate,
            "num_leaves": plan.max_leaves,
            "min_data_in_leaf": 1,
            "min_sum_hessian_in_leaf": plan.min_hessian,
            "lambda_l2": plan.l2,
            "feature_fraction": plan.feature_fraction,
            "bagging_fraction": plan.item_fraction,
            "bagging_freq": 1,
            "extra_trees": True,
            "seed": plan.seed,
            "deterministic": True,
            # Each feature is summed by one thread: the same trees for any number.
            "force_col_wise": True,
            "num_threads": 0,  # the number of OpenMP threads
        }
        self.booster = _lightgbm().Booster(params, dataset)

    def step(self, gradients: Gradients) -> bool:
        """Grow one tree; return whether it has no split."""
        return bool(self.booster.update(fobj=_objective(gradients)))

    def forest(self, n_trees: int) -> LightGBMForest:
        """Copy the first trees out of the booster."""
        text = self.booster.model_to_string(num_iteration=n_trees)
        return LightGBMForest(text.encode())


def bin_with_lightgbm(items: FloatArray, n_bins: int) -> Any:
    """Sort each feature into at most `n_bins` bins, shape (n_items, d), one byte each.

    Parameters
    ----------
    items : ndarray of shape (n_items, d)
    n_bins : int in [2, 255]

    Returns
    -------
    lightgbm.Dataset
    """
    params = {**_BINNING, "max_bin": n_bins}
    return _lightgbm().Dataset(items, params=params, free_raw_data=True).construct()


def _lightgbm() -> Any:
    return import_optional("lightgbm", extra="lightgbm")


class XGBoostForest:
    """Trees of an XGBoost booster, detached from what they were grown on.

    Parameters
    ----------
    blob : bytes
        What `to_bytes` wrote; the checksum of a file must have been verified.
    """

    backend: ClassVar[str] = "xgboost"

    def __init__(self, blob: bytes) -> None:
        self.booster = _xgboost().Booster()
        try:
            self.booster.load_model(bytearray(blob))
        except (_xgboost().core.XGBoostError, TypeError, ValueError) as error:
            raise unreadable("an XGBoost model in UBJSON") from error

    def __call__(self, items: FloatArray) -> FloatArray:
        """Score items, (n_items, d) -> (n_items,), float64."""
        margin = self.booster.inplace_predict(
            _as_float32(items), predict_type="margin", validate_features=False
        )
        return np.asarray(margin, dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Write the trees as UBJSON."""
        return bytes(self.booster.save_raw("ubj"))


class XGBoostGrower:
    """An XGBoost booster with a custom objective."""

    def __init__(self, dataset: Any, plan: TreePlan) -> None:
        self.dataset, self.n_grown = dataset, 0
        params = {
            "tree_method": "hist",
            "max_bin": dataset.max_bin,
            "grow_policy": "lossguide",
            "max_depth": 0,
            "max_leaves": plan.max_leaves,
            "learning_rate": plan.learning_rate,
            "min_child_weight": plan.min_hessian,
            "reg_lambda": plan.l2,
            "colsample_bytree": plan.feature_fraction,
            "subsample": plan.item_fraction,
            "base_score": 0.0,
            "seed": plan.seed,
            "nthread": 0,  # the number of OpenMP threads
            "verbosity": 0,
        }
        self.booster = _xgboost().Booster(params, [dataset])

    def step(self, gradients: Gradients) -> bool:
        """Grow one tree; a tree that cannot split is a single leaf of 0."""
        self.booster.update(self.dataset, self.n_grown, fobj=_objective(gradients))
        self.n_grown += 1
        return False

    def forest(self, n_trees: int) -> XGBoostForest:
        """Copy the first trees out of the booster."""
        return XGBoostForest(bytes(self.booster[:n_trees].save_raw("ubj")))


def bin_with_xgboost(items: FloatArray, n_bins: int) -> Any:
    """Sort each feature into at most `n_bins` bins.

    Parameters
    ----------
    items : ndarray of shape (n_items, d)
    n_bins : int >= 2

    Returns
    -------
    xgboost.QuantileDMatrix
    """
    return _xgboost().QuantileDMatrix(_as_float32(items), max_bin=n_bins, nthread=0)


def _as_float32(items: FloatArray) -> FloatArray:
    """Convert items to the precision that XGBoost splits in."""
    if items.dtype == np.float32:
        return items
    largest = float(np.abs(items).max(initial=0.0))
    if largest > _LARGEST:
        raise invalid_input(
            expected=f"items within float32, +-{_LARGEST:.2g}, for XGBoost",
            got=f"a magnitude of {largest:.3g}",
            fix="scale the items, or use backend='lightgbm'",
        )
    return items.astype(np.float32)


def _xgboost() -> Any:
    return import_optional("xgboost", extra="xgboost")


_BIN = {"lightgbm": bin_with_lightgbm, "xgboost": bin_with_xgboost}
_GROWER: dict[str, Any] = {"lightgbm": LightGBMGrower, "xgboost": XGBoostGrower}
_FOREST: dict[str, Any] = {"lightgbm": LightGBMForest, "xgboost": XGBoostForest}


@dataclass(frozen=True, eq=False)
class BinnedItems:
    """Items whose features are sorted into bins; made by `bin_items`, never changed.

    Copies share the bins. A copy sent to another process bins again there; threads
    (`joblib.parallel_config(backend="threading")`) share them.

    Attributes
    ----------
    items : ndarray of shape (n_distinct, d), float32 or float64
        The distinct items, in ascending byte order.
    backend : {"lightgbm", "xgboost"}
    n_bins : int
        Largest number of bins of a feature.
    dataset : lightgbm.Dataset or xgboost.QuantileDMatrix
    """

    items: FloatArray
    backend: Backend
    n_bins: int
    dataset: Any

    def find(self, items: FloatArray) -> IntArray:
        """Say in which rows some items are.

        Parameters
        ----------
        items : ndarray of shape (n, d)

        Returns
        -------
        ndarray of int of shape (n,)

        Raises
        ------
        InvalidInputError
            If an item is not among those that were binned.
        """
        if items.shape[1] == self.items.shape[1] and items.dtype == self.items.dtype:
            known = _as_bytes(self.items)
            wanted = _as_bytes(items + items.dtype.type(0))
            rows = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            n_missing = int((known[rows] != wanted).sum())
            got = f"{n_missing} of {len(items)} items that are not among them"
            if n_missing == 0:
                return rows
        else:
            got = f"items of d = {items.shape[1]}, {items.dtype}"
        raise invalid_input(
            expected=f"items that were binned (d = {self.items.shape[1]}, "
            f"{self.items.dtype}, after any preprocessor)",
            got=got,
            fix="call bin_items on all items you will fit on, or leave bins at "
            "its default",
        )

    def grower(self, plan: TreePlan) -> Grower:
        """Begin a boosted model on these items."""
        grower: Grower = _GROWER[self.backend](self.dataset, plan)
        return grower

    def __deepcopy__(self, memo: Any) -> "BinnedItems":
        return self

    def __reduce__(self) -> Any:
        return bin_items, (self.items, self.backend, self.n_bins)

    def __repr__(self) -> str:
        n_items, d = self.items.shape
        return (
            f"BinnedItems({n_items} items, d={d}, {self.n_bins} bins, {self.backend})"
        )


def bin_items(
    X: ArrayLike, backend: Backend = "lightgbm", n_bins: int = 63
) -> BinnedItems:
    """Sort the features of items into bins, once for many fits.

    Binning takes longer than a short fit, and depends on no label. Hand the result to
    `BoostedBradleyTerry(bins=...)`, e.g. in a grid search. If X is exactly the items
    of the training pairs, the fit is the same as without; else bin edges are
    quantiles of all of X.

    Parameters
    ----------
    X : array-like of shape (n_items, d)
        Every item that will be fitted on; after the preprocessor, if there is one.
    backend : {"lightgbm", "xgboost"}, default="lightgbm"
        The library that will grow the trees.
    n_bins : int in [2, 255], default=63
        Largest number of bins of a feature.

    Returns
    -------
    BinnedItems

    Raises
    ------
    InvalidInputError
        If a parameter is out of range, or X is no matrix of finite numbers.
    MissingDependencyError
        If the library is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from embrm.heads.boosted.binned_items import bin_items
    >>> bin_items(np.random.default_rng(0).normal(size=(50, 3)))
    BinnedItems(50 items, d=3, 63 bins, lightgbm)
    """
    items = widened(check_items(X))
    kept, _ = distinct_rows(items)
    return bin_distinct_items(items[kept] + items.dtype.type(0), backend, n_bins)


def bin_distinct_items(items: FloatArray, backend: Any, n_bins: Any) -> BinnedItems:
    """Bin items that are distinct and in byte order already, as in `Comparisons`."""
    given = {"backend": backend, "bins": n_bins}
    check_parameters(given, {"backend": [*_BIN], "bins": [Integer(2, _MOST_BINS)]})
    count = int(n_bins)
    return BinnedItems(items, backend, count, _BIN[backend](items, count))


def write_forest(forest: Forest | None) -> HeadState:
    """Write trees in storable form; None, if there are none, as nothing."""
    if forest is None:
        return HeadState()
    blobs = {_BLOB: forest.to_bytes()}
    return HeadState(values={"backend": forest.backend}, blobs=blobs)


def read_forest(state: HeadState) -> Forest | None:
    """Read trees that `write_forest` wrote."""
    if state.value("n_trees", int) == 0:
        return None
    backend = state.value("backend", str)
    check_choice(backend, "backend", [*_FOREST])
    forest: Forest = _FOREST[backend](state.blob(_BLOB))
    return forest


def _as_bytes(items: FloatArray) -> AnyArray:
    contiguous = np.ascontiguousarray(items)
    return contiguous.view(f"V{items.shape[1] * items.itemsize}").ravel()
