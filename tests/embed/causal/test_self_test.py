"""The self-test: finds ways that give other vectors, and ways that raise."""

import numpy as np
import pytest
import torch

from embrm.embed.causal.hidden_layers import HiddenLayers
from embrm.embed.causal.padded_rows import run_padded
from embrm.embed.causal.prefix_groups import prefix_groups
from embrm.embed.causal.self_test import TOLERANCE, example_texts, find_fault
from embrm.embed.pooling import LAST


class Words:
    """A tokenizer that gives one number for each word."""

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        words = text.split()
        return {"input_ids": [3 + sorted(set(words)).index(word) for word in words]}


def fault_of(model, change, texts=None):
    texts = texts or example_texts(Words(), limit=200, window=8)
    states = HiddenLayers(model.torch_model, (LAST,), n_layers=3)
    return find_fault(
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
    fault = find_fault(
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
def test_beginnings_are_longer_than_the_window_and_fit_the_limit(
    limit, window, lengths
):
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
