"""Trees of LightGBM for `BoostedBradleyTerry`."""

from typing import Any

import numpy as np

from embrm._optional import import_optional
from embrm._typing import FloatArray
from embrm.exceptions import IntegrityError, three_parts
from embrm.heads.boosted.growing import Gradients, TreePlan

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


class LightGBMForest:
    """Trees of a LightGBM booster, detached from what they were grown on."""

    def __init__(self, text: str) -> None:
        self.booster = _lightgbm().Booster(model_str=text)

    def __call__(self, items: FloatArray) -> FloatArray:
        """Score items, (n_items, d) -> (n_items,), float64."""
        return np.asarray(self.booster.predict(items, raw_score=True))

    def to_bytes(self) -> bytes:
        """Write the trees as LightGBM's model text."""
        return bytes(self.booster.model_to_string().encode())

    @classmethod
    def from_bytes(cls, blob: bytes) -> "LightGBMForest":
        """Read what `to_bytes` wrote; its checksum must have been verified."""
        try:
            return cls(blob.decode("ascii"))
        except (_lightgbm().basic.LightGBMError, UnicodeDecodeError) as error:
            raise IntegrityError(
                three_parts(
                    expected="a LightGBM model text",
                    got="bytes that it cannot read",
                    cure="restore the file from where it was saved",
                )
            ) from error


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
            "num_threads": 0,  # as many as OpenMP is told to use
        }
        self.booster = _lightgbm().Booster(params, dataset)

    def step(self, gradients: Gradients) -> bool:
        """Grow one tree; say whether no item could be told from another."""

        def objective(scores: FloatArray, _: Any) -> tuple[FloatArray, FloatArray]:
            gradient, hessian = gradients(np.asarray(scores))
            return gradient.astype(np.float32), hessian.astype(np.float32)

        return bool(self.booster.update(fobj=objective))

    def forest(self, n_trees: int) -> LightGBMForest:
        """Copy the first trees out of the booster."""
        return LightGBMForest(self.booster.model_to_string(num_iteration=n_trees))


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
