"""Pooling: by each text's own positions, never by the padded row's end."""

import numpy as np
import pytest
import torch

from embrm.embed.batching import pad
from embrm.embed.pooling import (
    POOLINGS,
    pool_last_content,
    pool_mean,
    pool_mean_response,
)
from embrm.embed.truncation import FittedTokens

LONG = FittedTokens(np.arange(5, dtype=np.int32), 1, 2, 3)
SHORT = FittedTokens(np.arange(2, dtype=np.int32), 1, 1, 1)


def states(side: str, pad_state: float = float("nan")):
    """Hidden states that are the position in the text, and NaN at pads."""
    batch = pad([LONG, SHORT], pad_id=0, side=side)
    values = np.where(batch.mask, batch.position_ids, pad_state)
    return torch.tensor(values, dtype=torch.float32)[:, :, None], batch


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        (pool_last_content, [3.0, 1.0]),
        (pool_mean_response, [3.0, 1.0]),
        (pool_mean, [2.5, 1.0]),
    ],
)
def test_pads_do_not_reach_the_vector_on_either_side(side, pool, expected):
    """Trap: [:, -1] reads a pad; a masked product keeps its NaN."""
    hidden, batch = states(side)
    assert pool(hidden, batch, [LONG, SHORT])[:, 0].tolist() == expected


def test_a_text_that_is_nothing_but_bos_is_pooled_at_bos():
    """The mean over no token is not taken."""
    only = FittedTokens(np.zeros(1, dtype=np.int32), 1, 0, 0)
    batch = pad([only], pad_id=0)
    hidden = torch.full((1, 1, 2), 7.0)
    assert pool_mean(hidden, batch, [only]).tolist() == [[7.0, 7.0]]


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_sums_are_taken_in_float32(name):
    """bfloat16 has three digits; a mean over many tokens would lose them."""
    hidden, batch = states("right", pad_state=0.0)
    pooled = POOLINGS[name](hidden.to(torch.bfloat16), batch, [LONG, SHORT])
    assert pooled.dtype == torch.float32
