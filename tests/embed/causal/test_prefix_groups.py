"""Groups: by token ids, every text once, no more shared than there is."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed.causal.prefix_groups import PrefixGroup, prefix_groups
from embrm.embed.truncation import FittedTokens


def texts_of(*sequences: list[int]) -> list[FittedTokens]:
    return [
        FittedTokens(np.array(ids, dtype=np.int32), 0, 0, len(ids) - 1)
        for ids in sequences
    ]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), max_size=12))
def test_groups_are_a_partition_with_really_common_beginnings(sequences):
    """Each text in one group, and with a token of its own behind the beginning."""
    groups = prefix_groups(texts_of(*sequences), min_shared=1)
    rows = [row for group in groups for row in group.rows]
    assert sorted(rows) == list(range(len(sequences)))
    for group in groups:
        beginnings = {tuple(sequences[row][: group.n_shared]) for row in group.rows}
        assert len(beginnings) == 1
        assert all(len(sequences[row]) > group.n_shared for row in group.rows)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=8), max_size=8))
def test_more_is_saved_than_by_one_group_of_all(sequences):
    """The tree of beginnings is cut where it pays."""
    groups = prefix_groups(texts_of(*sequences), min_shared=1)
    saved = sum(group.n_shared * (len(group.rows) - 1) for group in groups)
    common = min((len(ids) - 1 for ids in sequences), default=0)
    while len({tuple(ids[:common]) for ids in sequences}) > 1:
        common -= 1
    assert saved >= common * (len(sequences) - 1)


def test_the_longest_beginnings_are_shared_not_the_one_of_all():
    """Prompts share BOS and the template; their responses share the prompt."""
    prompts = [[1, 9, n, n, n] for n in (2, 3)]
    texts = texts_of(*([*prompt, 5, n] for prompt in prompts for n in (6, 7)))
    assert prefix_groups(texts, min_shared=2) == [
        PrefixGroup((0, 1), 6),
        PrefixGroup((2, 3), 6),
    ]


def test_texts_outside_the_deep_groups_share_what_they_can():
    """A deep group does not keep the others from sharing less."""
    texts = texts_of([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7], [1, 2, 8], [1, 2, 9])
    assert prefix_groups(texts, min_shared=2) == [
        PrefixGroup((0, 1), 5),
        PrefixGroup((2, 3), 2),
    ]


def test_a_token_that_merges_over_the_boundary_is_not_shared():
    """Trap: the prompt's own ids are not the ids of the full text's beginning."""
    merged = texts_of([1, 2, 3, 40, 6], [1, 2, 3, 4, 6], [1, 2, 3, 4, 7])
    groups = prefix_groups(merged, min_shared=1)
    assert groups == [PrefixGroup((0,), 0), PrefixGroup((1, 2), 4)] or groups == [
        PrefixGroup((0, 1, 2), 3)
    ]


def test_equal_texts_keep_a_token_each():
    """There must be something left to run."""
    assert prefix_groups(texts_of([1, 2, 3], [1, 2, 3]), min_shared=1) == [
        PrefixGroup((0, 1), 2)
    ]


def test_short_beginnings_are_not_shared():
    """They cost more than they save."""
    groups = prefix_groups(texts_of([1, 2, 3], [1, 2, 4]), min_shared=3)
    assert [group.n_shared for group in groups] == [0, 0]


def test_no_texts_make_no_groups():
    """Nothing to do is no error."""
    assert prefix_groups([]) == []
