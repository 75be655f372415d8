"""A bundle that was tampered with is an IntegrityError, with right checksums, too."""

import os
import re
import shutil

import numpy as np
import pytest

from embrm.exceptions import EmbrmError, IntegrityError, InvalidInputError
from embrm.persist import load_model

FILES = ("manifest.json", "weights.safetensors")


def put(path: str, value):
    """Make a change of the manifest: set the value at a dotted path."""

    def change(manifest: dict) -> None:
        *parents, last = path.split(".")
        for key in parents:
            manifest = manifest[key]
        manifest[last] = value

    change.__name__ = f"{path}={str(value)[:30]}"
    return change


def scale(name: str, factor: float):
    """Make a change of the arrays: multiply one."""

    def change(arrays: dict) -> None:
        (key,) = [key for key in arrays if key.endswith(name)]
        with np.errstate(all="ignore"):
            arrays[key] = arrays[key] * factor

    change.__name__ = f"{name}*{factor}"
    return change


def sketches(values, common):
    """Add sketches of prompts, or what claims to be them."""
    known = {"training_sketches": values, "training_common_shingles": common}
    return lambda arrays: arrays.update(
        {name: array for name, array in known.items() if array is not None}
    )


def cut(name: str, *index):
    """Make a change of the arrays: index one."""

    def change(arrays: dict) -> None:
        (key,) = [key for key in arrays if key.endswith(name)]
        arrays[key] = arrays[key][index]

    change.__name__ = f"{name}[{index}]"
    return change


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        lambda path: (path.rename(f"{path}.x"), path.symlink_to(f"{path}.x")),
    ],
    ids=["empty", "cut", "longer", "missing", "directory", "pipe", "device", "link"],
)
def test_no_file_can_be_replaced(name, damage, bundles, tmp_path):
    """Neither by other bytes, nor by what is no file; nothing hangs."""
    copy = tmp_path / "model"
    shutil.copytree(bundles["linear"], copy)
    damage(copy / name)
    with pytest.raises(IntegrityError):
        load_model(copy)


