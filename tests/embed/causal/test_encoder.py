"""The causal encoder on tiny random models, against a plain forward pass.

The reference is batch size 1, no padding, float32, the model called plainly and its
hidden states indexed by hand.
"""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sklearn.base import clone
from transformers.utils import logging as transformers_logging

from embrm.embed import CausalLMEncoder, Encoder
from embrm.exceptions import IntegrityError, InvalidInputError

TEXTS = [
    ("Why is the sky blue?", "Because air scatters blue light more than red light."),
    ("Why is the sky blue?", "No."),
    ("Name three colours.", "Red, green and blue are three colours of light.\n\n"),
    ("", "Hello! How can I help you today?"),
    ("Hello there.", "\u5929\u7a7a \U0001f600"),
    ("Why?", ""),
]
FLOAT32 = {"dtype": "float32", "store_dtype": "float32"}
RECIPE = {"layer": -1, "pooling": "last_content"}
MODELS = ["llama", "gpt2", "gemma3"]
POOLINGS = ["last_content", "mean_response", "mean", "prompt"]


@pytest.fixture(scope="module")
def encoder_of(tiny_models: dict[str, Path]) -> Callable[..., CausalLMEncoder]:
    """Make an encoder of a tiny model; those of one model and dtype share weights."""
    made: dict[tuple[str, str], CausalLMEncoder] = {}

    def make(name: str, **options: Any) -> CausalLMEncoder:
        usual = FLOAT32 | {"template": "plain"} | RECIPE
        options = usual | options
        key = (name, options["dtype"])
        if key not in made:
            # What one test asks for besides is not for the next.
            usual["dtype"] = options["dtype"]
            made[key] = CausalLMEncoder(str(tiny_models[name]), **usual)
        return made[key].with_options(**options)

    return make


class Reference:
    """A model called plainly on one text."""

    def __init__(self, directory: Path) -> None:
        transformers_logging.disable_progress_bar()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(directory))
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            str(directory), dtype=torch.float32
        ).eval()
        transformers_logging.enable_progress_bar()

    def ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def hidden(self, ids: list[int], layer: int = -1) -> np.ndarray:
        with torch.no_grad():
            output = self.model(torch.tensor([ids]), output_hidden_states=True)
        return output.hidden_states[layer][0].numpy()

    def vector(self, prompt: str, response: str, pooling: str, layer: int = -1) -> Any:
        head = f"{prompt}\n\n" if prompt else ""
        ids = self.ids(head + response)
        n_response, n_content = (
            len(self.ids(response)),
            len(self.ids(response.rstrip())),
        )
        first = len(ids) - n_response
        assert ids[first:] == self.ids(response), "prompt and response merge"
        hidden = self.hidden([self.tokenizer.bos_token_id, *ids], layer)[1:]
        if pooling == "mean":
            return hidden.mean(axis=0)
        if pooling == "prompt":
            return self.hidden([self.tokenizer.bos_token_id, *ids], layer)[first]
        if pooling == "mean_response" and response:
            return hidden[first:].mean(axis=0)
        return hidden[first + n_content - 1]


@pytest.fixture(scope="module")
def references(tiny_models: dict[str, Path]) -> dict[str, Reference]:
    """Plain models by name."""
    return {name: Reference(directory) for name, directory in tiny_models.items()}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", MODELS)
