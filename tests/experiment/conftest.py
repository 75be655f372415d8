"""Pools that an experiment takes a moment for."""

import numpy as np
import pytest

from embrm import CandidatePool


def make_pool(first_prompt, n_prompts, seed):
    """2 to 6 responses to each prompt, in mixed order, gold nearly linear."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 7, size=n_prompts)
    prompt_ids = rng.permutation(np.repeat(np.arange(n_prompts), sizes)) + first_prompt
    items = rng.normal(size=(len(prompt_ids), 5)).astype(np.float32)
    gold = items @ [1.0, -1.0, 0.5, 0.0, 0.0] + 0.3 * rng.normal(size=len(items))
    return CandidatePool(items, prompt_ids, gold=gold.round(1))


@pytest.fixture
def train():
    """60 prompts."""
    return make_pool(0, 60, seed=1)


@pytest.fixture
def test():
    """40 other prompts."""
    return make_pool(100, 40, seed=2)
