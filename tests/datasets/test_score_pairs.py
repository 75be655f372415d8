"""Pairs by score: all pairs of a prompt, and only those."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets.score_pairs import same_prompt_pairs


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 4), max_size=20))
def test_all_pairs_of_a_prompt_and_only_those(prompt_ids):
    """The vectorised list equals the list by brute force."""
    ids = np.array(prompt_ids, dtype=int)
    expected = [[i, j] for i, j in combinations(range(len(ids)), 2) if ids[i] == ids[j]]
    assert same_prompt_pairs(ids).tolist() == expected


def test_prompt_ids_may_be_text():
    """Any ids that can be compared will do."""
    assert same_prompt_pairs(np.array(["b", "a", "b"])).tolist() == [[0, 2]]
