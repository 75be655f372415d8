"""Batches: within the budget, in order, checked before they are stored."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed import CausalLMEncoder
from embrm.embed.batching import (
    as_stored,
    choose_device,
    pad,
    pad_ids,
    set_evaluation_mode,
    token_batches,
)
from embrm.embed.truncation import FittedTokens
from embrm.exceptions import EmbrmError, InvalidInputError

OPTIONS = {
    "dtype": "float32",
    "store_dtype": "float16",
    "batch_tokens": 1,
    "max_tokens": None,
    "on_long_response": "raise",
}


def tokens_of(lengths: list[int], **flags: bool) -> list[FittedTokens]:
    """Make texts of given lengths whose ids are their position in the list."""
    return [
        FittedTokens(np.full(n, i, dtype=np.int32), 0, 0, n - 1, **flags)
        for i, n in enumerate(lengths)
    ]


@settings(max_examples=100)
@given(lengths=st.lists(st.integers(1, 40), max_size=30), budget=st.integers(1, 120))
def test_every_text_is_in_one_batch_and_batches_are_within_the_budget(lengths, budget):
    """A batch is over the budget only when it is one text."""
    batches = token_batches(lengths, batch_tokens=budget)
    assert sorted(row for batch in batches for row in batch) == list(
        range(len(lengths))
    )
    for batch in batches:
        size = len(batch) * max(lengths[row] for row in batch)
        assert len(batch) == 1 or size <= budget


def test_the_longest_texts_come_first():
    """What does not fit into memory fails at once."""
    batches = token_batches([1, 5, 3], batch_tokens=5)
    assert batches == [[1], [2], [0]]


@pytest.mark.parametrize(
    ("side", "ids"), [("right", [[0, 0], [1, 9]]), ("left", [[0, 0], [9, 1]])]
)
def test_padding_is_on_the_side_asked_for(side, ids):
    """Real tokens keep their order on both sides."""
    assert pad(tokens_of([2, 1]), pad_id=9, side=side).ids.tolist() == ids


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_mask_does_not_look_at_ids(side):
    """Trap: a pad id that occurs in the text is a real token there."""
    tokens = tokens_of([3, 1])
    assert pad(tokens, pad_id=0, side=side).mask.sum(axis=1).tolist() == [3, 1]


@pytest.mark.parametrize("side", ["left", "right"])
def test_positions_count_from_the_first_real_token(side):
    """Trap: absolute positions must not count the pads on the left."""
    batch = pad(tokens_of([3, 2]), pad_id=9, side=side)
    rows = [
        batch.position_ids[row][batch.mask[row]].tolist()
        for row in range(len(batch.ids))
    ]
    assert rows == [[0, 1, 2], [0, 1]]


def test_slices_of_ids_are_padded_as_texts_are():
    """A shared beginning is a slice of a text's ids."""
    batch = pad_ids([np.arange(3), np.arange(1)], pad_id=9, side="left")
    assert batch.ids.tolist() == [[0, 1, 2], [9, 9, 0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vectors_that_are_not_finite_are_refused(value, dtype):
    """NaN never reaches a store."""
    with pytest.raises(InvalidInputError, match="finite vectors"):
        as_stored(np.array([[0.0, value]], dtype=np.float32), dtype)


def test_vectors_too_large_for_float16_are_refused_by_name_of_the_fix():
    """Trap: Gemma's hidden states exceed 65504, and a cast makes them infinite."""
    with pytest.raises(InvalidInputError, match="store_dtype='float32'"):
        as_stored(np.array([[-6.1e4]], dtype=np.float32), "float16")


def test_large_vectors_are_stored_as_float32():
    """float32 holds them."""
    vectors = np.array([[8e5]], dtype=np.float32)
    assert as_stored(vectors, "float32")[0, 0] == 8e5


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("dtype", "float16"),
        ("dtype", "auto"),
        ("store_dtype", "bfloat16"),
        ("batch_tokens", 0),
        ("max_tokens", 0),
        ("on_long_response", "warn"),
    ],
)
def test_impossible_options_are_refused(option, value):
    """float16 compute among them: hidden states overflow it in silence."""
    with pytest.raises(InvalidInputError, match=f"{option}.*got {value!r}"):
        CausalLMEncoder("any", **(OPTIONS | {option: value}))


def test_possible_options_are_taken():
    """The defaults of the encoders are allowed."""
    assert vars(CausalLMEncoder("any", **OPTIONS)).items() >= OPTIONS.items()


def test_a_device_asked_for_is_taken():
    """Nothing is second-guessed."""
    assert choose_device("meta") == "meta"


def test_evaluation_mode_reaches_every_module():
    """Trap: dropout must be off."""
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(2, 2)).train()
    set_evaluation_mode(model)
    assert not any(part.training for part in model.modules())


def test_a_module_that_stays_in_training_mode_is_refused():
    """Vectors would be random."""

    class Stubborn(torch.nn.Dropout):
        def train(self, mode: bool = True):
            return super().train(True)

    with pytest.raises(EmbrmError, match="Stubborn still in training mode"):
        set_evaluation_mode(torch.nn.Sequential(Stubborn()))
