"""Data that tests of heads share."""

from typing import NamedTuple

import numpy as np
import pytest

from embrm import Pairs


class Preferences(NamedTuple):
    """Pairs with labels; `gold` is the reward that labels follow, errors aside."""

    pairs: Pairs
    y: np.ndarray
    gold: np.ndarray


@pytest.fixture
def make_preferences():
    """A function that makes preferences from a linear reward, with label errors."""

    def make(n_prompts=30, n_responses=4, d=5, error_rate=0.0, seed=0):
        rng = np.random.default_rng(seed)
        n_items = n_prompts * n_responses
        items = rng.normal(size=(n_items, d))
        gold = items @ np.linspace(1, -1, d)
        prompt = np.repeat(np.arange(n_prompts), n_responses)
        left, right = np.triu_indices(n_responses, 1)
        base = np.arange(n_prompts)[:, None] * n_responses
        ids = np.column_stack([(base + left).ravel(), (base + right).ravel()])
        ids = np.where(rng.random((len(ids), 1)) < 0.5, ids, ids[:, ::-1])
        y = gold[ids[:, 0]] > gold[ids[:, 1]]
        y = np.where(rng.random(len(y)) < error_rate, ~y, y).astype(int)
        return Preferences(Pairs(items, ids, prompt), y, gold)

    return make
