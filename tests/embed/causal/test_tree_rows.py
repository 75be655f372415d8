"""Trees: the same vectors as text by text, and the masks they come from."""

import numpy as np
import pytest
import torch

from embrm.embed.causal import passes
from embrm.embed.causal.language_model import HiddenLayers
from embrm.embed.causal.passes import has_flex, lay_out, run_padded, run_tree
from embrm.embed.causal.sharing_plan import Machine, plan_tree, prefix_groups
from embrm.embed.pooling import LAST, POOLINGS, Column
from embrm.embed.truncation import FittedTokens

COLUMNS = [Column(layer, name) for layer in (LAST, 1) for name in POOLINGS]


def steps_of(tokens, n_columns: int):
    machine = Machine(start=16, floor=0, dim=32, tree_columns=n_columns)
    return plan_tree(tokens, prefix_groups(tokens), 1000, machine)


def states_of(model):
    return HiddenLayers(model.torch_model, (LAST, 1), n_layers=3)


@pytest.mark.parametrize("n_columns", [40, 1000])
@pytest.mark.parametrize(
    "name",
    ["llama", "mistral", "gemma3_text", "gemma2", "gpt2", "opt", "qwen2", "qwen3"],
)
def test_vectors_are_those_of_each_text(
    make_causal_model, grouped_tokens, name, n_columns
):
    """Several prompts in a row, several rows, windows by positions."""
    model = make_causal_model(name)
    with torch.inference_mode():
        for step in steps_of(grouped_tokens, n_columns):
            got = run_tree(model, states_of(model), grouped_tokens, step, COLUMNS)
            for n, row in enumerate(step.rows):
                text = [grouped_tokens[row]]
                expected = run_padded(model, states_of(model), text, COLUMNS)
                for vectors, single in zip(got, expected, strict=True):
                    np.testing.assert_allclose(
                        vectors[n], single[0], atol=2e-5, rtol=1e-4
                    )


@pytest.fixture
def small_step():
    """Two texts with a beginning of nine tokens, and one by itself, in a row."""
    ids = [[*range(10, 19), 1, 2], [*range(10, 19), 3], [20, 21]]
    texts = [
        FittedTokens(np.array(i, dtype=np.int32), 0, len(i) - 1, len(i) - 1)
        for i in ids
    ]
    (step,) = steps_of(texts, 100)
    return texts, step


def test_positions_begin_again_behind_the_beginning(small_step):
    """Each continuation stands where it stands in its text."""
    batch = lay_out(*small_step, pad_id=0)
    assert batch.ids[0].tolist() == [*range(10, 19), 1, 2, 3, 20, 21]
    assert batch.positions[0].tolist() == [*range(9), 9, 10, 9, 0, 1]


def test_rows_are_padded_to_whole_blocks(small_step):
    """Pads belong to no group."""
    batch = lay_out(*small_step, pad_id=7, block=16)
    assert batch.ids[0, 14:].tolist() == [7, 7]
    assert batch.group[0, 14:].tolist() == [-1, -1]


@pytest.mark.parametrize("window", [None, 4])
def test_a_token_sees_its_own_text_within_the_window(
    make_causal_model, small_step, window
):
    """Counted out by hand from the texts."""
    texts, step = small_step
    batch = lay_out(texts, step, pad_id=0, block=16)
    arrays = [
        torch.as_tensor(part) for part in (batch.positions, batch.group, batch.part)
    ]
    mask = passes._dense_mask(make_causal_model(), arrays, window)[0, 0].numpy()
    columns = [[*range(11)], [*range(9), 11], [12, 13]]
    expected = np.zeros((16, 16), dtype=bool)
    for text in columns:
        for position, query in enumerate(text):
            begin = 0 if window is None else max(position - window + 1, 0)
            expected[query, text[begin : position + 1]] = True
    assert (mask[:14] == expected[:14]).all()
    # A pad sees something, or its softmax would be NaN.
    assert mask[14:].any(axis=1).all()


@pytest.mark.parametrize("window", [None, 4])
def test_the_block_mask_is_the_dense_mask(make_causal_model, small_step, window):
    """What a GPU skips is what a CPU masks."""
    from torch.nn.attention.flex_attention import create_mask

    batch = lay_out(*small_step, pad_id=0, block=128)
    arrays = [
        torch.as_tensor(part) for part in (batch.positions, batch.group, batch.part)
    ]
    block = passes._block_mask(make_causal_model(), arrays, window)
    dense = passes._dense_mask(make_causal_model(), arrays, window)
    assert block.shape == (1, 1, 128, 128)
    whole = create_mask(block.mask_mod, 1, 1, 128, 128, device="cpu")
    assert torch.equal(whole, dense)


def test_layers_of_unknown_kind_are_refused(make_causal_model, grouped_tokens):
    """A linear-attention layer has no mask at all."""
    model = make_causal_model("falcon_h1")
    step = steps_of(grouped_tokens, 1000)[0]
    with pytest.raises(ValueError, match="no tree mask for layers of hybrid"):
        run_tree(model, states_of(model), grouped_tokens, step, COLUMNS)


def test_other_attention_is_refused(make_causal_model, grouped_tokens, monkeypatch):
    """Its masks have another form."""
    model = make_causal_model()
    monkeypatch.setattr(model.torch_model.config, "_attn_implementation", "paged")
    step = steps_of(grouped_tokens, 1000)[0]
    with pytest.raises(ValueError, match="no tree mask for attention by paged"):
        run_tree(model, states_of(model), grouped_tokens, step, COLUMNS)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", ["llama", "mistral", "gemma3_text", "gemma2"])
def test_vectors_by_blocks_are_those_of_each_text(
    make_causal_model, grouped_tokens, name, monkeypatch
):
    """The layout of a GPU, with its kernel as plain torch operations."""
    flex = "torch.nn.attention.flex_attention"
    monkeypatch.setattr(f"{flex}._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)
    monkeypatch.setattr(
        "transformers.integrations.flex_attention.WrappedFlexAttention.__call__",
        lambda _self: torch.nn.attention.flex_attention.flex_attention,
    )
    monkeypatch.setattr(passes, "has_flex", lambda _model: True)
    model = make_causal_model(name)
    (step,) = steps_of(grouped_tokens, 1000)
    with torch.inference_mode():
        got = run_tree(model, states_of(model), grouped_tokens, step, COLUMNS)
        for n, row in enumerate(step.rows):
            text = [grouped_tokens[row]]
            expected = run_padded(model, states_of(model), text, COLUMNS)
            for vectors, single in zip(got, expected, strict=True):
                np.testing.assert_allclose(vectors[n], single[0], atol=2e-5, rtol=1e-4)


def test_flex_attention_is_for_gpus(make_causal_model):
    """On a CPU it would be compiled for minutes."""
    assert not has_flex(make_causal_model())


def test_the_implementation_of_attention_is_put_back(make_causal_model):
    """Other batches of the same model run as before."""
    model = make_causal_model("qwen2")
    config = model.torch_model.config
    with passes._attention(model, "eager"):
        assert config._attn_implementation == "eager"
    assert config._attn_implementation == "sdpa"
