"""Language models in GGUF files: converted once to safetensors, then loaded as others.

GGUF is the format of llama.cpp: weights, config, tokenizer and chat template in one
file, the weights mostly in four or eight bits. They are converted to bfloat16 in a
directory of the user's, under the name and the checksum of the file, so that every
later run loads them in a second. What the vectors are kept under is the checksum of
the GGUF file itself: who converts again, on any machine, gets the same fingerprint.
"""

import contextlib
import errno
import io
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embrm._optional import import_optional
from embrm.embed.cache.durable import storage_errors, sync_directory
from embrm.embed.progress import progress_bar
from embrm.embed.weights import (
    ModelFiles,
    check_no_weights_missing,
    file_sha256,
    loading,
    transformers_major,
)
from embrm.exceptions import (
    EmbrmError,
    EmbrmWarning,
    IntegrityError,
    InvalidInputError,
    format_error,
    invalid_input,
    warn,
)

MODELS_VARIABLE = "EMBRM_MODELS"
"""Environment variable that names another directory for converted models."""

_MAGIC = b"GGUF"
_MANIFEST = "embrm.json"
# Counts up when the conversion changes, so that old ones are made again.
_RECIPE = 1
_BYTES_PER_WEIGHT = 2
_OTHER_BYTES = 64 * 2**20


def models_directory() -> Path:
    """Return where converted models are kept: `EMBRM_MODELS`, or the user's cache.

    Examples
    --------
    >>> models_directory().name
    'models'
    """
    if given := os.environ.get(MODELS_VARIABLE):
        return Path(given).expanduser().absolute()
    platformdirs = import_optional("platformdirs", extra="gguf")
    return Path(platformdirs.user_cache_dir("embrm", appauthor=False)) / "models"


def converted_gguf(path: Path) -> ModelFiles:
    """Return a GGUF model as safetensors, converted now if it has not been before.

    Parameters
    ----------
    path : Path
        The GGUF file.

    Returns
    -------
    ModelFiles
        Its checksums are those of the GGUF file.

    Raises
    ------
    InvalidInputError
        If it is no GGUF file, or holds a model that transformers cannot load from one.
    IntegrityError
        If the file is damaged.
    EmbrmError
        If there is no room for the converted weights, or the disk refuses.
    MissingDependencyError
        If `gguf`, `accelerate` or `transformers` is not installed.

    Warns
    -----
    EmbrmWarning
        If a conversion that was made before is damaged; it is made again.

    Notes
    -----
    A conversion is written beside its place and renamed: there is a whole one or none.
    Processes that want the same one wait for the first, under a lock that the system
    takes back from a process that dies.
    """
    _check_magic(path)
    sha256 = file_sha256(path)
    home = models_directory()
    target = home / f"{path.stem}-{sha256[:12]}-{_RECIPE}.{transformers_major()}"
    files = ModelFiles(target, source="gguf", origin={"gguf": sha256})
    if _is_whole(target, sha256):
        return files
    with storage_errors("keep a converted model", home), _locked(target):
        if not _is_whole(target, sha256):
            _convert(path, sha256, target)
    return files


def is_converted(path: Path) -> bool:
    """Say whether a GGUF file's conversion is there, without making it."""
    sha256 = file_sha256(path)
    name = f"{path.stem}-{sha256[:12]}-{_RECIPE}.{transformers_major()}"
    return _is_whole(models_directory() / name, sha256, may_warn=False)


def _check_magic(path: Path) -> None:
    with storage_errors("read a model", path), path.open("rb") as file:
        magic = file.read(len(_MAGIC))
    if magic != _MAGIC:
        raise invalid_input(
            expected="a GGUF file, which begins with the letters GGUF",
            got=f"{path.name}, which does not",
            fix="pass a model in GGUF format, or a directory with safetensors",
        )


