"""Items sorted into bins once, for many fits of boosted trees."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import (
    Integer,
    check_choice,
    check_items,
    check_parameters,
    widened,
)
from embrm.exceptions import invalid_input
from embrm.heads.boosted._backends import (
    LightGBMForest,
    LightGBMGrower,
    XGBoostForest,
    XGBoostGrower,
    bin_with_lightgbm,
    bin_with_xgboost,
)
from embrm.heads.boosted._growing import Forest, Grower, TreePlan
from embrm.heads.state import HeadState
from embrm.pairs import distinct_rows

Backend: TypeAlias = Literal["lightgbm", "xgboost"]

_BIN = {"lightgbm": bin_with_lightgbm, "xgboost": bin_with_xgboost}
_GROWER: dict[str, Any] = {"lightgbm": LightGBMGrower, "xgboost": XGBoostGrower}
_BLOB = "forest"
_FOREST: dict[str, Any] = {"lightgbm": LightGBMForest, "xgboost": XGBoostForest}
_MOST_BINS = 255


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
    forest: Forest = _FOREST[backend].from_bytes(state.blob(_BLOB))
    return forest


def _as_bytes(items: FloatArray) -> AnyArray:
    contiguous = np.ascontiguousarray(items)
    return contiguous.view(f"V{items.shape[1] * items.itemsize}").ravel()
