"""Small pools with a fitted head."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.active import RewardPosterior, draw_candidates
from embrm.heads import LinearBradleyTerry
from embrm.simulate import BradleyTerryAnnotator, SamePrompt, simulate


def make_pool(n_prompts=12, k=4, d=5, seed=0):
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(n_prompts * k, d))
    gold = items @ rng.normal(size=d)
    return CandidatePool(items, np.repeat(np.arange(n_prompts), k), gold)


@pytest.fixture
def pool():
    return make_pool()


@pytest.fixture
def labelled(pool):
    return simulate(pool, SamePrompt(), BradleyTerryAnnotator(), 20, 1)


@pytest.fixture
def head(labelled):
    return LinearBradleyTerry(alpha=1.0).fit(labelled.pairs, labelled.y)


@pytest.fixture
def posterior(head, pool):
    return RewardPosterior.from_head(head, pool.items)


@pytest.fixture
def candidates(pool, labelled):
    return draw_candidates(pool, 40, past=labelled.pairs.ids, random_state=2)
