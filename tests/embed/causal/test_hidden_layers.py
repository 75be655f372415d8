"""Hidden layers: the states of transformers, without what nobody reads."""

import numpy as np
import pytest
import torch

from embrm.embed.causal.language_model import HiddenLayers, find_blocks
from embrm.embed.pooling import LAST

IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])


def expected(model, layer: int) -> torch.Tensor:
    with torch.inference_mode():
        output = model.torch_model(IDS, output_hidden_states=True)
    return output.hidden_states[layer].flatten(0, 1)


@pytest.mark.parametrize("is_lean", [True, False])
@pytest.mark.parametrize("layers", [(LAST,), (0, 1), (2, LAST), (1,)])
@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "gemma2"])
def test_states_are_those_of_transformers(make_causal_model, name, layers, is_lean):
    """hidden_states[k] is the input of block k, [-1] the state after the norm."""
    model = make_causal_model(name)
    run = HiddenLayers(model.torch_model, layers, n_layers=3, is_lean=is_lean)
    states = run({"input_ids": IDS})
    assert set(states) == set(layers)
    for layer in layers:
        torch.testing.assert_close(states[layer], expected(model, layer))


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt"])
def test_wanted_tokens_have_their_states(make_causal_model, name):
    """The last feed-forward part may leave out the others."""
    model = make_causal_model(name)
    run = HiddenLayers(model.torch_model, (LAST, 1), n_layers=3)
    states = run({"input_ids": IDS}, wanted=np.array([3, 6]))
    torch.testing.assert_close(states[LAST][[3, 6]], expected(model, LAST)[[3, 6]])
    torch.testing.assert_close(states[1], expected(model, 1))


def test_the_last_feed_forward_part_sees_the_wanted_tokens_alone(make_causal_model):
    """It is the largest part of a block."""
    model = make_causal_model().torch_model
    seen = []
    handle = model.layers[-1].mlp.up_proj.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].shape[1])
    )
    run = HiddenLayers(model, (LAST,), n_layers=3)
    run({"input_ids": IDS}, wanted=np.array([3, 6]))
    run({"input_ids": IDS}, wanted=np.zeros(0, dtype=int))
    run({"input_ids": IDS})
    handle.remove()
    assert seen == [2, 1, 4]


@pytest.mark.parametrize(("layers", "n_run"), [((1,), 1), ((0, 2), 2), ((1, LAST), 3)])
def test_blocks_above_the_highest_layer_are_not_run(make_causal_model, layers, n_run):
    """An inner layer costs what lies below it."""
    model = make_causal_model().torch_model
    run_blocks = []
    handles = [
        block.register_forward_hook(lambda *_: run_blocks.append(1))
        for block in model.layers
    ]
    HiddenLayers(model, layers, n_layers=3)({"input_ids": IDS})
    for handle in handles:
        handle.remove()
    assert len(run_blocks) == n_run


def test_no_hook_stays_behind(make_causal_model):
    """Not even after an error."""
    model = make_causal_model().torch_model
    run = HiddenLayers(model, (LAST, 1), n_layers=3)
    with pytest.raises(IndexError):
        run({"input_ids": IDS + 1000}, wanted=np.array([1]))
    hooks = [
        part
        for part in model.modules()
        if part._forward_pre_hooks or len(part._forward_hooks) > 1
    ]
    assert hooks == []


def test_a_model_without_a_list_of_blocks_has_none():
    """It is run as transformers runs it."""
    assert find_blocks(torch.nn.Linear(2, 2), 3) is None
