"""The sentence-transformers encoder, on the packaged MiniLM."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from embrm.embed import Encoder, SentenceTransformerEncoder
from embrm.embed.sentence import read_layout
from embrm.embed.weights import ModelFiles
from embrm.exceptions import IntegrityError, InvalidInputError

TEXTS = [
    ("Why is the sky blue?", "Because air scatters blue light more than red light."),
    ("Why is the sky blue?", "It is not."),
    ("", "No prompt."),
    ("Name three colours.", "Red, green and blue. \U0001f600\n"),
    (
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "Why?"},
        ],
        "So.",
    ),
    ("[CLS] [SEP]", "[PAD] [MASK]"),
    ("empty", ""),
]
LONG_PROMPT = ("one two three " * 200, "It is the response's end that counts.")
LONG_RESPONSE = ("Why?", "four five six " * 200 + "at last the end")


def with_options(encoder: SentenceTransformerEncoder, **options: Any) -> Any:
    """Make an encoder with other options that shares the loaded model."""
    state = encoder.__getstate__()
    other = SentenceTransformerEncoder(**(state | options))
    vars(other)["_loaded"] = encoder._loaded
    return other


@pytest.fixture(scope="module")
def vectors(minilm) -> np.ndarray:
    """Vectors of `TEXTS`."""
    return minilm.encode(TEXTS)


def test_it_is_an_encoder(minilm):
    """It follows the protocol."""
    assert isinstance(minilm, Encoder)


def test_vectors_equal_those_of_sentence_transformers(minilm, vectors):
    """Truncation aside, pooling and normalisation are the model's own."""
    plain = [
        "Why is the sky blue?\n\nBecause air scatters blue light more than red light.",
        "Why is the sky blue?\n\nIt is not.",
        "No prompt.",
        "Name three colours.\n\nRed, green and blue. \U0001f600\n",
        "User: Hi\n\nAssistant: Yes?\n\nUser: Why?\n\nAssistant: So.",
        "[CLS] [SEP]\n\n[PAD] [MASK]",
        "empty\n\n",
    ]
    expected = minilm._loaded.encode(plain, show_progress_bar=False)
    assert (vectors * expected).sum(axis=1).min() > 0.999999


@pytest.mark.realdata
def test_vectors_equal_the_stored_ones_of_real_texts(minilm, shared_data):
    """The first untruncated texts of the development pool match to float16."""
    frame = pd.read_parquet(shared_data / "pool_dev.parquet")
    texts = list(zip(frame["prompt"], frame["response"], strict=True))
    short = [n for n, text in enumerate(texts) if len("".join(text)) < 300][:16]
    stored = np.lib.format.open_memmap(
        shared_data / "pool_dev_minilm_f16.npy", mode="r"
    )
    computed = minilm.encode([texts[n] for n in short])
    np.testing.assert_allclose(computed, stored[short], atol=1e-4)


@pytest.mark.parametrize("batch_tokens", [1, 40, 100_000])
def test_vectors_do_not_depend_on_batches(minilm, vectors, batch_tokens):
    """One text at a time, a few, or all together."""
    other = with_options(minilm, batch_tokens=batch_tokens)
    np.testing.assert_allclose(other.encode(TEXTS), vectors, atol=1e-5)


def test_vectors_do_not_depend_on_order(minilm, vectors):
    """Reversed texts give reversed vectors."""
    np.testing.assert_allclose(minilm.encode(TEXTS[::-1])[::-1], vectors, atol=1e-5)


def test_the_prompts_beginning_is_cut_and_the_response_kept(minilm):
    """A long prompt equals its own end, one special token at each side."""
    tokenizer = minilm._loaded.tokenizer
    (tokens,) = minilm._tokens([LONG_PROMPT])
    whole = tokenizer("\n\n".join(LONG_PROMPT), add_special_tokens=False, verbose=False)
    ids = [tokenizer.cls_token_id, *whole["input_ids"][-254:], tokenizer.sep_token_id]
    assert tokens.ids.tolist() == ids


