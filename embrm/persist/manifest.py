"""The manifest of a bundle: strict JSON that lists every file with its checksum.

`digest` is the SHA-256 of the canonical JSON of all other keys, so a changed manifest
is noticed, and each file's SHA-256 stands in the manifest, so a changed file is too.
This detects damage, not tampering: who can rewrite a bundle can rewrite its digest.
Pass `expect_digest` to `load_model` to pin the bundle you trust.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from embrm.exceptions import IntegrityError

FORMAT = "embrm-bundle"
RANKING = "embrm-ranking"
"""Format of a ranking of named items, which has neither texts nor an encoder."""

VERSION = 1
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
CARD = "README.md"
MAX_MANIFEST_BYTES = 8 * 2**20
MAX_FILE_BYTES = 4 * 2**30

_TYPES = {
    "format": str,
    "version": int,
    "created": str,
    "libraries": dict,
    "head": dict,
    "head.head": str,
    "head.params": dict,
    "values": dict,
    "values.state": dict,
    "values.blobs": dict,
    "encoder": dict,
    "encoder.spec": dict,
    "encoder.fingerprint": dict,
    "encoder.fingerprint.fields": dict,
    "encoder.fingerprint.dim": int,
    "encoder.fingerprint.dtype": str,
    "training": dict,
    "training.metrics": dict,
    "probe": list,
    "files": dict,
    "digest": str,
}
_FILE_NAME = re.compile(rf"{re.escape(CARD)}|[a-z0-9][a-z0-9_.-]{{0,99}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def write_manifest(values: Mapping[str, Any], kind: str = FORMAT) -> bytes:
    """Serialise a manifest, adding format, version and digest."""
    manifest = {"format": kind, "version": VERSION, **values}
    manifest["digest"] = digest_of(manifest)
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of the canonical JSON of all keys but `digest`."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_manifest(data: bytes, kinds: Sequence[str] = (FORMAT,)) -> dict[str, Any]:
    """Parse and check a manifest.

    Parameters
    ----------
    data : bytes
    kinds : sequence of str, default=(FORMAT,)
        Formats that it may have.

    Raises
    ------
    IntegrityError
        If it is too large, is not strict JSON, lacks a key, comes from a newer
        version, names a file that is not a plain name, or its digest is wrong.
    """
    if len(data) > MAX_MANIFEST_BYTES:
        raise _damaged(
            f"a manifest of at most {MAX_MANIFEST_BYTES} bytes", f"{len(data)} bytes"
        )
    try:
        manifest = json.loads(
            data.decode(), object_pairs_hook=_no_duplicates, parse_constant=_no_constant
        )
        _check_format(manifest, kinds)
        digest = digest_of(manifest)
    except (ValueError, RecursionError) as error:
        raise _damaged("a manifest in strict JSON", str(error)[:80]) from error
    _check_types(manifest)
    _check_files(manifest["files"])
    _check_parts(manifest)
    if manifest["digest"] != digest:
        raise _damaged("a manifest that matches its digest", "another digest")
    return dict(manifest)


def _check_format(manifest: Any, kinds: Sequence[str]) -> None:
    kind = manifest.get("format") if isinstance(manifest, dict) else None
    if kind not in kinds:
        got = repr(kind) if kind in (FORMAT, RANKING) else "something else"
        raise _damaged(f"a manifest with format {' or '.join(map(repr, kinds))}", got)
    version = manifest.get("version")
    if isinstance(version, int) and version > VERSION:
        raise IntegrityError.of(
            expected=f"a bundle of version {VERSION} or older",
            got=f"version {version}",
            fix="upgrade embrm to the version that saved it, or a later one",
        )


def _check_types(manifest: Mapping[str, Any]) -> None:
    for path, kind in _TYPES.items():
        if manifest["format"] == RANKING and path.startswith("encoder"):
            continue
        value: Any = manifest
        for key in path.split("."):
            value = value.get(key)
        if type(value) is not kind:
            raise _damaged(
                f"a manifest whose '{path}' is a {kind.__name__}", type(value).__name__
            )
    if manifest["version"] < 1:
        raise _damaged("a version >= 1", str(manifest["version"])[:20])


def _check_files(files: Mapping[str, Any]) -> None:
    for name, entry in files.items():
        good = (
            _FILE_NAME.fullmatch(name)
            and name != MANIFEST
            and isinstance(entry, dict)
            and isinstance(entry.get("sha256"), str)
            and _SHA256.fullmatch(entry["sha256"])
            and type(entry.get("bytes")) is int
            and 0 <= entry["bytes"] <= MAX_FILE_BYTES
        )
        if not good:
            raise _damaged(
                "files by plain name, each with bytes and sha256",
                f"an entry named {name[:40]!r}",
            )


def _check_parts(manifest: Mapping[str, Any]) -> None:
    """Check that files, blobs, versions and the probe are what their names say."""
    blobs, files = manifest["values"]["blobs"], set(manifest["files"])
    plain = set(files) - {WEIGHTS, CARD}
    if WEIGHTS not in files or set(blobs) != plain:
        raise _damaged(f"{WEIGHTS} and one file for each blob", "other files")
    names = [*blobs.values(), *manifest["libraries"].values()]
    if not all(isinstance(name, str) for name in names):
        raise _damaged("names of blobs and of versions", "something else")
    if not all(type(reward) is float for reward in manifest["probe"]):
        raise _damaged("a probe of finite rewards", "something else")
    # Models of 0.1.0 have none.
    seconds = manifest.get("fit_seconds")
    if not (seconds is None or (type(seconds) is float and 0 <= seconds < math.inf)):
        raise _damaged("seconds of the fit, or none", type(seconds).__name__)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key is duplicate")
    return values


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _damaged(expected: str, got: str) -> IntegrityError:
    return IntegrityError.of(
        expected=expected, got=got, fix="copy the bundle again, or fit again"
    )