def _is_whole(target: Path, sha256: str, *, may_warn: bool = True) -> bool:
    """Say whether a conversion is there and unchanged; warn where it is damaged."""
    if not target.is_dir():
        return False
    try:
        manifest = json.loads((target / _MANIFEST).read_text(encoding="utf-8"))
        damaged = [
            name
            for name, expected in manifest["files"].items()
            if file_sha256(target / name) != expected
        ]
        if manifest["gguf_sha256"] == sha256 and not damaged:
            return True
        reason = f"{', '.join(damaged) or 'its manifest'} changed"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__} while it was checked"
    if may_warn:
        warn(
            format_error(
                expected=f"the converted model {target.name} as it was written",
                got=reason,
                fix="nothing to do: it is converted again",
            ),
            EmbrmWarning,
        )
    return False


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the lock of a conversion; clear away what a killed process left."""
    filelock = import_optional("filelock", extra="gguf")
    target.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(target.with_name(f".{target.name}.lock")):
        for left in target.parent.glob(f".{target.name}.*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _convert(path: Path, sha256: str, target: Path) -> None:
    """Convert a file into a directory that is there whole or not at all."""
    # Also what transformers needs by name, before anything is written.
    gguf, _ = (import_optional(name, extra="gguf") for name in ("gguf", "accelerate"))
    n_weights = _check_contents(gguf, path)
    _check_room(target.parent, _BYTES_PER_WEIGHT * n_weights + _OTHER_BYTES)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    temporary.mkdir()
    try:
        _write_converted(path, temporary)
        manifest = {
            "gguf": path.name,
            "gguf_sha256": sha256,
            "files": {p.name: file_sha256(p) for p in sorted(temporary.iterdir())},
        }
        text = json.dumps(manifest, indent=1) + "\n"
        (temporary / _MANIFEST).write_text(text, encoding="utf-8")
        for written in temporary.iterdir():
            written.chmod(0o644)
            with written.open("rb+") as file:
                os.fsync(file.fileno())
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
        sync_directory(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _check_contents(gguf: Any, path: Path) -> int:
    """Read a file's header, and return how many weights it holds."""
    supported = import_optional(
        "transformers.modeling_gguf_pytorch_utils", extra="embed"
    ).GGUF_SUPPORTED_ARCHITECTURES
    try:
        reader = gguf.GGUFReader(path)
        architecture = str(reader.fields["general.architecture"].contents())
        n_weights = sum(int(tensor.n_elements) for tensor in reader.tensors)
    # The reader has no errors of its own: it fails where the bytes make no sense.
    except Exception as error:
        raise IntegrityError.of(
            expected=f"a whole GGUF file in {path.name}",
            got=f"{type(error).__name__} while its header was read",
            fix="fetch the file again",
        ) from error
    if architecture not in supported:
        raise invalid_input(
            expected="an architecture that transformers loads from GGUF: "
            + ", ".join(sorted(supported)),
            got=repr(architecture[:40]),
            fix="use the model's safetensors, or update transformers",
        )
    return n_weights


def _check_room(directory: Path, n_bytes: int) -> None:
    """Refuse before anything is written where the disk has no room."""
    free = shutil.disk_usage(directory).free
    if free < n_bytes:
        raise EmbrmError.of(
            expected=f"{n_bytes / 1e6:,.0f} MB free in {directory}",
            got=f"{free / 1e6:,.0f} MB",
            fix=f"free some, or name another directory in {MODELS_VARIABLE}",
        )


def _write_converted(path: Path, directory: Path) -> None:
    """Write weights, config, tokenizer and chat template as transformers has them."""
    torch = import_optional("torch", extra="embed")
    transformers = import_optional("transformers", extra="embed")
    source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    local = {"local_files_only": True, "trust_remote_code": False}
    with (
        progress_bar(f"Converting {path.stem} (once)", total=3) as advance,
        # Bars of its conversion, which no setting of transformers silences.
        contextlib.redirect_stderr(io.StringIO()),
        _conversion_errors(path, directory.parent),
        loading(ModelFiles(path.parent, source="gguf")),
    ):
        model, report = transformers.AutoModel.from_pretrained(
            **source,
            **local,
            dtype=torch.bfloat16,
            quantization_config=transformers.GgufConfig(dequantize=True),
            output_loading_info=True,
        )
        check_no_weights_missing(report)
        advance()
        tokenizer = transformers.AutoTokenizer.from_pretrained(**source, **local)
        advance()
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        advance()


@contextlib.contextmanager
def _conversion_errors(path: Path, home: Path) -> Iterator[None]:
    """Tell a full disk from a model that cannot be loaded, which `loading` raises."""
    try:
        yield
    except (InvalidInputError, IntegrityError) as error:
        cause = error.__cause__
        is_full = isinstance(cause, OSError) and cause.errno in _FULL
        # safetensors has the system's words alone.
        if not is_full and "No space left" not in str(cause):
            raise
        raise EmbrmError.of(
            expected=f"room for the converted model in {home}",
            got="a disk that became full; nothing of it was kept",
            fix=f"free some space, or name another directory in {MODELS_VARIABLE}",
        ) from error
    # Tokenizers raise plain exceptions; damaged files make the conversion raise any.
    except Exception as error:
        raise invalid_input(
            expected=f"a model in {path.name} that can be converted",
            got=f"{type(error).__name__}: {str(error)[:120]}",
            fix="fetch the file again, update transformers, or use the model's "
            "safetensors",
        ) from error


_FULL = (errno.ENOSPC, errno.EDQUOT)