@pytest.mark.parametrize("name", FILES)
def test_files_of_two_bundles_cannot_be_mixed(name, bundles, tmp_path):
    """Weights and manifest belong together."""
    copy = tmp_path / "model"
    shutil.copytree(bundles["linear"], copy)
    shutil.copy(bundles["logistic"] / name, copy / name)
    with pytest.raises(IntegrityError):
        load_model(copy)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        '{"a":' + "1" * 100_000 + "}",
        " " * (9 * 2**20),
        "{" + ",".join(f'"k{n}":{n}' for n in range(100_000)) + "}",
        '{"format": "embrm-bundle", "format": "embrm-bundle"}',
        '\ufeff{"format": "embrm-bundle"}',
    ],
    ids=["brackets", "deep", "long number", "huge", "many keys", "twice", "mark"],
)
def test_tricks_with_json_are_refused(text, bundles, tmp_path):
    """Large, deep, ambiguous: the manifest is strict JSON of a bounded size."""
    copy = tmp_path / "model"
    shutil.copytree(bundles["linear"], copy)
    (copy / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(IntegrityError):
        load_model(copy)


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("linear", put("head.head", "Evil")),
        ("linear", put("head.head", "SiameseBradleyTerry")),
        ("linear", put("head.params", {"no_such": 1})),
        ("linear", put("head.params.alpha", {"class": "os.system", "params": {}})),
        ("linear", put("values.state", {})),
        ("linear", put("values.state", [])),
        ("linear", put("values.state.n_features_in", 17)),
        ("linear", put("values.state.n_features_in", 10**18)),
        ("linear", put("values.state.offset", "0")),
        ("linear", put("values.blobs", {"weights.safetensors": "model"})),
        ("linear", put("encoder.spec", {"kind": "evil"})),
        ("linear", put("encoder.spec", {"kind": "hashing", "dim": "16"})),
        ("linear", put("encoder.spec", {"kind": "hashing", "dim": 16, "evil": 1})),
        ("linear", put("encoder.fingerprint.dim", 10**18)),
        ("linear", put("encoder.fingerprint.dim", 17)),
        ("linear", put("encoder.fingerprint.fields", "x")),
        ("linear", put("training", {})),
        ("linear", put("training.metrics", [])),
        ("linear", put("fit_seconds", "1")),
        ("linear", put("fit_seconds", -1.0)),
        ("linear", put("probe", [])),
        ("linear", put("probe", [0.0] * 24)),
        ("linear", put("probe", ["0"] * 24)),
        ("linear", put("files", {})),
        ("linear", put("version", 0)),
        ("siamese", put("values.state.n_layers", 10**9)),
        ("siamese", put("values.state.n_layers", 0)),
        ("siamese", put("values.state.n_layers", -1)),
        ("logistic", put("values.state.estimator__spec.params", {})),
        ("logistic", put("values.state.estimator__spec.params.steps", "ab")),
        ("logistic", put("values.state.estimator__spec.params.steps", [])),
        ("mlp", put("values.state.estimator__step1__out_activation_", "evil")),
        ("mlp", put("values.state.estimator__step1__n_layers_", 10**9)),
        ("lightgbm", put("values.state.estimator__spec.class", "xgboost.Booster")),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_manifest_that_lies_is_refused(word, change, altered):
    """Unknown classes, wrong types, impossible sizes, with every checksum right."""
    with pytest.raises(IntegrityError):
        load_model(altered(word, manifest=change))


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("linear", scale("coef", np.nan)),
        ("linear", scale("coef", np.inf)),
        ("linear", scale("coef", 1e300)),
        ("linear", scale("coef", 2.0)),
        ("linear", cut("coef", slice(3))),
        ("linear", cut("coef", slice(0))),
        ("linear", cut("coef", None)),
        ("linear", lambda arrays: arrays.clear()),
        ("linear", lambda arrays: arrays.pop("training_prompts")),
        ("linear", scale("training_prompts", 1.0)),
        ("linear", cut("training_prompts", None)),
        ("linear", sketches(np.zeros((3, 7), "uint8"), np.zeros(1, "uint32"))),
        ("linear", sketches(np.zeros((3, 120)), np.zeros(1, "uint32"))),
        ("linear", sketches(np.zeros((3, 120), "uint8"), np.zeros((1, 1), "uint32"))),
        ("linear", sketches(np.zeros((3, 120), "uint8"), None)),
        ("siamese", scale("weight0", np.nan)),
        ("siamese", scale("scale", 0.0)),
        ("siamese", cut("weight0", slice(None), slice(5))),
        ("siamese", cut("mean", slice(5))),
        ("logistic", scale("coef_", np.nan)),
        ("logistic", cut("coef_", slice(None), slice(3))),
        ("logistic", cut("coef_", [0, 0])),
        ("mlp", cut("coef0", slice(3))),
        ("mlp", scale("coef1", np.nan)),
        ("mlp", scale("scale_", 0.0)),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_arrays_that_do_not_fit_are_refused(word, change, altered):
    """NaN, infinity, wrong shapes and other values: the probe tells."""
    with pytest.raises(IntegrityError):
        load_model(altered(word, arrays=change))


@pytest.mark.parametrize("word", ["lightgbm", "xgboost"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda blob: b"",
        lambda blob: blob[: len(blob) // 2],
        lambda blob: blob[:-1],
        lambda blob: blob + b"x",
        lambda blob: bytes(500),
        lambda blob: blob[:5] + bytes(len(blob) - 5),
        lambda blob: b"tree\nversion=v4\n",
        lambda blob: b'{"learner": {}}',
    ],
    ids=["empty", "half", "cut", "longer", "zeros", "blank", "text", "json"],
)
def test_native_files_are_checked_before_they_are_parsed(
    word, damage, altered, bundles
):
    """Their parsers end the process on such bytes, so they never see them."""
    blob = (bundles[word] / "estimator__model.blob").read_bytes()
    with pytest.raises(IntegrityError, match="native model file"):
        load_model(altered(word, blob=damage(blob)))


def test_a_native_file_of_the_other_library_is_refused(altered, xgboost_ubjson):
    """LightGBM says so itself, and what it says is turned into our error."""
    with pytest.raises(IntegrityError):
        load_model(altered("lightgbm", blob=xgboost_ubjson))


def test_another_prediction_of_the_same_trees_is_noticed(altered, bundles):
    """A changed leaf is a well-formed file: only the probe sees it."""
    blob = (bundles["lightgbm"] / "estimator__model.blob").read_bytes()
    changed = re.sub(
        rb"leaf_value=.*", lambda line: line[0].replace(b"0.", b"9."), blob
    )
    assert len(changed) == len(blob)
    assert changed != blob
    with pytest.raises(IntegrityError, match="rewards of the probe"):
        load_model(altered("lightgbm", blob=changed))


def test_an_encoder_whose_files_are_gone_is_no_damage(altered):
    """The bundle loads; what is missing is said when it is needed."""
    gone = put("encoder.spec", {"kind": "sentence-transformer", "model": "/no/where"})
    loaded = load_model(altered("linear", manifest=gone))
    with pytest.raises(InvalidInputError, match="/no/where"):
        loaded.check_encoder()


def test_an_encoder_of_ones_own_has_to_be_passed(altered):
    """It is no part of the bundle: the error says what to do."""
    own = put("encoder.spec", {"kind": "own", "type": "Mine"})
    with pytest.raises(EmbrmError, match="pass the encoder"):
        load_model(altered("linear", manifest=own))
