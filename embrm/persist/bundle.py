"""Save and load a RewardModel as a directory: manifest, weights, native model files.

`manifest.json` lists the rest with SHA-256; `weights.safetensors` holds the arrays;
`<name>.blob` hold native model files (LightGBM text, XGBoost UBJSON). A load checks
sizes, strict JSON, schema and every checksum before it parses anything else: the
native parsers of boosted trees abort the process on damaged input.
"""

import contextlib
import hashlib
import os
import platform
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as write_safetensors

from embrm.embed.base import Fingerprint
from embrm.embed.registry import encoder_from_spec, encoder_spec
from embrm.exceptions import EmbrmError, IntegrityError, InvalidInputError, three_parts
from embrm.heads.registry import head_from_spec, head_spec
from embrm.heads.state import HeadState
from embrm.model import RewardModel
from embrm.persist.manifest import parse_manifest, write_manifest

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
_PROMPTS = "training_prompts"
_HEAD = "head__"
_LIBRARIES = ("embrm", "numpy", "scikit-learn", "torch", "lightgbm", "xgboost")


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
        Figures to keep with the model, e.g. from cross-validation.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    InvalidInputError
        If the directory holds something that is not a bundle, or the head holds
        something that has no safe form.
    """
    target = Path(directory)
    _refuse_foreign_directory(target)
    state: HeadState = model.head_.get_state()
    arrays = {_HEAD + name: np.ascontiguousarray(a) for name, a in state.arrays.items()}
    arrays[_PROMPTS] = model.training_prompts_
    files = {WEIGHTS: write_safetensors(arrays)}
    files |= {f"{name.lower()}.blob": blob for name, blob in state.blobs.items()}
    manifest = write_manifest(
        {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "libraries": _library_versions(),
            "head": head_spec(model.head_),
            "values": {
                "state": dict(state.values),
                "blobs": {f"{name.lower()}.blob": name for name in state.blobs},
            },
            "encoder": {
                "spec": encoder_spec(model.encoder_),
                "fingerprint": model.fingerprint_.to_json(),
            },
            "training": {**model.training_, "metrics": dict(metrics or {})},
            "files": {
                name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                for name, data in files.items()
            },
        }
    )
    _write_directory(target, {**files, MANIFEST: manifest})
    return target


def read_manifest(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check the manifest of a bundle, without loading the model."""
    path = Path(directory) / MANIFEST
    if not path.is_file():
        raise IntegrityError(
            three_parts(
                expected=f"a bundle: a directory that holds {MANIFEST}",
                got=f"no such file in {Path(directory).name!r}",
                cure="pass the directory that `embrm fit --out` or save_model wrote",
            )
        )
    return parse_manifest(_read_plain_file(path))


def load_model(
    directory: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    encoder: Any = None,
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
        If anything in the bundle is damaged, missing or not as the manifest says.
    """
    manifest = read_manifest(directory)
    if expect_digest is not None and manifest["digest"] != expect_digest:
        raise IntegrityError(
            three_parts(
                expected=f"a bundle with digest {expect_digest}",
                got=manifest["digest"],
                cure="get the bundle you trust, or pin this digest if you trust it",
            )
        )
    files = {
        name: _read_checked_file(Path(directory) / name, entry)
        for name, entry in manifest["files"].items()
    }
    try:
        return _rebuild(manifest, files, cache, encoder)
    except EmbrmError:
        raise
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise IntegrityError(
            three_parts(
                expected="a manifest and weights that fit each other",
                got=f"{type(error).__name__}: {str(error)[:80]}",
                cure="fit the model again with this version of embrm",
            )
        ) from error


def _rebuild(
    manifest: dict[str, Any], files: dict[str, bytes], cache: Any, encoder: Any
) -> RewardModel:
    arrays = parse_safetensors(files[WEIGHTS])
    blobs = {name: files[file] for file, name in manifest["values"]["blobs"].items()}
    state = HeadState(
        {n.removeprefix(_HEAD): a for n, a in arrays.items() if n.startswith(_HEAD)},
        manifest["values"]["state"],
        blobs,
    )
    head = head_from_spec(manifest["head"]).set_state(state)
    if encoder is None:
        encoder = encoder_from_spec(manifest["encoder"]["spec"])
    training = manifest["training"]
    return RewardModel.from_parts(
        encoder=encoder,
        head=head,
        cache=cache,
        fingerprint=Fingerprint.from_json(manifest["encoder"]["fingerprint"]),
        training_prompts=arrays[_PROMPTS],
        training={key: value for key, value in training.items() if key != "metrics"},
    )


def _library_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _refuse_foreign_directory(target: Path) -> None:
    is_bundle = (target / MANIFEST).is_file()
    empty = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    if not (is_bundle or empty):
        raise InvalidInputError(
            three_parts(
                expected="a new or empty directory, or an older bundle to replace",
                got=f"{target.name!r} with other content",
                cure="choose another directory",
            )
        )


def _write_directory(target: Path, files: Mapping[str, bytes]) -> None:
    """Write all files into a temporary sibling, then put it in the target's place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    old = fresh.with_suffix(".old")
    fresh.mkdir()
    try:
        for name, data in files.items():
            with (fresh / name).open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _read_plain_file(path: Path, n_bytes: int | None = None) -> bytes:
    """Read a file that is not a link, of the size it should have."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise _unreadable(path.name, str(error.strerror)) from error
    with os.fdopen(handle, "rb") as stream:
        size = os.fstat(handle).st_size
        limit = 8 * 2**20 if n_bytes is None else n_bytes
        if size > limit or (n_bytes is not None and size != n_bytes):
            raise _unreadable(path.name, f"{size} bytes instead of {limit}")
        return stream.read(limit + 1)


def _read_checked_file(path: Path, entry: Mapping[str, Any]) -> bytes:
    data = _read_plain_file(path, entry["bytes"])
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise _unreadable(path.name, "another checksum than the manifest states")
    return data


def _unreadable(name: str, got: str) -> IntegrityError:
    return IntegrityError(
        three_parts(
            expected=f"the file {name!r} as the manifest describes it",
            got=got,
            cure="copy the bundle again, or fit again",
        )
    )
