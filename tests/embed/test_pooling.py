"""Pooling: by each text's own positions, never by the padded row's end."""

import numpy as np
import pytest
import torch

from embrm.embed.batching import pad
from embrm.embed.pooling import (
    LAST,
    POOLINGS,
    Column,
    ColumnMeans,
    Placed,
    span_last_content,
    span_mean,
    span_mean_response,
    span_prompt,
)
from embrm.embed.truncation import FittedTokens

LONG = FittedTokens(np.arange(5, dtype=np.int32), 1, 2, 3)
SHORT = FittedTokens(np.arange(2, dtype=np.int32), 1, 1, 1)
TEXTS = [LONG, SHORT]


def states(side: str, pad_state: float = float("nan")):
    """Hidden states that are the position in the text, and NaN at pads."""
    batch = pad(TEXTS, pad_id=0, side=side)
    values = np.where(batch.mask, batch.position_ids, pad_state)
    hidden = torch.tensor(values, dtype=torch.float32).reshape(-1, 1)
    slot = np.arange(2) * batch.ids.shape[1] + batch.shift
    return hidden, Placed(slot, np.zeros(2, dtype=int), np.array([5, 2]))


def pooled(pooling: str, hidden, placed, texts=TEXTS) -> torch.Tensor:
    means = ColumnMeans([Column(LAST, pooling)], texts)
    means.add({LAST: hidden}, placed, range(len(texts)))
    return means.vectors()[0]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("last_content", [3.0, 1.0]),
        ("mean_response", [3.0, 1.0]),
        ("mean", [2.5, 1.0]),
        ("prompt", [1.0, 0.0]),
    ],
)
def test_pads_do_not_reach_the_vector_on_either_side(side, pooling, expected):
    """Trap: [:, -1] reads a pad; a masked product keeps its NaN."""
    assert pooled(pooling, *states(side))[:, 0].tolist() == expected


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
def test_a_text_in_two_passes_is_pooled_as_one(pooling):
    """The shared beginning and the rest of a text come from different passes."""
    hidden, placed = states("right")
    cut = np.array([3, 1])
    means = ColumnMeans([Column(LAST, pooling)], TEXTS)
    for part in (placed._replace(stop=cut), placed._replace(first=cut)):
        means.add({LAST: hidden}, part, [0, 1])
    assert means.vectors()[0].tolist() == pooled(pooling, hidden, placed).tolist()


def test_a_pass_may_hold_some_of_the_texts():
    """Rows say which; the others keep their sums."""
    hidden, placed = states("right")
    means = ColumnMeans([Column(LAST, "mean")], TEXTS)
    for row in (1, 0):
        means.add({LAST: hidden}, Placed(*(part[[row]] for part in placed)), [row])
    assert means.vectors()[0][:, 0].tolist() == [2.5, 1.0]


def test_columns_take_their_layers():
    """Layer and pooling of each column, in the order asked for."""
    hidden, placed = states("right")
    columns = [Column(1, "prompt"), Column(LAST, "last_content")]
    means = ColumnMeans(columns, TEXTS)
    means.add({LAST: hidden, 1: hidden + 10}, placed, [0, 1])
    vectors = [column[:, 0].tolist() for column in means.vectors()]
    assert vectors == [[11.0, 10.0], [3.0, 1.0]]


def test_the_wanted_slots_are_those_that_the_last_layer_is_pooled_at():
    """Inner layers are taken before the last block."""
    _, placed = states("right")
    columns = [Column(LAST, "last_content"), Column(LAST, "prompt"), Column(1, "mean")]
    wanted = ColumnMeans(columns, TEXTS).wanted(placed, [0, 1])
    assert wanted.tolist() == [1, 3, 5, 6]


@pytest.mark.parametrize(("first", "is_touched"), [(4, False), (3, True)])
def test_a_pass_without_pooled_tokens_is_known(first, is_touched):
    """Beginnings need not be pooled when nothing is taken from them."""
    means = ColumnMeans([Column(LAST, "last_content")], [LONG])
    placed = Placed(np.array([0]), np.array([first]), np.array([5]))
    assert means.is_touched(placed, [0]) is is_touched


def test_a_text_that_is_nothing_but_bos_is_pooled_at_bos():
    """The mean over no token is not taken."""
    only = FittedTokens(np.zeros(1, dtype=np.int32), 1, 1, 0)
    spans = [span([only]) for span in POOLINGS.values()]
    assert [(s.begin.tolist(), s.end.tolist()) for s in spans] == [([0], [1])] * 4


def test_an_empty_response_is_pooled_where_the_prompt_ends():
    """It begins behind the last token."""
    text = FittedTokens(np.arange(4, dtype=np.int32), 1, 4, 3)
    spans = [span_last_content, span_mean_response, span_prompt]
    assert [span([text]).begin.tolist() for span in spans] == [[3], [3], [3]]


def test_bos_takes_no_part_in_the_mean():
    """Its state is far larger than all others in many models."""
    assert span_mean([LONG]).begin.tolist() == [1]


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
def test_sums_are_taken_in_float32(pooling):
    """bfloat16 has three digits; a mean over many tokens would lose them."""
    hidden, placed = states("right", pad_state=0.0)
    assert pooled(pooling, hidden.to(torch.bfloat16), placed).dtype == torch.float32
