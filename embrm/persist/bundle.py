"""Save and load a RewardModel as a directory: manifest, weights, native model files.

`manifest.json` lists the rest with SHA-256; `weights.safetensors` holds the arrays;
`<name>.blob` hold native model files (LightGBM text, XGBoost UBJSON); `README.md` is
the card. A load checks sizes, strict JSON, schema and every checksum, then what is
inside the native files, since their parsers end the process on bad input, and last
scores the probe.
"""

import contextlib
import hashlib
import os
import platform
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as write_safetensors
from sklearn.utils.validation import check_is_fitted

from embrm import __version__
from embrm.datasets.prompt_sketches import SKETCH_BYTES, PromptSketches
from embrm.embed.base import Encoder, Fingerprint
from embrm.embed.registry import encoder_from_spec, encoder_spec
from embrm.exceptions import IntegrityError, InvalidInputError, invalid_input
from embrm.heads.registry import head_from_spec, head_spec
from embrm.heads.state import HeadState
from embrm.heads.unpaired.item_bradley_terry import ItemBradleyTerry
from embrm.model import RewardModel
from embrm.persist._lightgbm_text import MAGIC as LIGHTGBM
from embrm.persist._lightgbm_text import check_lightgbm_text, damaged
from embrm.persist._xgboost_ubjson import MAGIC as XGBOOST
from embrm.persist._xgboost_ubjson import check_xgboost_ubjson
from embrm.persist.card import write_card
from embrm.persist.files import (
    CARD,
    FORMAT,
    MANIFEST,
    RANKING,
    WEIGHTS,
    check_destination,
    identity,
    parse_manifest,
    read_plain_file,
    remove_leftovers,
    siblings,
    unreadable,
    write_directory,
    write_manifest,
)
from embrm.persist.probe import check_probe, take_probe

_N_PROBED = 16
_TRIES = 50
_LONGEST_GAP = 2.0
_PROMPTS = "training_prompts"
_SKETCHES = "training_sketches"
_COMMON = "training_common_shingles"
_HEAD = "head__"
_LIBRARIES = (
    *("numpy", "scikit-learn", "torch"),
    *("lightgbm", "xgboost", "xgboost-cpu"),
)


def save_model(
    model: RewardModel,
    directory: str | os.PathLike[str],
    *,
    metrics: Mapping[str, Any] | None = None,
) -> Path:
    """Save a fitted reward model.

    Parameters
    ----------
    model : RewardModel
        Fitted. Its head must be one that the registry can rebuild.
    directory : path
        Where to put the bundle; an older bundle there is replaced in one step, any
        other content is left alone and refused.
    metrics : mapping of str to JSON value, optional
        Figures to keep with the model and to show on its card, e.g. from
        cross-validation.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    InvalidInputError
        If the directory holds something that is not a bundle, the head holds
        something that has no safe form or gives rewards that are not finite, or
        `metrics` are not JSON.
    EmbrmError
        If the system refuses to write; an older bundle is still there then.

    Examples
    --------
    >>> import tempfile
    >>> from embrm import RewardModel, load_model, save_model
    >>> rows = [{"prompt": "A fruit?", "chosen": "An apple.", "rejected": "A car."}]
    >>> model = RewardModel(encoder="hashing:64").fit(rows)
    >>> place = save_model(model, tempfile.mkdtemp() + "/model")
    >>> load_model(place).score(rows)
    1.0
    """
    check_is_fitted(model, "head_")
    check_destination(directory)
    state: HeadState = model.head_.get_state()
    blobs = {f"{name.lower()}.blob": name for name in state.blobs}
    for name in state.blobs:
        _check_saveable(name, state.blobs[name])
    values = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": _library_versions(),
        "head": head_spec(model.head_),
        "values": {"state": dict(state.values), "blobs": blobs},
        "encoder": {
            "spec": encoder_spec(model.encoder_),
            "fingerprint": model.fingerprint_.to_json(),
        },
        "training": {**model.training_, "metrics": dict(metrics or {})},
        "fit_seconds": model.fit_seconds_,
        "probe": take_probe(model.head_, model.fingerprint_.dim),
    }
    arrays = {_HEAD + name: np.ascontiguousarray(a) for name, a in state.arrays.items()}
    arrays[_PROMPTS] = model.training_prompts_
    if model.training_sketches_ is not None:
        arrays[_SKETCHES], arrays[_COMMON] = model.training_sketches_
    files = {
        WEIGHTS: write_safetensors(arrays),
        **{file: state.blobs[name] for file, name in blobs.items()},
    }
    write_directory(Path(directory), _with_manifest(values, files))
    return Path(directory)


