"""Pools on which designs and annotators are tried."""

import numpy as np
import pytest

from embrm import CandidatePool


@pytest.fixture
def pool():
    """60 prompts with 10 responses each, gold N(mean of prompt, 1)."""
    rng = np.random.default_rng(7)
    gold = rng.normal(size=600) + np.repeat(rng.normal(size=60), 10)
    items = rng.normal(size=(600, 5)).astype(np.float16)
    return CandidatePool(items, np.repeat(np.arange(60), 10), gold=gold)


@pytest.fixture
def ragged():
    """8 prompts with 1 to 8 responses, in mixed order, with named prompts."""
    rng = np.random.default_rng(8)
    names = np.repeat([f"prompt {i}" for i in range(8)], np.arange(1, 9))
    prompt_ids = rng.permutation(names)
    items = rng.normal(size=(36, 3))
    return CandidatePool(items, prompt_ids, gold=rng.normal(size=36))


@pytest.fixture
def large():
    """40,000 prompts with 10 responses each; the vectors take no memory."""
    gold = np.random.default_rng(9).normal(size=400_000)
    items = np.broadcast_to(np.float16(1.0), (400_000, 1024))
    return CandidatePool(items, np.repeat(np.arange(40_000), 10), gold=gold)
