"""Pairs: a zero-copy, row-sliceable view of an item matrix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.model_selection import GroupKFold, train_test_split

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.pairs import distinct_rows


@pytest.fixture
def pairs() -> Pairs:
    items = np.arange(12, dtype=np.float32).reshape(4, 3)
    return Pairs(items, [[0, 1], [2, 3], [3, 0]], prompt_ids=["a", "a", "b", "b"])


def test_it_looks_like_a_dense_array(pairs):
    """Shape, ndim, dtype and len are those of the (n_pairs, 2, d) array."""
    assert (pairs.shape, pairs.ndim, len(pairs)) == ((3, 2, 3), 3, 3)
    assert pairs.dtype == np.float32


def test_it_becomes_the_dense_array(pairs):
    """np.asarray stacks first and second of every pair."""
    dense = np.asarray(pairs)
    np.testing.assert_array_equal(dense, pairs.items[pairs.ids])
    np.testing.assert_array_equal(dense[:, 0], pairs.items[pairs.first])


def test_it_converts_to_a_wanted_dtype(pairs):
    """np.asarray(pairs, dtype=...) converts."""
    assert np.asarray(pairs, dtype=np.float64).dtype == np.float64


def test_a_dense_array_without_a_copy_is_refused(pairs):
    """numpy's copy=False contract is kept: materialising needs a copy."""
    with pytest.raises(ValueError, match="without a copy"):
        np.array(pairs, copy=False)


@pytest.mark.parametrize(
    "key",
    [
        slice(1, None),
        [2, 0],
        np.array([True, False, True]),
        np.array([1]),
        -1,
        [],
        (slice(None), ...),
    ],
    ids=str,
)
def test_selecting_pairs_is_selecting_dense_rows(pairs, key):
    """Every kind of row selection picks the rows it picks from the dense array."""
    rows = key[0] if isinstance(key, tuple) else key
    expected = np.asarray(pairs)[
        np.asarray(rows, int) if isinstance(rows, list) else rows
    ]
    np.testing.assert_array_equal(
        np.asarray(pairs[key]), expected.reshape(-1, 2, pairs.shape[2])
    )


def test_selections_share_the_items(pairs):
    """A slice of pairs holds the same item matrix, not a copy."""
    assert pairs[1:].items is pairs.items
    assert pairs[[0]].prompt_ids is pairs.prompt_ids


def test_construction_does_not_copy(tmp_path):
    """A memory map stays a memory map."""
    items = np.memmap(tmp_path / "items.f16", np.float16, "w+", shape=(10, 4))
    made = Pairs(items, [[0, 9]])
    assert np.shares_memory(made.items, items)
    assert isinstance(made.items, np.memmap)


def test_iterating_visits_every_pair_once(pairs):
    """Iteration ends, and gives one-pair selections."""
    assert [int(pair.first[0]) for pair in pairs] == [0, 2, 3]


def test_swap_exchanges_first_and_second(pairs):
    """swap() reverses each pair, and swapping twice gives the ids back."""
    swapped = pairs.swap()
    np.testing.assert_array_equal(swapped.first, pairs.second)
    np.testing.assert_array_equal(swapped.swap().ids, pairs.ids)


def test_groups_of_pairs_within_prompts_are_their_prompts(pairs):
    """One id for each pair, in an array like any other."""
    assert pairs[:2].groups.tolist() == ["a", "b"]
    assert pairs[:0].groups.shape == (0,)


def test_groups_of_pairs_across_prompts_are_the_prompts_of_both_ends(pairs):
    """One column per end; a selection without such pairs has one id for each again."""
    groups = pairs.groups
    assert groups.ends.tolist() == [["a", "a"], ["b", "b"], ["b", "a"]]
    assert (groups.shape, len(groups)) == ((3, 2), 3)
    assert groups[1:, 1].tolist() == ["b", "a"]
    assert groups[[2, 1], ...].ends.tolist() == [["b", "a"], ["b", "b"]]
    assert groups[np.array([True, True, False])].tolist() == ["a", "b"]
    assert groups[1].tolist() == ["b"]
    assert repr(groups) == "CrossPromptGroups(3 pairs, 33% cross-prompt)"


def test_groups_of_pairs_across_prompts_become_no_array(pairs):
    """Nothing could hold out one group of a pair without leaking the other."""
    with pytest.raises(InvalidInputError, match=r"split with .*PromptGroupKFold"):
        np.asarray(pairs.groups)


def test_groups_without_prompt_ids_is_an_error():
    """The error says how to give prompt ids."""
    with pytest.raises(InvalidInputError, match="pass prompt_ids"):
        _ = Pairs(np.eye(2), [[0, 1]]).groups


def test_repr_counts_and_says_how_much_is_cross_prompt(pairs):
    """The repr names counts, d, dtype and the share across prompts."""
    assert repr(pairs) == "Pairs(3 pairs, 4 items, d=3, float32, 33% cross-prompt)"