def test_vectors_equal_the_reference(encoder_of, references, name, pooling, side):
    """Traps: [:, -1] on a pad, absolute positions under left padding."""
    encoder = encoder_of(name, pooling=pooling, padding_side=side, sharing="off")
    expected = [references[name].vector(p, r, pooling) for p, r in TEXTS]
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 2, -2])
@pytest.mark.parametrize("name", MODELS)
def test_inner_layers_equal_the_reference(encoder_of, references, name, layer):
    """They index hidden_states, before the final norm."""
    vectors = encoder_of(name, layer=layer).encode(TEXTS)
    expected = [references[name].vector(p, r, "last_content", layer) for p, r in TEXTS]
    # States before the norm are tens in size: the error is measured against that.
    np.testing.assert_allclose(vectors, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("batch_tokens", [1, 30, 100_000])
@pytest.mark.parametrize("name", MODELS)
def test_vectors_do_not_depend_on_batches(encoder_of, name, batch_tokens, side):
    """One text at a time, a few, or all together."""
    options = {"batch_tokens": batch_tokens, "padding_side": side, "sharing": "off"}
    vectors = encoder_of(name, **options).encode(TEXTS)
    np.testing.assert_allclose(vectors, encoder_of(name).encode(TEXTS), atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_vectors_do_not_depend_on_order(encoder_of, name):
    """Reversed texts give reversed vectors."""
    encoder = encoder_of(name)
    np.testing.assert_allclose(
        encoder.encode(TEXTS[::-1])[::-1], encoder.encode(TEXTS), atol=1e-5
    )


def test_bfloat16_is_close_to_float32(encoder_of):
    """Within what eight bits of mantissa allow."""
    exact = encoder_of("llama").encode(TEXTS)
    low_precision = encoder_of("llama", dtype="bfloat16").encode(TEXTS)
    cosine = (exact * low_precision).sum(1) / np.sqrt(
        (exact**2).sum(1) * (low_precision**2).sum(1)
    )
    assert cosine.min() > 0.99


def test_it_is_an_encoder(encoder_of):
    """It follows the protocol."""
    assert isinstance(encoder_of("llama"), Encoder)


@pytest.mark.parametrize("template", ["plain", "chat"])
def test_every_text_has_exactly_one_bos(encoder_of, template):
    """Trap: the template writes BOS and the tokenizer adds another."""
    encoder = encoder_of("llama", template=template)
    for tokens in encoder._tokens(TEXTS):
        assert np.flatnonzero(tokens.ids == 1).tolist() == [0]


def copy_model(directory: Path, target: Path, **tokenizer_config: Any) -> Path:
    """Copy a model and change entries of its tokenizer_config.json."""
    shutil.copytree(directory, target)
    path = target / "tokenizer_config.json"
    config = json.loads(path.read_text()) | tokenizer_config
    path.write_text(json.dumps(config))
    return target


def test_a_template_that_writes_no_bos_gets_the_tokenizers(tiny_models, tmp_path):
    """Trap: add_special_tokens=False on a template without BOS loses it."""
    directory = copy_model(tiny_models["llama"], tmp_path / "m")
    template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    (directory / "chat_template.jinja").write_text(template)
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<bos>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [1], "tokens": ["<bos>"]}},
    }
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tokens,) = CausalLMEncoder(str(directory), **FLOAT32)._tokens([("a", "b")])
    assert np.flatnonzero(tokens.ids == 1).tolist() == [0]


def test_a_template_and_a_tokenizer_without_bos_stay_without(tiny_models, tmp_path):
    """A model that was trained without BOS in its chats does not get one."""
    directory = copy_model(tiny_models["llama"], tmp_path / "m")
    template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    (directory / "chat_template.jinja").write_text(template)
    (tokens,) = CausalLMEncoder(str(directory), **FLOAT32)._tokens([("a", "b")])
    assert 1 not in tokens.ids


def test_a_tokenizer_without_bos_gets_none(tiny_models, tmp_path):
    """There is nothing to put in front."""
    directory = copy_model(tiny_models["gpt2"], tmp_path / "m", bos_token=None)
    encoder = CausalLMEncoder(str(directory), template="plain", **FLOAT32)
    (tokens,) = encoder._tokens([("a", "b")])
    assert tokens.n_prefix == 0


def test_chat_vectors_are_those_of_the_responses_last_token(encoder_of, references):
    """Trap: the last token of a chat template is end-of-turn or a newline."""
    reference = references["llama"]
    text = "<bos><|user|>\nWhy is it?<|end|>\n<|assistant|>\nIt is not.<|end|>\n"
    ids = reference.ids(text)
    content = len(ids) - len(reference.ids("<|end|>\n")) - 1
    vector = encoder_of("llama", template="chat").encode([("Why is it?", "It is not.")])
    np.testing.assert_allclose(vector[0], reference.hidden(ids)[content], atol=1e-5)


