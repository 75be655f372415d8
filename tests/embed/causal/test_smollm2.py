"""The default encoder on its real weights: tokens, sharing, layers, truncation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embrm.embed import make_encoder
from embrm.embed.causal import CausalLMEncoder

BOS, EOS = 1, 2
GOLDEN = Path(__file__).parent / "golden" / "smollm2.json"
PROMPT = (
    "A friend says that the sky is blue because it mirrors the sea. Explain to her in "
    "a few sentences why this is not so, and what the true reason is."
)
TEXTS = [
    (PROMPT, "Air scatters short waves of light more than long ones, so we see blue."),
    (PROMPT, "No."),
    ("Name three colours.", "Red, green and blue.\n\n"),
    (PROMPT, "I do not know; perhaps it does mirror the sea after all."),
    ("Write a haiku about rain.", "Rain on the tin roof\nsoft drums\nthe night"),
]
CHAT = [
    {"role": "system", "content": "Answer like a pirate."},
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Ahoy!"},
    {"role": "user", "content": "Where is the treasure?"},
]


@pytest.fixture(scope="module")
def exact() -> CausalLMEncoder:
    """In float32, one column, loaded once."""
    return CausalLMEncoder("smollm2", dtype="float32", store_dtype="float32")


@pytest.fixture(scope="module")
def low_precision() -> CausalLMEncoder:
    """The default by name, as everybody has it."""
    return make_encoder()


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    one, other = one.astype(np.float64), other.astype(np.float64)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / norms


def relative(one: np.ndarray, other: np.ndarray) -> float:
    difference = np.linalg.norm(one - other, axis=1)
    return float((difference / np.linalg.norm(other, axis=1)).max())


def test_it_says_which_model_layer_and_pooling_it_is(low_precision):
    """In words, with the layer that two thirds of thirty are."""
    words = "causal-lm SmolLM2-135M-Instruct-Q4_1, layer 20, mean over the response"
    assert low_precision.fingerprint.describe().startswith(words)
    assert (low_precision.n_layers, low_precision.fingerprint.dim) == (30, 576)


def test_vectors_of_five_texts_are_the_golden_ones(exact, low_precision):
    """Within what other machines and versions of the libraries may round."""
    golden = json.loads(GOLDEN.read_text())
    assert golden["texts"] == [list(text) for text in TEXTS]
    expected = np.array(golden["vectors"], dtype=np.float32)
    assert relative(exact.encode(TEXTS), expected) < 2e-3
    assert cosines(low_precision.encode(TEXTS), expected).min() > 0.999


def test_pad_and_eos_are_one_token_and_do_not_meet(exact):
    """Trap: pad == eos, so a mask made from ids would hide the ends of turns."""
    tokenizer = exact._tokenizer
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == EOS
    (tokens,) = exact._tokens([(CHAT, "Under the palm.")])
    assert np.count_nonzero(tokens.ids == EOS) == len(CHAT)
    alone = exact.encode([(CHAT, "Under the palm.")])
    padded = exact.encode([(CHAT, "Under the palm."), (PROMPT * 3, "No.")])
    assert relative(padded[:1], alone) < 1e-5


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_one_bos_stands_in_front(exact, template):
    """The chat template begins every turn with it, and the text once."""
    encoder = exact.with_options(template=template)
    for tokens in encoder._tokens(TEXTS):
        assert tokens.ids[0] == BOS
        assert tokens.ids[1] != BOS
        n_turns = 3 if template == "chat" else 1
        assert np.count_nonzero(tokens.ids == BOS) == n_turns


def test_the_chat_template_keeps_system_and_turns(exact):
    """Its own system prompt is added only where there is none."""
    (tokens,) = exact._tokens([(CHAT, "Under the palm.")])
    text = exact._tokenizer.decode(tokens.ids)
    assert text == (
        "<|im_start|>system\nAnswer like a pirate.<|im_end|>\n"
        "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\nAhoy!<|im_end|>\n"
        "<|im_start|>user\nWhere is the treasure?<|im_end|>\n"
        "<|im_start|>assistant\nUnder the palm."
    )
    own = exact._tokenizer.decode(exact._tokens(TEXTS[:1])[0].ids)
    assert own.startswith("<|im_start|>system\nYou are a helpful AI assistant")


def test_either_padding_side_gives_the_same_vectors(exact):
    """With nothing shared, where padding is all there is."""
    left, right = (
        exact.with_options(sharing="off", padding_side=side).encode(TEXTS)
        for side in ("left", "right")
    )
    assert relative(left, right) < 1e-5


@pytest.mark.parametrize("sharing", ["kv", "tree", "auto"])
def test_sharing_changes_no_vector(exact, sharing):
    """Up to rounding, at an inner layer and at the last."""
    for options in ({}, {"layer": -1, "pooling": "last_content"}):
        encoder = exact.with_options(**options)
        plain = encoder.with_options(sharing="off").encode(TEXTS)
        shared = encoder.with_options(sharing=sharing).encode(TEXTS)
        assert relative(shared, plain) < 1e-4


def test_sharing_in_bfloat16_is_within_its_noise(low_precision):
    """The tolerance of the self-test that is made when the model is loaded."""
    plain = low_precision.with_options(sharing="off").encode(TEXTS).astype(np.float32)
    for sharing in ("kv", "tree"):
        shared = (
            low_precision.with_options(sharing=sharing).encode(TEXTS).astype(np.float32)
        )
        assert relative(shared, plain) < 0.05


def test_many_layers_in_one_pass_equal_single_passes(exact):
    """Side by side, each what its own encoder gives."""
    several = exact.with_options(
        layer=(0, 15, 20, -1), pooling=("mean_response", "mean")
    )
    vectors = several.encode(TEXTS[:3])
    for (layer, pooling), part in several.column_slices.items():
        single = exact.with_options(layer=layer, pooling=pooling).encode(TEXTS[:3])
        assert relative(vectors[:, part], single) < 1e-4


def test_a_layer_is_the_hidden_state_of_transformers(exact):
    """Indexed plainly, averaged by hand over the response's tokens."""
    import torch

    (tokens,) = exact._tokens(TEXTS[:1])
    with torch.inference_mode():
        output = exact._loaded(
            torch.as_tensor(tokens.ids[None]).long(), output_hidden_states=True
        )
    state = output.hidden_states[20][0, tokens.response_start :].mean(dim=0).numpy()
    assert relative(exact.encode(TEXTS[:1]), state[None]) < 1e-5