def test_different_responses_to_a_long_prompt_have_different_vectors(minilm):
    """Trap: cutting at the end makes chosen and rejected the same text."""
    one, other = minilm.encode([LONG_PROMPT, (LONG_PROMPT[0], "Something else.")])
    assert one @ other < 0.999


def test_truncations_are_counted(minilm):
    """Prompt and response apart."""
    reports: list[Any] = []
    texts = [LONG_PROMPT, LONG_RESPONSE, TEXTS[0]]
    minilm.encode(texts, on_batch=reports.append)
    assert sum(report.n_texts for report in reports) == 3
    assert sum(report.n_truncated for report in reports) == 2
    assert sum(report.n_response_truncated for report in reports) == 1


def test_long_responses_are_refused_on_request(minilm):
    """Before anything is computed, with their number and the limit."""
    strict = with_options(minilm, on_long_response="raise")
    with pytest.raises(InvalidInputError, match="max_tokens=256 tokens; got 1 of 2"):
        strict.encode([TEXTS[0], LONG_RESPONSE])


def test_a_lower_limit_is_obeyed(minilm):
    """Special tokens count."""
    (tokens,) = with_options(minilm, max_tokens=16)._tokens([LONG_PROMPT])
    assert len(tokens) == 16


def test_a_limit_beyond_the_positions_is_capped(minilm):
    """MiniLM has 512 positions."""
    encoder = SentenceTransformerEncoder(max_tokens=100_000)
    assert encoder.fingerprint.fields["max_tokens"] == 512


def test_no_text_has_no_vector(minilm):
    """The shape is right all the same."""
    assert minilm.encode([]).shape == (0, 384)


def test_vectors_are_stored_as_float16_by_default(minilm, vectors):
    """Unit vectors lose nothing that matters."""
    stored = with_options(minilm, store_dtype="float16").encode(TEXTS[:1])
    assert stored.dtype == np.float16
    np.testing.assert_allclose(stored, vectors[:1], atol=2e-4)


@pytest.fixture(scope="module")
def half() -> SentenceTransformerEncoder:
    """MiniLM in bfloat16."""
    return SentenceTransformerEncoder(dtype="bfloat16", store_dtype="float32")


def test_bfloat16_compute_turns_no_vector(half, vectors):
    """The cosine to float32 stays within the digits of bfloat16."""
    computed = half.encode(TEXTS)
    assert (computed * vectors).sum(axis=1).min() > 0.9995


def test_bfloat16_compute_keeps_unit_vectors_at_unit_length(half):
    """Pooling and normalising are in float32 whatever the transformer computes in."""
    lengths = np.linalg.norm(half.encode(TEXTS).astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-6)


@pytest.mark.parametrize("native", ["bfloat16", "float32"])
def test_the_automatic_dtype_is_the_hardwares_own(monkeypatch, native):
    """The fingerprint names the dtype that was computed in, not the word auto."""
    monkeypatch.setattr("embrm.embed.sentence.native_dtype", lambda device: native)
    fields = SentenceTransformerEncoder().fingerprint.fields
    assert fields["compute_dtype"] == native


def test_the_model_is_in_evaluation_mode():
    """Trap: sentence-transformers loads models in training mode."""
    model = SentenceTransformerEncoder()._loaded
    assert not any(part.training for part in model.modules())


def test_nothing_is_loaded_by_the_constructor():
    """A model that does not exist is no error before its first use."""
    assert SentenceTransformerEncoder("./missing").model == "./missing"