def test_chat_mean_is_over_the_response_alone(encoder_of, references):
    """Neither the prompt nor the template takes part."""
    reference = references["llama"]
    head = "<bos><|user|>\nWhy is it?<|end|>\n<|assistant|>\n"
    ids = reference.ids(head + "It is not.")
    expected = reference.hidden(ids)[len(reference.ids(head)) :].mean(axis=0)
    encoder = encoder_of("llama", template="chat", pooling="mean_response")
    vectors = encoder.encode([("Why is it?", "It is not.")])
    np.testing.assert_allclose(vectors[0], expected, atol=1e-5)


def test_truncation_cuts_the_prompt_and_keeps_bos_template_and_response(encoder_of):
    """Trap: right truncation removes the response, blind left truncation BOS."""
    encoder = encoder_of("llama", template="chat", max_tokens=40)
    response = "Because air scatters blue light."
    (tokens,) = encoder._tokens([("Why is the sky blue? " * 30, response)])
    text = encoder._tokenizer.decode(tokens.ids)
    assert len(tokens) == 40
    assert text.startswith("<bos><|user|>\n")
    assert text.endswith(
        f"blue? <|end|>\n<|assistant|>\n{response}".replace("? <", "?<")
    )


def test_truncated_vectors_equal_the_reference(encoder_of, references):
    """What is left is embedded as any other text."""
    reference = references["gpt2"]
    prompt = "Why is the sky blue? " * 40
    ids = reference.ids(f"{prompt}\n\nNo.")[-127:]
    expected = reference.hidden([1, *ids])[-1]
    vectors = encoder_of("gpt2").encode([(prompt, "No."), TEXTS[0]])
    np.testing.assert_allclose(vectors[0], expected, atol=1e-5)


def test_truncations_are_counted(encoder_of):
    """Prompt and response apart."""
    reports: list[Any] = []
    encoder = encoder_of("llama", max_tokens=24, on_long_response="truncate")
    texts = [("a b c " * 30, "No."), ("Why?", "a b c " * 30), ("Why?", "No.")]
    encoder.encode(texts, on_batch=reports.append)
    assert sum(report.n_texts for report in reports) == 3
    assert sum(report.n_truncated for report in reports) == 2
    assert sum(report.n_response_truncated for report in reports) == 1


def test_long_responses_are_refused_by_default(encoder_of):
    """With their number and the limit; nothing is computed."""
    with pytest.raises(InvalidInputError, match="max_tokens=24 tokens; got 1 of 2"):
        encoder_of("llama", max_tokens=24).encode([TEXTS[1], ("Why?", "a b " * 30)])


def test_the_limit_is_capped_at_the_models_positions(encoder_of):
    """The tiny GPT-2 has 128."""
    assert encoder_of("gpt2").fingerprint.fields["max_tokens"] == 128


def test_no_text_has_no_vector(encoder_of):
    """The shape is right all the same."""
    assert encoder_of("llama").encode([]).shape == (0, 32)


def test_overflow_of_the_stored_dtype_is_refused(make_model):
    """Trap: hidden states of some models exceed float16; float32 holds them."""
    directory = str(make_model("gpt2", initializer_range=3e4))
    options = {"template": "plain", "dtype": "float32", "layer": 0} | {
        "pooling": "last_content"
    }
    with pytest.raises(InvalidInputError, match="store_dtype='float32'"):
        CausalLMEncoder(directory, **options).encode(TEXTS[:1])
    vectors = CausalLMEncoder(directory, store_dtype="float32", **options).encode(TEXTS)
    assert np.abs(vectors).max() > 65504


def test_vectors_are_stored_as_float16_by_default(tiny_models):
    """After the check that they survive it."""
    encoder = CausalLMEncoder(str(tiny_models["llama"]), dtype="float32")
    assert encoder.encode(TEXTS[:1]).dtype == np.float16


