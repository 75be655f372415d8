"""Encoders by name and as JSON."""

import json
from typing import Any

import numpy as np
import pytest

from embrm import RewardModel
from embrm.cli import options
from embrm.embed import (
    CausalLMEncoder,
    Fingerprint,
    HashingEncoder,
    OpenAICompatibleEncoder,
    SentenceTransformerEncoder,
    encoder_from_spec,
    encoder_spec,
    make_encoder,
)
from embrm.embed.registry import DEFAULT_ENCODER, causal_name
from embrm.embed.weights import ModelFiles
from embrm.exceptions import InvalidInputError


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("minilm", SentenceTransformerEncoder()),
        ("hashing", HashingEncoder()),
        ("hashing:512", HashingEncoder(512)),
        ("st:owner/name", SentenceTransformerEncoder("owner/name")),
        ("causal:gpt2", CausalLMEncoder("gpt2", on_long_response="truncate")),
        ("owner/name", CausalLMEncoder("owner/name", on_long_response="truncate")),
        (
            "openai:owner/e5@http://host:8000/v1",
            OpenAICompatibleEncoder("owner/e5", "http://host:8000/v1"),
        ),
        (
            "openai:text-embedding-3-small",
            OpenAICompatibleEncoder(
                "text-embedding-3-small", api_key_env="OPENAI_API_KEY"
            ),
        ),
        (
            "sentence-transformers/x",
            SentenceTransformerEncoder("sentence-transformers/x"),
        ),
    ],
)
def test_words_name_encoders(name, encoder):
    """As the command line spells them."""
    assert make_encoder(name) == encoder


def test_smollm2_is_the_default_everywhere():
    """Whatever is installed: in the library, in frames and on the command line."""
    assert make_encoder() == make_encoder("smollm2")
    assert RewardModel().encoder == DEFAULT_ENCODER == options.DEFAULT_ENCODER
    assert make_encoder() == CausalLMEncoder("smollm2", on_long_response="truncate")


def test_minilm_has_a_name():
    """For where speed matters."""
    assert make_encoder("minilm") == SentenceTransformerEncoder("all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    ("name", "model", "layer", "pooling"),
    [
        ("smollm2@15,20", "smollm2", (15, 20), "mean_response"),
        ("smollm2@0.5", "smollm2", 0.5, "mean_response"),
        ("smollm2@published", "smollm2", -1, "last_content"),
        ("smollm2@-2/mean", "smollm2", -2, "mean"),
        ("a/b@20/prompt,mean", "a/b", 20, ("prompt", "mean")),
        ("causal:a/b@0", "a/b", 0, "mean_response"),
        ("causal:odd@name", "odd@name", 2 / 3, "mean_response"),
    ],
)
def test_a_name_says_where_in_a_causal_model_to_look(name, model, layer, pooling):
    """After the last @, if layers follow."""
    encoder = make_encoder(name)
    assert (encoder.model, encoder.layer, encoder.pooling) == (model, layer, pooling)


def test_a_directory_whose_name_looks_like_layers_is_that_directory(tiny_models):
    """What exists comes first."""
    directory = tiny_models["llama"].rename(tiny_models["llama"].parent / "model@2")
    try:
        assert make_encoder(str(directory)).model == str(directory)
        assert make_encoder(f"causal:{directory}").model == str(directory)
        assert make_encoder(f"{directory}@1").layer == 1
    finally:
        directory.rename(tiny_models["llama"])


@pytest.mark.parametrize("name", ["smollm2@15,20", "smollm2@-1/last_content"])
def test_a_causal_encoder_has_a_name_again(name):
    """The name that `embrm layers` recommends."""
    assert causal_name("smollm2", make_encoder(name).columns) == name


def test_a_layer_of_another_kind_of_model_is_refused():
    """Only causal models have layers to choose from."""
    with pytest.raises(InvalidInputError, match="a known encoder"):
        make_encoder("sentence-transformers/some-model@3")


def test_a_share_of_the_depth_is_kept_as_the_layer_that_it_is(tiny_models):
    """So that a saved model says in numbers where it looks."""
    for where, layer in (("", 2), ("@0.4,1.0", [1, -1])):
        encoder = make_encoder(f"causal:{tiny_models['llama']}{where}")
        digest = encoder.fingerprint.digest
        spec = encoder_spec(encoder)
        assert spec["layer"] == layer
        assert encoder_from_spec(spec).fingerprint.digest == digest


def test_a_directory_with_modules_is_sentence_transformers(tmp_path):
    """The layout says what it is."""
    (tmp_path / "modules.json").write_text("[]")
    assert make_encoder(str(tmp_path)) == SentenceTransformerEncoder(str(tmp_path))


def test_a_directory_without_modules_is_causal(tmp_path):
    """Everything else is taken for a language model."""
    made = make_encoder(str(tmp_path), on_long_response="raise")
    assert made == CausalLMEncoder(str(tmp_path))


def test_options_go_to_the_constructor():
    """They overrule the word."""
    assert make_encoder("hashing:64", seed=3) == HashingEncoder(64, seed=3)


@pytest.mark.parametrize(
    "name", ["minlm", "hashing:big", "st:", "", "./missing/model", "/no/model", "gpt2"]
)
def test_unknown_words_are_refused_with_the_known_ones(name):
    """The message lists them."""
    with pytest.raises(InvalidInputError, match="minilm, hashing, hashing:DIM"):
        make_encoder(name)


