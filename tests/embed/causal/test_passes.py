"""Copied keys and values: the same vectors as text by text."""

import numpy as np
import pytest
import torch

from embrm.embed.causal.language_model import HiddenLayers
from embrm.embed.causal.passes import run_kv, run_padded
from embrm.embed.causal.sharing_plan import KVStep, Machine, plan_kv, prefix_groups
from embrm.embed.pooling import LAST, POOLINGS, Column

COLUMNS = [Column(layer, name) for layer in (LAST, 1) for name in POOLINGS]


def states_of(model, columns=COLUMNS):
    layers = {column.layer for column in columns}
    return HiddenLayers(model.torch_model, sorted(layers), n_layers=3)


def shared_step(tokens, budget: int = 1000, start: int = 16) -> KVStep:
    machine = Machine(start=start, floor=0, dim=32)
    step, *_ = plan_kv(tokens, prefix_groups(tokens), budget, machine)
    return step


def one_by_one(model, texts, columns=COLUMNS):
    states = states_of(model, columns)
    with torch.inference_mode():
        vectors = [run_padded(model, states, [text], columns) for text in texts]
    return [torch.cat(column) for column in zip(*vectors, strict=True)]


@pytest.mark.parametrize("start", [0, 1000])
@pytest.mark.parametrize(
    "name",
    ["llama", "mistral", "gemma3_text", "gemma2", "gpt2", "opt", "qwen2", "qwen3"],
)
def test_vectors_are_those_of_each_text(make_causal_model, grouped_tokens, name, start):
    """Beginnings of two lengths; windows shorter than they are; several passes."""
    model = make_causal_model(name)
    step = shared_step(grouped_tokens, start=start)
    with torch.inference_mode():
        got = run_kv(model, states_of(model), grouped_tokens, step, COLUMNS)
    texts = [grouped_tokens[row] for row in step.rows]
    for vectors, expected in zip(got, one_by_one(model, texts), strict=True):
        np.testing.assert_allclose(vectors, expected, atol=2e-5, rtol=1e-4)


def test_one_beginning_is_shared_without_a_copy(make_causal_model, grouped_tokens):
    """A group by itself, its texts in passes of one."""
    model = make_causal_model()
    group = max(prefix_groups(grouped_tokens), key=lambda group: len(group.rows))
    rows = list(group.rows)
    step = KVStep([group], rows, [[n] for n in range(len(rows))], 0, 0.0)
    got = run_kv(model, states_of(model), grouped_tokens, step, COLUMNS)
    texts = [grouped_tokens[row] for row in rows]
    for vectors, expected in zip(got, one_by_one(model, texts), strict=True):
        np.testing.assert_allclose(vectors, expected, atol=2e-5, rtol=1e-4)


def test_inner_layers_alone_are_shared(make_causal_model, grouped_tokens):
    """The cache of blocks that are not run stays empty."""
    model, columns = make_causal_model("gemma3_text"), [Column(1, "mean")]
    step = shared_step(grouped_tokens)
    states = states_of(model, columns)
    got = run_kv(model, states, grouped_tokens, step, columns)
    texts = [grouped_tokens[row] for row in step.rows]
    expected = one_by_one(model, texts, columns)
    np.testing.assert_allclose(got[0], expected[0], atol=2e-5, rtol=1e-4)


def test_the_shared_tokens_are_run_once(make_causal_model, grouped_tokens):
    """That is the point."""
    model = make_causal_model()
    fed = []
    handle = model.torch_model.embed_tokens.register_forward_pre_hook(
        lambda _, args: fed.append(tuple(args[0].shape))
    )
    run_kv(
        model, states_of(model), grouped_tokens, shared_step(grouped_tokens), COLUMNS
    )
    handle.remove()
    assert fed[0] == (2, 20)
    assert max(shape[1] for shape in fed[1:]) == 9


def test_caches_that_hold_other_states_are_refused(make_causal_model, grouped_tokens):
    """Hybrid models overwrite them in place: copies would see each other's texts."""
    model = make_causal_model("falcon_h1")
    step = shared_step(grouped_tokens)
    with pytest.raises(TypeError, match="no prefix sharing with a Linear"):
        run_kv(model, states_of(model), grouped_tokens, step, COLUMNS)


def test_positions_at_the_models_limit_are_not_exceeded(make_causal_model):
    """Pads on the right would have positions that the model lacks."""
    from embrm.embed.truncation import FittedTokens

    model = make_causal_model("gpt2")
    rng = np.random.default_rng(0)
    prompt = rng.integers(3, 100, 100)
    texts = []
    for n in (28, 2):
        ids = np.concatenate([prompt, rng.integers(3, 100, n)]).astype(np.int32)
        texts.append(FittedTokens(ids, 0, 100, len(ids) - 1))
    step = shared_step(texts, start=1000)
    got = run_kv(model, states_of(model), texts, step, COLUMNS)
    expected = one_by_one(model, [texts[row] for row in step.rows])
    np.testing.assert_allclose(got[0], expected[0], atol=2e-5, rtol=1e-4)


COLUMNS = [Column(layer, name) for layer in (LAST, 1) for name in POOLINGS]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "mistral"])
def test_vectors_are_means_of_the_states_of_each_text(
    make_causal_model, grouped_tokens, name, side
):
    """Run one by one without padding, and averaged over the span by hand."""
    model = make_causal_model(name)
    lean = HiddenLayers(model.torch_model, (LAST, 1), n_layers=3)
    got = run_padded(model, lean, grouped_tokens, COLUMNS, side=side)
    for row, text in enumerate(grouped_tokens):
        with torch.inference_mode():
            output = model.torch_model(
                torch.as_tensor(text.ids[None]).long(), output_hidden_states=True
            )
        for (layer, pooling), vectors in zip(COLUMNS, got, strict=True):
            begin, end = (int(part[0]) for part in POOLINGS[pooling]([text]))
            expected = output.hidden_states[layer][0, begin:end].mean(dim=0)
            np.testing.assert_allclose(vectors[row], expected, atol=2e-5, rtol=1e-4)
