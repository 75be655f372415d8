"""The engine: which way is taken, when the plain one, and that all ways agree."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embrm.embed.causal import engine as causal_engine
from embrm.embed.causal.encoder import CausalLMEncoder
from embrm.embed.causal.prefix_groups import prefix_groups
from embrm.exceptions import EmbrmWarning

PROMPTS = [
    "Why is the sky blue? Because air scatters blue light more than red light.",
    "Name three colours of light.",
]
RESPONSES = ["No.", "Red, green and blue are three colours of light.\n\n", "So?"]
TEXTS = [(p, r) for p in PROMPTS for r in RESPONSES] + [("Hello there.", "Hello!")]
LAYERS, POOLINGS = (-1, 1), ("last_content", "mean_response", "mean", "prompt")
NAMES = ["llama", "mistral", "gemma3_text", "gemma2", "gpt2", "opt", "qwen2", "qwen3"]


@pytest.fixture(scope="module")
def encoder_of(make_model: Callable[..., Path]) -> Callable[..., CausalLMEncoder]:
    """Make an encoder of a tiny model, written once for each type."""
    directories: dict[str, Path] = {}

    def make(name: str, **options: Any) -> CausalLMEncoder:
        if name not in directories:
            directories[name] = make_model(name, chat_template=None)
        plain = {"template": "plain", "dtype": "float32", "store_dtype": "float32"}
        return CausalLMEncoder(str(directories[name]), **(plain | options))

    return make


@pytest.mark.parametrize("name", NAMES)
def test_all_columns_are_the_same_however_beginnings_are_shared(encoder_of, name):
    """Every pooling and layer; no model of these needs the plain way."""
    vectors = {
        sharing: encoder_of(name, sharing=sharing)
        .columns(layers=LAYERS, poolings=POOLINGS)
        .encode_columns(TEXTS)
        for sharing in ("off", "kv", "tree")
    }
    for column, expected in vectors["off"].items():
        scale = np.abs(expected).max()
        for sharing in ("kv", "tree"):
            np.testing.assert_allclose(
                vectors[sharing][column], expected, atol=1e-5 * scale
            )


@pytest.mark.parametrize("sharing", ["auto", "kv", "tree"])
def test_a_hybrid_model_takes_the_plain_way_with_one_warning(encoder_of, sharing):
    """Its states are not those of a cache of keys and values."""
    encoder = encoder_of("falcon_h1", sharing=sharing)
    with pytest.warns(EmbrmWarning, match=r"without shared beginnings; got .*Error"):
        vectors = encoder.encode(TEXTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode(TEXTS)
    expected = encoder_of("falcon_h1", sharing="off").encode(TEXTS)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_vectors_that_differ_lead_to_the_plain_way(encoder_of, monkeypatch):
    """An architecture may be wrong without raising."""

    def wrong(*args: Any) -> Any:
        return [2 * vectors for vectors in run_kv(*args)]

    run_kv = causal_engine.run_kv
    monkeypatch.setattr(causal_engine, "run_kv", wrong)
    with pytest.warns(EmbrmWarning, match="a relative difference of 1 with 'kv'"):
        vectors = encoder_of("llama", sharing="kv").encode(TEXTS)
    expected = encoder_of("llama", sharing="off").encode(TEXTS)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_the_next_cheapest_way_is_taken_when_the_cheapest_fails(
    encoder_of, monkeypatch
):
    """Without a warning: beginnings are shared all the same."""

    def broken(*_args: Any) -> Any:
        raise KeyError("no such cache")

    monkeypatch.setattr(causal_engine, "run_tree", broken)
    encoder = encoder_of("gpt2")
    engine, tokens = encoder._engine, encoder._tokens(TEXTS[:3])
    assert engine.choose(tokens, prefix_groups(tokens), 8192) == "kv"


def test_the_cheapest_way_is_taken(encoder_of):
    """For few short texts that is a tree: one pass instead of two."""
    encoder = encoder_of("gpt2")
    engine, tokens = encoder._engine, encoder._tokens(TEXTS[:3])
    assert engine.choose(tokens, prefix_groups(tokens), 8192) == "tree"


def test_texts_that_share_nothing_are_not_tested(encoder_of):
    """A hybrid model gives no warning when there is nothing to share."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder_of("falcon_h1", sharing="kv").encode([("Why?", "So."), ("Hi", "Yes.")])


def test_a_model_whose_states_cannot_be_tapped_is_run_whole(encoder_of, monkeypatch):
    """All layers are asked of transformers then, and one of them is taken."""
    expected = encoder_of("llama", layer=1).encode(TEXTS)

    def shifted(model: Any, n_layers: int) -> Any:
        del n_layers
        return [model.layers[1], *model.layers[1:]]

    monkeypatch.setattr("embrm.embed.causal.hidden_layers.find_blocks", shifted)
    encoder = encoder_of("llama", layer=0)
    vectors = encoder.encode(TEXTS)
    monkeypatch.undo()
    assert encoder._causal_model.verdicts["lean", (0,)] is not None
    np.testing.assert_allclose(
        vectors, encoder_of("llama", layer=0).encode(TEXTS), atol=1e-5
    )
    assert expected.shape == vectors.shape


def test_the_self_test_is_made_once_for_a_model(encoder_of, monkeypatch):
    """All encoders with one loaded model know its verdict."""
    encoder = encoder_of("llama", sharing="kv")
    encoder.encode(TEXTS)
    monkeypatch.setattr(causal_engine, "find_fault", lambda *_: "asked again")
    (column,) = encoder.columns()
    assert column.encode(TEXTS).shape == (len(TEXTS), 32)


def test_shared_vectors_in_bfloat16_are_within_its_noise(encoder_of):
    """Sharing adds no error beyond what batches add."""
    exact = encoder_of("llama", sharing="off").encode(TEXTS)
    rough = encoder_of("llama", sharing="kv", dtype="bfloat16").encode(TEXTS)
    error = np.linalg.norm(rough - exact, axis=1) / np.linalg.norm(exact, axis=1)
    assert error.max() < 0.1