def read_manifest(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check the manifest of a bundle, without loading the model.

    Raises
    ------
    IntegrityError
        If there is none, or it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from embrm import RewardModel, save_model
    >>> rows = [{"prompt": "A fruit?", "chosen": "An apple.", "rejected": "A car."}]
    >>> model = RewardModel(encoder="hashing:64").fit(rows)
    >>> place = save_model(model, tempfile.mkdtemp() + "/model")
    >>> sorted(read_manifest(place)["files"])
    ['README.md', 'weights.safetensors']
    """
    return _read_manifest(directory, FORMAT)


def load_model(
    directory: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    encoder: str | Encoder | None = None,
    expect_digest: str | None = None,
) -> RewardModel:
    """Load a reward model that `save_model` wrote; rewards are bitwise the same.

    Parameters
    ----------
    directory : path
    cache : path, optional
        Vector cache for the items that will be scored.
    encoder : Encoder or str, optional
        Encoder to use instead of the one the bundle describes; scoring refuses it
        unless its fingerprint is the bundle's.
    expect_digest : str, optional
        The manifest's digest you trust; another one is refused.

    Returns
    -------
    RewardModel

    Raises
    ------
    IntegrityError
        If anything in the bundle is damaged, missing or not as the manifest says, or
        the head does not score the probe as it did when it was saved.
    InvalidInputError
        If the encoder is one of your own, which has to be passed.
    MissingDependencyError
        If the head needs a library that is not installed.
    """
    manifest, files = _read_whole(directory, FORMAT)
    if expect_digest is not None and manifest["digest"] != expect_digest:
        raise IntegrityError.of(
            expected=f"a bundle with digest {expect_digest}",
            got=manifest["digest"],
            fix="get the bundle you trust, or pin this digest if you trust it",
        )
    fingerprint = Fingerprint.from_json(manifest["encoder"]["fingerprint"])
    arrays, head = _load_head(manifest, files)
    check_probe(head, fingerprint.dim, manifest["probe"])
    training = manifest["training"]
    return RewardModel.from_parts(
        encoder=_load_encoder(manifest) if encoder is None else encoder,
        head=head,
        cache=cache,
        fingerprint=fingerprint,
        training_prompts=_checked_prompts(arrays),
        training_sketches=_checked_sketches(arrays),
        training={key: value for key, value in training.items() if key != "metrics"},
        fit_seconds=manifest.get("fit_seconds"),
    )


def save_ranking(board: ItemBradleyTerry, directory: str | os.PathLike[str]) -> Path:
    """Save a fitted leaderboard of named items, as models are saved.

    Parameters
    ----------
    board : ItemBradleyTerry
        Fitted.
    directory : path
        Where to put it; an older one there is replaced in one step, any other content
        is left alone and refused.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    InvalidInputError
        If the directory holds something else.
    """
    state = board.get_state()
    check_destination(directory)
    arrays = {name: np.ascontiguousarray(a) for name, a in state.arrays.items()}
    values = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": _library_versions(),
        "head": {"head": type(board).__name__, "params": board.get_params()},
        "values": {"state": dict(state.values), "blobs": {}},
        "training": {"metrics": {}},
        "probe": _probe_of_ranking(board),
    }
    files = {WEIGHTS: write_safetensors(arrays)}
    write_directory(Path(directory), _with_manifest(values, files, RANKING))
    return Path(directory)


def load_ranking(directory: str | os.PathLike[str]) -> ItemBradleyTerry:
    """Load a leaderboard that `save_ranking` wrote; scores are bitwise the same.

    Raises
    ------
    IntegrityError
        If anything in it is damaged, missing or different from its manifest.
    """
    manifest, files = _read_whole(directory, RANKING)
    try:
        state = HeadState(
            parse_safetensors(files[WEIGHTS]), manifest["values"]["state"]
        )
        board = ItemBradleyTerry(**manifest["head"]["params"]).set_state(state)
        same = _probe_of_ranking(board) == manifest["probe"]
    except IntegrityError:
        raise
    except Exception as error:
        raise _misfit(error) from error
    if not same:
        raise _misfit(ValueError("other scores of the probe than when it was saved"))
    return board


def _probe_of_ranking(board: ItemBradleyTerry) -> list[float]:
    """Say how likely each item beats the next one, and ties with it."""
    ids = np.column_stack([board.items_, np.roll(board.items_, 1)])[:_N_PROBED]
    return [float(chance) for chance in board.predict_proba(ids).ravel()]


def _read_whole(
    directory: str | os.PathLike[str], kind: str
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read manifest and files of one bundle, while another may take its place."""
    path = Path(directory)
    remove_leftovers(path)
    for _ in range(_TRIES):
        before = identity(path)
        try:
            manifest = _read_manifest(path, kind)
            return manifest, _read_files(path, manifest)
        except IntegrityError:
            if identity(path) == before:
                raise
    raise unreadable(MANIFEST, f"another one at each of {_TRIES} tries")


def _read_manifest(directory: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    path = Path(directory) / MANIFEST
    until = time.monotonic() + _LONGEST_GAP
    while not path.is_file() and _is_replaced(path.parent):
        if time.monotonic() > until:
            break
        time.sleep(0.01)
    if not path.is_file():
        raise IntegrityError.of(
            expected=f"a bundle: a directory that holds {MANIFEST}",
            got=f"no such file in {str(directory)!r}",
            fix="pass the directory that `embrm fit --out` or save_model wrote",
        )
    return parse_manifest(read_plain_file(path), (kind,))


def _is_replaced(directory: Path) -> bool:
    """Say whether another process has put the bundle aside to replace it."""
    try:
        return any(path.suffix == ".old" for path in siblings(directory))
    except OSError:
        return False


def _read_files(
    directory: str | os.PathLike[str], manifest: Mapping[str, Any]
) -> dict[str, bytes]:
    return {
        name: _read_checked_file(Path(directory) / name, entry)
        for name, entry in manifest["files"].items()
    }


def _with_manifest(
    values: Mapping[str, Any], files: Mapping[str, bytes], kind: str = FORMAT
) -> dict[str, bytes]:
    """Add the manifest to the files, and to those of a model its card."""
    try:
        if kind == FORMAT:
            files = {**files, CARD: write_card(values).encode()}
        listed = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        }
        return {**files, MANIFEST: write_manifest({**values, "files": listed}, kind)}
    except (TypeError, ValueError, UnicodeEncodeError) as error:
        raise invalid_input(
            expected="metrics that are JSON: numbers that are finite, texts, lists",
            got=str(error)[:80],
            fix="write NaN as None, and arrays as lists",
        ) from error


def _check_saveable(name: str, blob: bytes) -> None:
    try:
        check_native(blob)
    except IntegrityError as error:
        raise invalid_input(
            expected="boosted trees with numerical splits, constant leaves and "
            "one output, which can be checked before they are loaded",
            got=f"others in {name!r}",
            fix="fit without linear_tree, categories or gblinear, or keep the "
            "fitted head in memory",
        ) from error


def _load_head(
    manifest: Mapping[str, Any], files: Mapping[str, bytes]
) -> tuple[dict[str, Any], Any]:
    """Build the fitted head; any mismatch is an `IntegrityError`."""
    names = manifest["values"]["blobs"]
    for file in names:
        check_native(files[file])
    try:
        arrays = parse_safetensors(files[WEIGHTS])
        state = HeadState(
            {
                n.removeprefix(_HEAD): a
                for n, a in arrays.items()
                if n not in (_PROMPTS, _SKETCHES, _COMMON)
            },
            manifest["values"]["state"],
            {name: files[file] for file, name in names.items()},
        )
        return arrays, head_from_spec(manifest["head"]).set_state(state)
    except (ImportError, IntegrityError):
        raise
    except Exception as error:
        raise _misfit(error) from error


def _load_encoder(manifest: Mapping[str, Any]) -> Encoder:
    spec = manifest["encoder"]["spec"]
    try:
        return encoder_from_spec(spec)
    except InvalidInputError as error:
        if spec.get("kind") == "own":
            raise
        raise _misfit(error) from error


def _checked_prompts(arrays: Mapping[str, Any]) -> Any:
    prompts = arrays.get(_PROMPTS)
    if prompts is None or prompts.dtype != np.uint64 or prompts.ndim != 1:
        raise _misfit(TypeError("training prompts that are no list of uint64"))
    return prompts


def _checked_sketches(arrays: Mapping[str, Any]) -> PromptSketches | None:
    """Take the sketches of the prompts, which a bundle need not have."""
    values, common = arrays.get(_SKETCHES), arrays.get(_COMMON)
    if values is None and common is None:
        return None
    if not _are_sketches(values, common):
        raise _misfit(TypeError("sketches of prompts that are none"))
    return PromptSketches(np.asarray(values), np.sort(np.asarray(common)))


def _are_sketches(values: Any, common: Any) -> bool:
    return (
        values is not None
        and common is not None
        and (values.dtype, values.ndim) == (np.uint8, 2)
        and values.shape[1] == SKETCH_BYTES
        and (common.dtype, common.ndim) == (np.uint32, 1)
    )


def _misfit(error: Exception) -> IntegrityError:
    return IntegrityError.of(
        expected="a manifest and weights that fit each other",
        got=f"{type(error).__name__}: {str(error)[:80]}",
        fix="copy the bundle again, or fit again with this version of embrm",
    )


def _library_versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "embrm": __version__}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _read_checked_file(path: Path, entry: Mapping[str, Any]) -> bytes:
    data = read_plain_file(path, entry["bytes"])
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise unreadable(path.name, "another checksum than the manifest states")
    return data


def check_native(blob: bytes) -> None:
    """Check that bytes are a model that its library can parse and walk safely.

    Parameters
    ----------
    blob : bytes
        LightGBM text or XGBoost UBJSON.

    Raises
    ------
    IntegrityError
        If they are neither, or not in the library's format.

    Examples
    --------
    >>> from embrm.exceptions import IntegrityError
    >>> try:
    ...     check_native(b"tree")
    ... except IntegrityError as error:
    ...     print(error)
    expected a native model file with LightGBM text or XGBoost UBJSON; got 4 other bytes. Fix: copy the bundle again, or fit again.
    """  # noqa: E501
    if blob.startswith(LIGHTGBM):
        check_lightgbm_text(blob)
    elif blob.startswith(XGBOOST):
        check_xgboost_ubjson(blob)
    else:
        got = f"{len(blob)} other bytes"
        raise damaged("LightGBM text or XGBoost UBJSON", got)
