"""Small fitted models and bundles for the tests of models on disk."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save

from embrm import RewardModel
from embrm.heads import make_head
from embrm.persist import save_model
from embrm.persist.files import digest_of

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """Twelve preferences over six prompts: the right answer against a wrong one."""
    rows = [
        {
            "prompt": f"What is {n} plus {n}?",
            "chosen": f"{word} {2 * n}, correct.",
            "rejected": f"{word} {2 * n + 1}, wrong.",
        }
        for n in range(1, 7)
        for word in ("It is", "The sum is")
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def model(frame) -> RewardModel:
    """A linear head on hashed words; do not refit."""
    return RewardModel(encoder="hashing:64", head="linear").fit(frame)


@pytest.fixture(scope="session")
def bundle(model, tmp_path_factory) -> Path:
    """A saved bundle; do not write to it."""
    return save_model(model, tmp_path_factory.mktemp("bundle") / "model")


@pytest.fixture(scope="session")
def bundles(frame, tmp_path_factory) -> dict[str, Path]:
    """A bundle of each kind of storage, by the word of its head; do not write."""
    directory = tmp_path_factory.mktemp("bundles")
    params = {
        "linear": {},
        "siamese": {"hidden_sizes": (3,), "linear_start": False, "random_state": 0},
        "logistic": {},
        "mlp": {"hidden_layer_sizes": (3,), "random_state": 0},
        "lightgbm": {
            "n_estimators": 3,
            "min_child_samples": 1,
            "min_child_weight": 1e-9,
            "colsample_bytree": 1.0,
            "extra_trees": False,
            "random_state": 0,
        },
        "xgboost": {"n_estimators": 3, "min_child_weight": 0.0, "random_state": 0},
    }
    return {
        word: save_model(
            RewardModel("hashing:16", make_head(word, **given)).fit(frame),
            directory / word,
        )
        for word, given in params.items()
    }


@pytest.fixture
def altered(bundles, tmp_path) -> Callable[..., Path]:
    """Copy a bundle, change it, and make every checksum right again."""

    def alter(
        word: str,
        manifest: Callable[[dict], None] | None = None,
        arrays: Callable[[dict[str, np.ndarray]], None] | None = None,
        blob: bytes | None = None,
    ) -> Path:
        copy = tmp_path / word
        shutil.copytree(bundles[word], copy)
        if arrays is not None:
            weights = load((copy / "weights.safetensors").read_bytes())
            arrays(weights)
            kept = {name: np.ascontiguousarray(a) for name, a in weights.items()}
            (copy / "weights.safetensors").write_bytes(save(kept))
        if blob is not None:
            (copy / "estimator__model.blob").write_bytes(blob)
        values = json.loads((copy / "manifest.json").read_text())
        for name in values["files"]:
            data = (copy / name).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            values["files"][name] = {"bytes": len(data), "sha256": digest}
        if manifest is not None:
            manifest(values)
        values["digest"] = digest_of(values)
        (copy / "manifest.json").write_text(json.dumps(values))
        return copy

    return alter


@pytest.fixture(scope="session")
def lightgbm_text() -> bytes:
    """The text of a small LightGBM model."""
    return (GOLDEN / "v1-lightgbm" / "estimator__model.blob").read_bytes()


@pytest.fixture(scope="session")
def xgboost_ubjson(bundles) -> bytes:
    """The bytes of a small XGBoost model."""
    return (bundles["xgboost"] / "estimator__model.blob").read_bytes()