def test_float16_compute_is_refused():
    """Hidden states overflow it."""
    with pytest.raises(InvalidInputError, match="'float32' or 'bfloat16'"):
        CausalLMEncoder("owner/name", dtype="float16")


def test_the_dtype_of_the_checkpoint_does_not_decide(make_model):
    """Trap: dtype='auto' is a library's default, so the same script computes else."""
    directory = make_model("llama")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"dtype": "bfloat16"}))
    encoder = CausalLMEncoder(str(directory), **FLOAT32)
    assert {p.dtype for p in encoder._loaded.parameters()} == {torch.float32}


def test_the_language_model_head_is_not_loaded(encoder_of):
    """Logits over the vocabulary would take most of the memory."""
    model = encoder_of("llama")._loaded
    assert not any("lm_head" in name for name, _ in model.named_modules())


def test_the_model_is_in_evaluation_mode(encoder_of):
    """Dropout is off in every part."""
    assert not any(part.training for part in encoder_of("gpt2")._loaded.modules())


def test_code_that_comes_with_a_model_is_not_run(tiny_models, tmp_path, monkeypatch):
    """Trap: remote code is refused, not asked about."""
    monkeypatch.setattr("builtins.input", lambda _question: "y")
    directory = copy_model(tiny_models["llama"], tmp_path / "m")
    config = json.loads((directory / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.MineConfig"}}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InvalidInputError, match="never run"):
        CausalLMEncoder(str(directory)).encode(TEXTS[:1])
    assert not (tmp_path / "ran").exists()


def test_missing_weights_are_refused(make_model):
    """transformers would fill them with random numbers."""
    directory = make_model("llama", num_hidden_layers=2)
    config = json.loads((directory / "config.json").read_text())
    config |= {"num_hidden_layers": 3}
    config.pop("layer_types", None)
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(IntegrityError, match=r"missing, the first is .*layers\.2"):
        CausalLMEncoder(str(directory), **FLOAT32).encode(TEXTS[:1])


def test_nothing_is_loaded_by_the_constructor():
    """A model that does not exist is no error before its first use."""
    assert CausalLMEncoder("./missing").max_tokens == 2048


def test_a_model_without_chat_template_is_refused(encoder_of):
    """The fix is the plain template."""
    with pytest.raises(InvalidInputError, match="use template='plain'"):
        encoder_of("gpt2", template="chat").fingerprint  # noqa: B018


@pytest.mark.parametrize("layer", [4, -5])
def test_a_layer_that_is_not_there_is_refused(encoder_of, layer):
    """The tiny models have three blocks."""
    with pytest.raises(InvalidInputError, match=f"from -4 to 3; got layer={layer}"):
        encoder_of("llama", layer=layer).fingerprint  # noqa: B018


@pytest.mark.parametrize(
    ("option", "known"),
    [
        ("pooling", "last_content"),
        ("template", "chat"),
        ("sharing", "tree"),
        ("padding_side", "left"),
    ],
)
def test_unknown_words_are_refused_with_the_known_ones(option, known):
    """A mistyped option is found before the model is loaded."""
    with pytest.raises(InvalidInputError, match=f"{option} of .*{known}.*got 'x'"):
        CausalLMEncoder("owner/name", **{option: "x"})


def test_a_config_without_sizes_is_refused(tmp_path):
    """Not every directory with a config.json is a language model."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("")
    with pytest.raises(InvalidInputError, match="hidden_size and num_hidden_layers"):
        CausalLMEncoder(str(tmp_path), template="plain").fingerprint  # noqa: B018


def test_sizes_are_found_in_the_text_part_of_a_config(make_model):
    """Models for images and text keep the language model's sizes apart."""
    directory = make_model("llama")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({"text_config": config}))
    assert CausalLMEncoder(str(directory)).fingerprint.dim == 32


@pytest.mark.parametrize(
    "changed",
    [
        {"pooling": "mean"},
        {"pooling": "last_content"},
        {"pooling": ("mean_response", "mean")},
        {"template": "plain"},
        {"max_tokens": 99},
        {"layer": -1},
        {"layer": 0},
        {"layer": (2, 0)},
        {"dtype": "float32"},
        {"store_dtype": "float32"},
    ],
)
def test_options_that_change_numbers_change_the_fingerprint(tiny_models, changed):
    """Their vectors never share a store."""
    directory = str(tiny_models["llama"])
    one, other = CausalLMEncoder(directory), CausalLMEncoder(directory, **changed)
    assert one.fingerprint.digest != other.fingerprint.digest


@pytest.mark.parametrize(
    "changed",
    [
        {"batch_tokens": 7},
        {"device": "meta"},
        {"padding_side": "left"},
        {"sharing": "off"},
        {"sharing": "tree"},
        {"on_long_response": "truncate"},
        {"layer": 2},
        {"layer": (2, 0.67)},
        {"max_tokens": 256},
    ],
)
def test_options_that_change_no_number_keep_the_fingerprint(tiny_models, changed):
    """The cache is used again; layer 2 of 3 is at two thirds of the depth."""
    directory = str(tiny_models["llama"])
    one, other = CausalLMEncoder(directory), CausalLMEncoder(directory, **changed)
    assert one.fingerprint.digest == other.fingerprint.digest


def test_one_inner_layer_has_one_fingerprint_however_it_is_counted(tiny_models):
    """-2 and 2 are the same of three blocks."""
    directory = str(tiny_models["llama"])
    digests = {CausalLMEncoder(directory, layer=n).fingerprint.digest for n in (2, -2)}
    assert len(digests) == 1


def test_other_weights_have_another_fingerprint(make_model, tiny_models):
    """Trap: the same architecture and name, another model."""
    other = CausalLMEncoder(str(make_model("llama", seed=1))).fingerprint
    assert other.digest != CausalLMEncoder(str(tiny_models["llama"])).fingerprint.digest


def test_another_chat_template_has_another_fingerprint(make_model, tiny_models):
    """It decides what the model reads."""
    other = make_model("llama", chat_template="{{ messages }}")
    digests = {
        CausalLMEncoder(str(directory)).fingerprint.digest
        for directory in (other, tiny_models["llama"])
    }
    assert len(digests) == 2


def test_a_moved_model_keeps_its_fingerprint(tiny_models, tmp_path):
    """A model is its content, not its path."""
    moved = tmp_path / "elsewhere"
    shutil.copytree(tiny_models["llama"], moved)
    digests = {
        CausalLMEncoder(str(directory)).fingerprint.digest
        for directory in (moved, tiny_models["llama"])
    }
    assert len(digests) == 1


def test_vectors_are_marked_as_not_normalised(tiny_models):
    """Trap: unit vectors of a server and raw vectors must never be mixed."""
    encoder = CausalLMEncoder(str(tiny_models["llama"]), layer=-1)
    fields = encoder.fingerprint.fields
    assert (fields["normalised"], fields["final_norm"]) == (False, True)


def test_copies_leave_the_loaded_model_behind(encoder_of):
    """Another process loads its own."""
    encoder = encoder_of("llama")
    other = copy.deepcopy(encoder)
    assert "_handle" in vars(encoder)
    assert "_handle" not in vars(other)
    assert other == encoder


def test_cloning_an_estimator_keeps_the_encoder(encoder_of):
    """Cross-validation does not load the model in every fold."""
    encoder = encoder_of("llama")
    assert clone(encoder, safe=False) is encoder


PROMPT = "Why is the sky blue? Because air scatters blue light more than red light."
GROUP = [
    (PROMPT, "No."),
    ("Why?", "So."),
    (PROMPT, "Red, green and blue are three colours of light."),
    (PROMPT, ""),
    (PROMPT, "Because.\n"),
]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("sharing", ["kv", "tree", "auto"])
@pytest.mark.parametrize("name", MODELS)
def test_shared_vectors_equal_the_reference(
    encoder_of, references, name, sharing, pooling
):
    """Trap: prompt and response tokenised apart, positions, windows."""
    encoder = encoder_of(name, sharing=sharing, pooling=pooling)
    expected = [references[name].vector(p, r, pooling) for p, r in GROUP]
    np.testing.assert_allclose(encoder.encode(GROUP), expected, atol=2e-5)


def test_truncated_prompts_are_shared_as_they_are_fed(encoder_of, references):
    """Responses of different length leave different prefixes of the prompt."""
    texts = [(PROMPT * 9, response) for _, response in GROUP[2:]]
    encoder = encoder_of("llama", max_tokens=90, sharing="kv")
    expected = [
        references["llama"].hidden(tokens.ids.tolist())[tokens.last_content]
        for tokens in encoder._tokens(texts)
    ]
    np.testing.assert_allclose(encoder.encode(texts), expected, atol=2e-5)


def test_prompt_vectors_are_the_same_for_all_responses(encoder_of):
    """The model has not seen the response there; an empty one is no exception."""
    vectors = encoder_of("llama", pooling="prompt", template="chat").encode(GROUP)
    for row in (2, 3, 4):
        np.testing.assert_allclose(vectors[row], vectors[0], atol=2e-5)


def test_sharing_feeds_fewer_tokens(encoder_of):
    """Which is what it is for; the report says how many were fed."""
    fed = {}
    for sharing in ("off", "kv"):
        reports: list[Any] = []
        encoder_of("llama", sharing=sharing).encode(GROUP, on_batch=reports.append)
        fed[sharing] = sum(report.n_tokens for report in reports)
    prompt = encoder_of("llama")._tokens([(PROMPT, "x")])[0].response_start
    assert 2 * prompt < fed["off"] - fed["kv"] <= 3 * (prompt + 2)


def test_memory_that_is_short_halves_the_batches(encoder_of, monkeypatch):
    """The vectors are the same, and the next call begins with the smaller budget."""
    texts = [(PROMPT, f"{n}. Because.") for n in range(20)]
    encoder = encoder_of("llama", batch_tokens=512, sharing="kv")
    expected = encoder.encode(texts)
    forward = type(encoder._loaded).forward

    def limited(self, input_ids, **kwargs):
        if input_ids.numel() > 60:
            raise torch.OutOfMemoryError
        return forward(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(type(encoder._loaded), "forward", limited)
    np.testing.assert_allclose(encoder.encode(texts), expected, atol=2e-5)
    assert encoder._budget.tokens < 512


def test_loading_and_encoding_are_silent(tiny_models, capfd):
    """Progress is what on_batch reports, and nothing else."""
    CausalLMEncoder(str(tiny_models["llama"]), **FLOAT32).encode(TEXTS)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_the_default_is_the_mean_over_the_response_at_two_thirds(tiny_models):
    """Of the tiny model's three layers the second; the fingerprint names the layer."""
    encoder = CausalLMEncoder(str(tiny_models["llama"]))
    fields = encoder.fingerprint.fields
    assert (fields["layer"], fields["pooling"]) == (2, "mean_response")
    assert "layer 2, mean over the response" in encoder.fingerprint.describe()


def test_the_published_recipe_is_the_last_token_of_the_last_layer(tiny_models):
    """As in arXiv 2411.04991."""
    directory = str(tiny_models["llama"])
    fields = CausalLMEncoder.published_recipe(directory).fingerprint.fields
    assert (fields["layer"], fields["pooling"]) == (-1, "last_content")


@pytest.mark.parametrize(("share", "layer"), [(0.01, 1), (1 / 3, 1), (0.67, 2)])
def test_a_share_of_the_depth_is_rounded_to_a_layer(encoder_of, share, layer):
    """Never to the embedding of the tokens; the whole depth is the last layer."""
    assert encoder_of("llama", layer=share).columns[0].layer == layer
    assert encoder_of("llama", layer=1.0).columns[0].layer == -1


@pytest.mark.parametrize("layer", [0.0, 1.5, -0.5, float("nan"), True, "20", None])
def test_what_cannot_be_a_layer_is_refused_before_the_model_is_found(layer):
    """A share outside (0, 1], or no number."""
    with pytest.raises((InvalidInputError, TypeError), match=r"in \(0, 1\]"):
        CausalLMEncoder("./missing", layer=(layer,))
