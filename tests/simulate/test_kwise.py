"""Designs that draw groups of responses."""

import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import BestVersusWorst, KWise


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("k", [2, 4, 7])
def test_a_group_has_all_pairs_of_k_responses(pool, k, replacement):
    """Of one prompt, each pair once, next to each other."""
    n_each = k * (k - 1) // 2
    ids = KWise(k, replacement).draw(pool, 5 * n_each, random_state=0)
    for group in ids.reshape(5, n_each, 2):
        members = np.unique(group)
        assert len(members) == k
        assert len(np.unique(pool.prompt_ids[members])) == 1
        expected = list(itertools.combinations(members, 2))
        assert sorted(map(tuple, np.sort(group, axis=1))) == expected


def test_groups_share_no_response(pool):
    """Without replacement a prompt of ten has three groups of three."""
    ids = KWise(3).draw(pool, KWise(3).max_pairs(pool), random_state=0)
    groups = [np.unique(group) for group in ids.reshape(-1, 3, 2)]
    assert len(groups) == 180
    assert len(np.unique(np.concatenate(groups))) == 540


def test_the_last_group_is_cut(pool):
    """Where n_pairs is no multiple."""
    assert KWise(4).draw(pool, 8, random_state=0).shape == (8, 2)


@pytest.mark.parametrize("replacement", [False, True])
def test_every_group_is_equally_likely(replacement):
    """By a chi-square test, over two prompts of five responses."""
    pool = CandidatePool(np.ones((10, 1)), np.repeat([0, 1], 5))
    number = {
        group: i
        for i, group in enumerate(
            [
                *itertools.combinations(range(5), 3),
                *itertools.combinations(range(5, 10), 3),
            ]
        )
    }
    rng = np.random.default_rng(4)
    draws = (KWise(3, replacement).draw(pool, 3, rng) for _ in range(3000))
    counts = np.bincount([number[tuple(np.unique(ids).tolist())] for ids in draws])
    assert len(counts) == 20
    assert chisquare(counts).pvalue > 0.001


def test_subsets_are_distinct_and_equally_likely():
    """Floyd's algorithm, for prompts of several sizes."""
    pool = CandidatePool(np.ones((8, 1)), np.repeat([0, 1], [3, 5]))
    pairs = np.sort(KWise(2, replacement=True).draw(pool, 12_000, 5), axis=1)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    for rows in (range(3), range(3, 8)):
        inside = pairs[np.isin(pairs[:, 0], rows)]
        assert np.isin(inside, rows).all()
        counts = np.unique(inside @ [8, 1], return_counts=True)[1]
        assert len(counts) == len(rows) * (len(rows) - 1) // 2
        assert chisquare(counts).pvalue > 0.001


def test_best_versus_worst_pairs_the_extremes_of_each_group(pool):
    """Of all ten responses, they are the extremes of the prompt."""
    for pair in BestVersusWorst(10).draw(pool, 60, random_state=0):
        gold = pool.gold[pool.rows(pool.prompt_ids[pair[0]])]
        assert set(pool.gold[pair]) == {gold.min(), gold.max()}


def test_the_extremes_of_more_responses_are_farther_apart(pool):
    """n = 2 is a random pair."""

    def spread(n):
        ids = BestVersusWorst(n, replacement=True).draw(pool, 2000, random_state=0)
        return np.abs(np.diff(pool.gold[ids], axis=1)).mean()

    assert spread(2) < spread(4) < spread(8)


def test_equal_gold_still_gives_two_responses():
    """Best and worst of three equals."""
    pool = CandidatePool(np.ones((3, 1)), [0, 0, 0], gold=[2.0, 2.0, 2.0])
    ids = BestVersusWorst(3).draw(pool, 1, random_state=0)
    assert ids[0, 0] != ids[0, 1]


@pytest.mark.parametrize(("design", "name"), [(KWise, "k"), (BestVersusWorst, "n")])
@pytest.mark.parametrize("size", [1, 2.0, "four"])
def test_a_group_of_fewer_than_two_is_an_error(design, name, size):
    """No pair could be formed."""
    with pytest.raises(InvalidInputError, match=f"expected an integer {name} >= 2"):
        design(size)


def test_best_versus_worst_needs_gold(pool):
    """It is by gold that they are best and worst."""
    without = CandidatePool(pool.items, pool.prompt_ids)
    with pytest.raises(InvalidInputError, match=r"gold scores, which BestVersusWorst"):
        BestVersusWorst(2).draw(without, 1)