def test_scikit_learn_splits_it(pairs):
    """train_test_split and GroupKFold select pairs as they select array rows."""
    train, test = train_test_split(pairs, test_size=1, random_state=0)
    assert isinstance(train, Pairs)
    assert (len(train), len(test)) == (2, 1)
    folds = list(GroupKFold(2).split(pairs, groups=["x", "y", "y"]))
    assert len(folds) == 2


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20))
def test_unique_items_rebuild_the_ids(ids):
    """rows[local_ids] equals ids, and rows are the distinct ids, ascending."""
    made = Pairs(np.eye(7), np.array(ids, int).reshape(-1, 2))
    rows, local_ids = made.unique_items()
    np.testing.assert_array_equal(rows, np.unique(made.ids))
    np.testing.assert_array_equal(rows[local_ids], made.ids)


@given(st.integers(0, 2**31), st.integers(1, 30))
@settings(max_examples=50)
def test_from_dense_keeps_the_vectors_and_merges_equal_ones(seed, n_pairs):
    """from_dense gives back the same dense array, with one item per distinct vector."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(0, 2, size=(n_pairs, 2, 3)).astype(float)
    made = Pairs.from_dense(dense)
    np.testing.assert_array_equal(np.asarray(made), dense)
    assert len(made.items) == len(np.unique(dense.reshape(-1, 3), axis=0))


def test_from_dense_items_do_not_depend_on_order():
    """Permuting and swapping dense pairs leaves the item matrix as it is."""
    dense = np.random.default_rng(0).normal(size=(9, 2, 3))
    other = dense[::-1, ::-1]
    np.testing.assert_array_equal(
        Pairs.from_dense(dense).items, Pairs.from_dense(other).items
    )


def test_distinct_rows_takes_both_zeros_as_one():
    """0.0 and -0.0 are equal numbers, hence one row."""
    kept, inverse = distinct_rows(np.array([[0.0], [-0.0], [1.0]]))
    assert len(kept) == 2
    assert inverse[0] == inverse[1]


@given(st.data())
def test_distinct_rows_are_those_of_a_plain_sort(data):
    """Rows that begin alike, short rows and long ones: the order is that of bytes."""
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    shape = data.draw(st.tuples(st.integers(0, 12), st.integers(1, 6)))
    values = st.sampled_from([0.0, 1.0, -1.0, 0.5, 3e4])
    rows = data.draw(arrays(dtype, shape, elements=values))
    as_bytes = rows.view(f"V{shape[1] * rows.itemsize}").ravel()
    _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    kept, found = distinct_rows(rows)
    np.testing.assert_array_equal(kept, first)
    np.testing.assert_array_equal(found, inverse.ravel())


@pytest.mark.parametrize(
    ("items", "ids", "message"),
    [
        (np.eye(3), [[0, 3]], r"ids in \[0, 3\).*got 3 at pair 0"),
        (np.eye(3), [[0, 1], [-1, 0]], "got -1 at pair 1"),
        (np.eye(3), [[0.0, 1.0]], "integer ids; got dtype float64"),
        (np.eye(3), [0, 1], r"shape \(n_pairs, 2\); got shape \(2,\)"),
        (np.eye(3), [[0, 1, 2]], r"got shape \(1, 3\)"),
        (np.ones(3), [[0, 1]], r"shape \(n_items, d\); got shape \(3,\)"),
        (np.ones((2, 0)), [[0, 1]], "at least one column; got d = 0"),
        (np.array([["a"], ["b"]]), [[0, 1]], "dtype float16, float32 or float64"),
        ("text", [[0, 1]], "got str"),
        ([[1.0], [1.0, 2.0]], [[0, 1]], "ragged rows"),
    ],
)
def test_bad_input_is_refused_with_a_fix(items, ids, message):
    """Wrong shapes, dtypes and indices give an error that says what was got."""
    with pytest.raises(InvalidInputError, match=message) as caught:
        Pairs(items, ids)
    assert "Fix:" in str(caught.value)


@pytest.mark.parametrize(
    ("prompt_ids", "message"),
    [
        (["a"], r"shape \(2,\), one per item; got shape \(1,\)"),
        ([1.0, np.nan], "missing id at item 1"),
        (np.array(["a", None], object), "missing id at item 1"),
    ],
)
def test_bad_prompt_ids_are_refused(prompt_ids, message):
    """Prompt ids must be one per item and none missing."""
    with pytest.raises(InvalidInputError, match=message):
        Pairs(np.eye(2), [[0, 1]], prompt_ids=prompt_ids)


def test_dense_of_another_shape_is_refused():
    """from_dense says which shape it takes."""
    with pytest.raises(InvalidInputError, match=r"\(n_pairs, 2, d\)"):
        Pairs.from_dense(np.ones((3, 4)))


def test_indexing_other_axes_is_refused(pairs):
    """A second index is not silently ignored."""
    with pytest.raises(InvalidInputError, match=r"use \.first"):
        _ = pairs[:, 0]


def test_an_index_out_of_range_is_an_index_error(pairs):
    """Integers past the end raise IndexError, as sequences do."""
    with pytest.raises(IndexError, match="pair 3 of 3 pairs"):
        _ = pairs[3]
