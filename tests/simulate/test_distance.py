"""Similar and diverse responses are found by their vectors alone."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import DiverseResponses, SimilarResponses, kwise


def cosine(a, b):
    return 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def euclidean(a, b):
    return np.linalg.norm(a - b)


def expected_pairs(pool, share, metric, *, farthest):
    """Sort the pairs of each prompt by distance, one by one."""
    found = set()
    for prompt in pool.prompts:
        rows = pool.rows(prompt)
        pairs = [(i, j) for j in rows for i in rows if i < j]
        vectors = pool.items.astype(float)
        pairs.sort(key=lambda p: metric(*vectors[list(p)]), reverse=farthest)
        n_kept = max(1, int(share * len(pairs) + 0.5))
        found |= {(int(i), int(j)) for i, j in pairs[:n_kept]}
    return found


@pytest.mark.parametrize("metric", [cosine, euclidean])
@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("design", [SimilarResponses, DiverseResponses])
def test_the_pairs_are_the_first_by_distance(ragged, design, metric, share):
    """Those that a loop over all pairs finds."""
    drawn = design(share, metric.__name__)
    ids = drawn.draw(ragged, drawn.max_pairs(ragged), random_state=0)
    found = set(map(tuple, np.sort(ids, axis=1).tolist()))
    farthest = design is DiverseResponses
    assert found == expected_pairs(ragged, share, metric, farthest=farthest)


def test_neither_needs_gold(pool):
    """They say which pairs to ask about before anything is known."""
    without = CandidatePool(pool.items, pool.prompt_ids)
    assert len(SimilarResponses().draw(without, 20, random_state=0)) == 20


def test_blocks_do_not_change_the_draw(pool, monkeypatch):
    """A memory limit of a few vectors gives the same pairs."""
    expected = DiverseResponses().draw(pool, 300, random_state=0)
    monkeypatch.setattr(kwise, "_BLOCK", 250)
    found = DiverseResponses().draw(pool, 300, random_state=0)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("design", [SimilarResponses(0.1), DiverseResponses(0.1)])
def test_equal_distances_are_taken_in_order(design):
    """Equal vectors are no error, and zero vectors neither."""
    pool = CandidatePool(np.zeros((10, 2)), np.zeros(10, dtype=int))
    ids = design.draw(pool, design.max_pairs(pool), random_state=0)
    assert np.sort(ids, axis=1).max() <= 3


def test_similar_pairs_have_a_smaller_gold_difference():
    """Where gold is a function of the vectors; diverse ones have a larger one."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(400, 4))
    pool = CandidatePool(items, np.repeat(np.arange(40), 10), gold=items @ np.ones(4))

    def spread(design):
        ids = design.draw(pool, 300, random_state=0)
        return np.abs(np.diff(pool.gold[ids], axis=1)).mean()

    assert spread(SimilarResponses()) < 0.7 * spread(DiverseResponses())


def test_a_vector_that_is_not_finite_is_an_error(pool):
    """Its distance to others is unknown."""
    items = pool.items.copy()
    items[3, 0] = np.nan
    broken = CandidatePool(items, pool.prompt_ids)
    with pytest.raises(InvalidInputError, match="expected finite items"):
        SimilarResponses().draw(broken, 400, random_state=0)


def test_an_unknown_metric_is_an_error():
    """Two are known."""
    with pytest.raises(InvalidInputError, match="metric one of cosine, euclidean"):
        SimilarResponses(metric="manhattan")


def test_a_share_beyond_one_is_an_error():
    """It is a share of each prompt's pairs."""
    with pytest.raises(InvalidInputError, match=r"share of each prompt's pairs in \[0"):
        DiverseResponses(25)
