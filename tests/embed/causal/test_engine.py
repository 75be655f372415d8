"""The engine: which way is taken, when the plain one, and that all ways agree."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embrm.embed import CausalLMEncoder
from embrm.embed.causal import engine as causal_engine
from embrm.embed.causal.engine import TOLERANCE, check_equivalence, example_texts
from embrm.embed.causal.language_model import HiddenLayers
from embrm.embed.causal.passes import run_padded
from embrm.embed.causal.sharing_plan import prefix_groups
from embrm.embed.pooling import LAST
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
def test_all_columns_are_the_same_however_prefixes_are_shared(encoder_of, name):
    """Every pooling and layer; no model of these needs the plain way."""
    columns = {"layer": LAYERS, "pooling": POOLINGS}
    encoder = encoder_of(name, sharing="off", **columns)
    plain = encoder.encode(TEXTS)
    for sharing in ("kv", "tree"):
        shared = encoder_of(name, sharing=sharing, **columns).encode(TEXTS)
        for part in encoder.column_slices.values():
            scale = np.abs(plain[:, part]).max()
            np.testing.assert_allclose(
                shared[:, part], plain[:, part], atol=1e-5 * scale
            )


@pytest.mark.parametrize("sharing", ["auto", "kv", "tree"])
def test_a_hybrid_model_takes_the_plain_way_with_one_warning(encoder_of, sharing):
    """Its states are not those of a cache of keys and values."""
    encoder = encoder_of("falcon_h1", sharing=sharing)
    with pytest.warns(EmbrmWarning, match=r"without shared prefixes; got .*Error"):
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
    """Without a warning: prefixes are shared all the same."""

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

    monkeypatch.setattr("embrm.embed.causal.language_model.find_blocks", shifted)
    encoder = encoder_of("llama", layer=0)
    vectors = encoder.encode(TEXTS)
    monkeypatch.undo()
    assert encoder._handle.model.verdicts["lean", (0,)] is not None
    np.testing.assert_allclose(
        vectors, encoder_of("llama", layer=0).encode(TEXTS), atol=1e-5
    )
    assert expected.shape == vectors.shape


def test_the_self_test_is_made_once_for_a_model(encoder_of, monkeypatch):
    """All encoders with one loaded model know its verdict."""
    encoder = encoder_of("llama", sharing="kv")
    encoder.encode(TEXTS)
    monkeypatch.setattr(causal_engine, "check_equivalence", lambda *_: "asked again")
    other = encoder.with_options(pooling="prompt")
    assert other.encode(TEXTS).shape == (len(TEXTS), 32)


def test_shared_vectors_in_bfloat16_are_within_its_noise(encoder_of):
    """Sharing adds no error beyond what batches add."""
    exact = encoder_of("llama", sharing="off").encode(TEXTS)
    low_precision = encoder_of("llama", sharing="kv", dtype="bfloat16").encode(TEXTS)
    error = np.linalg.norm(low_precision - exact, axis=1) / np.linalg.norm(
        exact, axis=1
    )
    assert error.max() < 0.1


class Words:
    """A tokenizer that gives one number for each word."""

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        words = text.split()
        return {"input_ids": [3 + sorted(set(words)).index(word) for word in words]}


def fault_of(model, change, texts=None):
    texts = texts or example_texts(Words(), limit=200, window=8)
    states = HiddenLayers(model.torch_model, (LAST,), n_layers=3)
    return check_equivalence(
        model,
        (LAST,),
        texts,
        lambda columns: change(run_padded(model, states, texts, columns)),
    )


def test_a_right_way_has_no_fault(make_causal_model):
    """The plain way in one batch is right."""
    assert fault_of(make_causal_model(), lambda vectors: vectors) is None


@pytest.mark.parametrize(("size", "is_fault"), [(0.5, False), (2.0, True)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_differences_count_from_the_tolerance_on(
    make_causal_model, dtype, size, is_fault
):
    """It depends on the dtype in which the model computes."""
    scale = 1 + size * TOLERANCE[dtype]
    model = make_causal_model(dtype=dtype)
    fault = fault_of(model, lambda vectors: [scale * v for v in vectors])
    assert (fault is not None) is is_fault


def test_vectors_that_are_not_numbers_are_a_fault(make_causal_model):
    """A mask that hides all gives them."""
    fault = fault_of(
        make_causal_model(), lambda vectors: [v * torch.nan for v in vectors]
    )
    assert fault == "a relative difference of nan"


@pytest.mark.parametrize(
    "error", [AttributeError, RuntimeError, KeyError, TypeError, ValueError]
)
def test_what_a_model_raises_is_a_fault(make_causal_model, error):
    """Architectures that do not know a mask or a cache raise all of these."""

    def change(_vectors):
        raise error("no such thing")

    assert error.__name__ in fault_of(make_causal_model(), change)


def test_a_window_that_is_ignored_is_found(make_causal_model):
    """Trap: a plain mask makes Mistral look beyond its window, silently."""
    model = make_causal_model("mistral")
    wide = make_causal_model("mistral", sliding_window=64)
    texts = example_texts(Words(), limit=200, window=8)
    states = HiddenLayers(wide.torch_model, (LAST,), n_layers=3)
    fault = check_equivalence(
        model,
        (LAST,),
        texts,
        lambda columns: run_padded(wide, states, texts, columns),
    )
    assert fault.startswith("a relative difference of")


@pytest.mark.parametrize(
    ("limit", "window", "lengths"),
    [
        (200, None, [24, 31]),
        (200, 64, [72, 79]),
        (50, 64, [24, 31]),
        (12, None, [5, 5]),
    ],
)
def test_prefixes_are_longer_than_the_window_and_fit_the_limit(limit, window, lengths):
    """Two groups, of three texts and two."""
    texts = example_texts(Words(), limit=limit, window=window)
    assert sorted({text.response_start for text in texts}) == sorted(set(lengths))
    assert max(len(text) for text in texts) <= limit
    groups = prefix_groups(texts, min_shared=1)
    assert [len(group.rows) for group in groups] == [3, 2]


def test_example_texts_differ():
    """Equal ones would hide that texts see each other."""
    texts = example_texts(Words(), limit=200, window=None)
    assert len({tuple(np.asarray(text.ids)) for text in texts}) == 5