@pytest.mark.parametrize("limit", [640, 8192])
def test_long_prompts_lose_their_beginning_alone(low_precision, limit):
    """At 640 tokens and at the model's own limit, with BOS and response whole."""
    encoder = low_precision.with_options(max_tokens=10**6 if limit == 8192 else limit)
    assert encoder.fingerprint.fields["max_tokens"] == limit
    numbered = " ".join(f"line {n}" for n in range(4000))
    (tokens,) = encoder._tokens([(numbered, "The last line is 3999.")])
    text = encoder._tokenizer.decode(tokens.ids)
    assert len(tokens) == limit
    assert tokens.prompt_cut
    assert text.startswith("<|im_start|>system\n")
    assert text.endswith(
        "line 3999<|im_end|>\n<|im_start|>assistant\nThe last line is 3999."
    )
    if limit == 640:
        assert np.isfinite(encoder.encode([(numbered, "The last line is 3999.")])).all()


def test_a_response_beyond_the_limit_keeps_its_end(low_precision):
    """By name it is cut with a report; nothing of the prompt is left."""
    reports: list[Any] = []
    short = low_precision.with_options(max_tokens=64)
    vectors = short.encode([("Count.", "one two " * 200)], on_batch=reports.append)
    assert np.isfinite(vectors).all()
    assert sum(report.n_response_truncated for report in reports) == 1


def test_empty_and_one_token_responses_have_vectors(exact):
    """An empty one is pooled at the last token before it."""
    vectors = exact.encode([(PROMPT, ""), (PROMPT, "No"), ("", "No")])
    assert np.isfinite(vectors).all()
    prompt = exact.with_options(pooling="prompt").encode([(PROMPT, "")])
    assert relative(vectors[:1], prompt) < 1e-5
    last = exact.with_options(pooling="last_content").encode([(PROMPT, "No")])
    assert relative(vectors[1:2], last) < 1e-5


def test_stored_vectors_fit_float16_with_room(low_precision):
    """Inner states of some models exceed it."""
    columns = low_precision.with_options(
        layer=tuple(range(0, 30, 5)), pooling=("mean",)
    )
    assert np.abs(columns.encode(TEXTS).astype(np.float32)).max() < 6000