@pytest.mark.parametrize(
    ("options", "got"), [({"dims": 3}, "unknown dims"), ({"dim": "3"}, "not supported")]
)
def test_wrong_options_are_refused_with_the_known_ones(options, got):
    """Unknown names and wrong types alike."""
    with pytest.raises(InvalidInputError, match=f"dim, seed, ngrams.*{got}"):
        make_encoder("hashing", **options)


@pytest.mark.parametrize(
    "encoder",
    [
        HashingEncoder(64, ngrams=(1, 2), scaling="sqrt"),
        SentenceTransformerEncoder(
            max_tokens=128, dtype="float32", on_long_response="raise"
        ),
        CausalLMEncoder("owner/name", revision="main", layer=-2, pooling="mean"),
    ],
)
def test_an_encoder_survives_json(encoder):
    """What is written is made again, equal in every parameter."""
    spec = json.loads(json.dumps(encoder_spec(encoder)))
    assert encoder_from_spec(spec) == encoder


def test_the_device_stays_on_its_machine():
    """A model fitted on a GPU is loaded where there is none."""
    assert "device" not in encoder_spec(SentenceTransformerEncoder(device="cuda"))


def test_a_resolved_revision_is_pinned(tmp_path):
    """A branch may move; what was embedded with was a commit."""
    encoder = CausalLMEncoder("owner/name", layer=20, revision="main")
    vars(encoder)["files"] = ModelFiles(tmp_path, source="hub", revision="c" * 40)
    assert encoder_spec(encoder)["revision"] == "c" * 40


@pytest.mark.parametrize(
    "name",
    [
        "openai:e5@localhost:8000",
        "openai:e5@",
        "openai:@http://host/v1",
        "openai:e5@http://me:secret@host/v1",
    ],
)
def test_a_mistyped_address_is_refused(name):
    """Texts must not go to OpenAI by mistake, nor a password into a message."""
    with pytest.raises(InvalidInputError, match=r"url like|model, a name") as caught:
        make_encoder(name)
    assert "secret" not in str(caught.value)


def test_a_file_does_not_choose_where_texts_are_sent():
    """An encoder that asks a server is passed again, with its address and key."""
    spec = encoder_spec(make_encoder("openai:e5@http://host/v1"))
    assert spec == {"kind": "own", "type": "OpenAICompatibleEncoder"}
    with pytest.raises(InvalidInputError, match="kind hashing"):
        encoder_from_spec({"kind": "openai-compatible", "model": "e5"})


@pytest.mark.parametrize("native", ["bfloat16", "float32"])
def test_the_dtype_that_the_hardware_chose_is_pinned(monkeypatch, native):
    """A saved model's vectors stay what they were on a machine of another kind."""
    monkeypatch.setattr("embrm.embed.sentence.native_dtype", lambda device: native)
    assert encoder_spec(SentenceTransformerEncoder())["dtype"] == native


class Lengths:
    """An encoder of another package."""

    fingerprint = Fingerprint({"kind": "lengths"}, dim=1, dtype="float32")

    def encode(self, texts: Any, *, on_batch: Any = None) -> Any:
        return np.array([[len(response)] for _, response in texts], dtype=np.float32)


def test_an_encoder_of_ones_own_is_named_by_its_type():
    """A reward model with it can be saved."""
    assert encoder_spec(Lengths()) == {"kind": "own", "type": "Lengths"}


def test_an_encoder_of_ones_own_is_passed_again():
    """Nothing is imported because a file names it."""
    with pytest.raises(InvalidInputError, match=r"'Lengths'.*pass the encoder"):
        encoder_from_spec({"kind": "own", "type": "Lengths"})


@pytest.mark.parametrize("kind", [None, "pickle", 3, ["hashing"]])
def test_unknown_kinds_are_refused(kind):
    """The list of kinds is closed."""
    with pytest.raises(InvalidInputError, match="kind hashing, sentence-transformer"):
        encoder_from_spec({"kind": kind})


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "causal-lm"},
        {"kind": "hashing", "dim": None},
        {"kind": "hashing", "ngrams": ["a"]},
        {"kind": "causal-lm", "model": 3},
        {"kind": "sentence-transformer", "model": ["a"]},
    ],
)
def test_damaged_descriptions_are_input_errors(spec):
    """A bundle's JSON is not trusted."""
    with pytest.raises(InvalidInputError, match="options of the"):
        encoder_from_spec(spec)


@pytest.mark.parametrize(
    ("where", "digest"),
    [
        ({"layer": -1, "pooling": "last_content"}, "b32c28064bc6068013f8c947fba7176c"),
        ({"layer": 1, "pooling": "mean_response"}, "5502fea03455877f08534f601bab2005"),
    ],
)
def test_encoders_of_models_stored_by_0_1_0_are_who_they_were(tmp_path, where, digest):
    """Their caches are found again, whatever the defaults are now."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    config = '{"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 3}'
    (tmp_path / "config.json").write_text(config)
    stored = {
        "kind": "causal-lm",
        "model": str(tmp_path),
        "template": "plain",
        "max_tokens": 2048,
        "dtype": "bfloat16",
        "store_dtype": "float16",
        "sharing": "auto",
        "batch_tokens": 8192,
        "revision": None,
        "on_long_response": "raise",
        "padding_side": "right",
    }
    fingerprint = encoder_from_spec(stored | where).fingerprint
    assert fingerprint.digest == digest
    words = {-1: "last layer, last token of the response"}
    words |= {1: "layer 1, mean over the response"}
    assert words[where["layer"]] in fingerprint.describe()