def test_the_fingerprint_needs_neither_torch_nor_transformers():
    """A run whose vectors are all in the cache starts in no time."""
    code = (
        "import sys; from embrm.embed import make_encoder; "
        "print(make_encoder('minilm').fingerprint.digest); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == SentenceTransformerEncoder().fingerprint.digest


def test_the_promised_length_is_that_of_the_vectors(minilm, vectors):
    """It is read from the settings before the model is loaded."""
    assert minilm.fingerprint.dim == vectors.shape[1] == 384


def test_the_fingerprint_says_who_it_is(minilm):
    """Everything that decides the numbers is in it."""
    fields = minilm.fingerprint.fields
    expected = {
        "kind": "sentence-transformer",
        "model": "all-MiniLM-L6-v2",
        "pooling": ["mean"],
        "normalised": True,
        "max_tokens": 256,
        "compute_dtype": "float32",
    }
    assert {name: fields[name] for name in expected} == expected


@pytest.mark.parametrize(
    "changed",
    [{"max_tokens": 128}, {"dtype": "bfloat16"}, {"store_dtype": "float32"}],
)
def test_options_that_change_numbers_change_the_fingerprint(changed):
    """Their vectors never share a store."""
    one = SentenceTransformerEncoder(dtype="float32")
    other = SentenceTransformerEncoder(**({"dtype": "float32"} | changed))
    assert one.fingerprint.digest != other.fingerprint.digest


@pytest.mark.parametrize(
    "changed",
    [
        {"batch_tokens": 7},
        {"device": "meta"},
        {"on_long_response": "raise"},
        {"max_tokens": 256},
        {"model": "minilm"},
    ],
)
def test_options_that_change_no_number_keep_the_fingerprint(changed):
    """The cache is used again."""
    one = SentenceTransformerEncoder(dtype="float32")
    other = SentenceTransformerEncoder(**({"dtype": "float32"} | changed))
    assert one.fingerprint.digest == other.fingerprint.digest


@pytest.fixture
def copied(minilm, tmp_path) -> Path:
    """A copy of the model's files in another place."""
    directory = tmp_path / "copy"
    shutil.copytree(minilm.files.directory, directory)
    return directory


def test_a_copy_of_the_model_shares_the_fingerprint(copied):
    """A model is its content, not its path."""
    one = SentenceTransformerEncoder().fingerprint
    assert SentenceTransformerEncoder(str(copied)).fingerprint.digest == one.digest


@pytest.mark.parametrize(
    "name",
    ["tokenizer.json", "1_Pooling/config.json", "config.json", "modules.json"],
)
def test_a_changed_setting_changes_the_fingerprint(copied, name):
    """Trap: another tokenizer or pooling under the same name is another model."""
    path = copied / name
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    changed = SentenceTransformerEncoder(str(copied)).fingerprint.digest
    assert changed != SentenceTransformerEncoder().fingerprint.digest


def test_changed_weights_change_the_fingerprint(copied):
    """A fine-tuned copy is another model."""
    with (copied / "model.safetensors").open("ab") as file:
        file.write(b"x")
    changed = SentenceTransformerEncoder(str(copied)).fingerprint
    assert changed.fields["model"].startswith("bert-")


def test_damaged_weights_do_not_load(copied):
    """A truncated file is an integrity error with a fix."""
    with (copied / "model.safetensors").open("r+b") as file:
        file.truncate(1_000_000)
    with pytest.raises(IntegrityError, match="fetch the model again"):
        SentenceTransformerEncoder(str(copied)).encode(TEXTS[:1])


def test_other_templates_are_refused():
    """Chat templates belong to causal models."""
    with pytest.raises(InvalidInputError, match="template 'plain'"):
        SentenceTransformerEncoder(template="chat")


def test_float16_compute_is_refused():
    """Hidden states overflow it."""
    with pytest.raises(InvalidInputError, match="'float32' or 'bfloat16'"):
        SentenceTransformerEncoder(dtype="float16")


def test_a_models_instruction_is_put_before_every_text(copied, minilm):
    """As sentence-transformers does with a default prompt."""
    path = copied / "config_sentence_transformers.json"
    config = {"prompts": {"q": "query: "}, "default_prompt_name": "q"}
    path.write_text(json.dumps(config))
    encoder = SentenceTransformerEncoder(
        str(copied), dtype="float32", store_dtype="float32"
    )
    expected = encoder._loaded.encode(["a\n\nb"], show_progress_bar=False)
    np.testing.assert_allclose(encoder.encode([("a", "b")]), expected, atol=1e-6)
    with_prefix = minilm.encode([("query: a", "b")])
    np.testing.assert_allclose(with_prefix, expected, atol=1e-6)


def write_layout(
    directory: Path, modules: list[tuple[str, str]], **configs: Any
) -> Any:
    """Write the settings of a sentence-transformers model."""
    entries = [{"type": kind, "path": path} for kind, path in modules]
    (directory / "modules.json").write_text(json.dumps(entries))
    for folder, config in configs.items():
        (directory / folder).mkdir(exist_ok=True)
        (directory / folder / "config.json").write_text(json.dumps(config))
    return read_layout(ModelFiles(directory, source="directory"))


def module(kind: str) -> str:
    """Return the name under which a module is saved."""
    return f"sentence_transformers.models.{kind}"


def test_a_directory_without_modules_is_refused(tmp_path):
    """A plain language model has no pooling of its own."""
    with pytest.raises(InvalidInputError, match="use CausalLMEncoder"):
        read_layout(ModelFiles(tmp_path, source="directory"))


@pytest.mark.parametrize(
    ("modules", "got"),
    [
        ([("os.system", "")], r"os\.system"),
        ([("evil.Transformer", ""), (module("Pooling"), "p")], r"evil\.Transformer"),
        ([(module("Pooling"), "p")], "Pooling"),
        ([(module("Transformer"), "")], "Transformer"),
    ],
)
def test_modules_outside_the_closed_list_are_refused(tmp_path, modules, got):
    """Trap: loading a model imports the code that its files name."""
    with pytest.raises(InvalidInputError, match=f"got {got}"):
        write_layout(tmp_path, modules)


def test_an_activation_from_elsewhere_is_refused(tmp_path):
    """A dense layer names a class that would be imported and called."""
    modules = [
        (module("Transformer"), ""),
        (module("Pooling"), "p"),
        (module("Dense"), "d"),
    ]
    config = {"out_features": 3, "activation_function": "os.abort"}
    with pytest.raises(InvalidInputError, match=r"os\.abort"):
        write_layout(tmp_path, modules, d=config)


def test_the_length_follows_poolings_and_dense_layers(tmp_path):
    """Several poolings are joined; a dense layer has the last word."""
    modules = [(module("Transformer"), ""), (module("Pooling"), "p")]
    pooling = {"embedding_dimension": 8, "pooling_mode": ["cls", "mean"]}
    assert write_layout(tmp_path, modules, p=pooling).dim == 16
    dense = {"out_features": 3, "activation_function": "torch.nn.Tanh"}
    modules.append((module("Dense"), "d"))
    layout = write_layout(tmp_path, modules, p=pooling, d=dense)
    assert (layout.dim, layout.weight_folders) == (3, ["", "d/"])


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode": "cls"}, ["cls"]),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, ["cls"]),
        ({}, ["mean"]),
    ],
)
def test_pooling_is_read_in_old_and_new_spelling(tmp_path, config, pooling):
    """No flag at all is the mean, as in sentence-transformers."""
    modules = [(module("Transformer"), ""), (module("Pooling"), "p")]
    assert write_layout(tmp_path, modules, p=config).pooling == pooling


def test_without_a_limit_of_its_own_a_model_takes_what_it_has_positions_for(tmp_path):
    """RoBERTa's kin have two positions less than their config says."""
    modules = [(module("Transformer"), "t"), (module("Pooling"), "p")]
    config = {"model_type": "roberta", "max_position_embeddings": 514}
    assert write_layout(tmp_path, modules, t=config).max_tokens == 512


def test_what_the_limit_leaves_is_what_is_embedded(minilm):
    """Items with the same tokens left have one code, and one vector."""
    texts = [
        (LONG_PROMPT[0], "yes"),
        (f"more {LONG_PROMPT[0]}", "yes"),
        (LONG_PROMPT[0], "no"),
        ("Why?", "So."),
    ]
    calls = []
    fitted = minilm.fit_texts(texts, after_text=lambda: calls.append(1))
    assert fitted.limit == 256
    assert fitted.is_cut.tolist() == [True, True, True, False]
    assert fitted.n_tokens[:3].tolist() == [256] * 3
    assert fitted.n_tokens[3] < 20
    assert fitted.codes.tolist() == [0, 0, 1, 2]
    assert len(calls) == 4
    same = minilm.encode(texts)
    np.testing.assert_array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])
