"""Comparisons are the same however the same preferences are passed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm import Pairs
from embrm.exceptions import InvalidInputError, LeftOutWarning
from embrm.heads import make_comparisons
from embrm.heads.comparisons import as_pairs


def table(comparisons):
    """A comparison as plain rows, with items by value."""
    return [
        (
            *comparisons.items[winner].tolist(),
            *comparisons.items[loser].tolist(),
            margin,
            weight,
        )
        for winner, loser, margin, weight in zip(
            comparisons.winner,
            comparisons.loser,
            comparisons.margin,
            comparisons.weight,
            strict=True,
        )
    ]


def test_a_soft_label_is_two_wins():
    """y = 0.75 is a win of weight 0.75 and one of 0.25 the other way."""
    comparisons = make_comparisons(Pairs(np.eye(2), [[0, 1]]), [0.75])
    assert sorted(comparisons.weight) == [0.25, 0.75]
    assert set(comparisons.winner) == {0, 1}


def test_duplicates_are_one_win_of_their_total_weight():
    """The same win, mirrored with a flipped label, or repeated, is merged."""
    pairs = Pairs(np.eye(2), [[0, 1], [1, 0], [0, 1]])
    comparisons = make_comparisons(pairs, [1, 0, 1], [1, 2, 4])
    assert comparisons.weight.tolist() == [7]


def test_wins_of_another_margin_are_kept_apart():
    """(winner, loser, margin) is the key."""
    pairs = Pairs(np.eye(2), [[0, 1], [0, 1]])
    comparisons = make_comparisons(pairs, margin=[0, 2])
    assert comparisons.margin.tolist() == [0, 2]


def test_the_margin_follows_the_preferred_side():
    """Whichever item wins is to win by the margin."""
    items = np.array([[0.0], [1.0]])
    assert table(make_comparisons(Pairs(items, [[0, 1]]), [0], margin=[3])) == [
        (1.0, 0.0, 3.0, 1.0)
    ]


def test_items_that_take_no_part_are_left_out():
    """Neither unused rows, nor items of weight 0, are items of a comparison."""
    items = np.arange(6.0)[:, None]
    pairs = Pairs(items, [[1, 2], [3, 4]])
    assert len(make_comparisons(pairs, sample_weight=[1, 0]).items) == 2


def test_items_that_only_meet_their_equal_are_left_out():
    """A pair of equal vectors brings no item in."""
    items = np.array([[0.0], [1.0], [5.0], [5.0]])
    pairs = Pairs(items, [[0, 1], [2, 3]], prompt_ids=["a", "a", "b", "b"])
    with pytest.warns(LeftOutWarning, match="left out 1 of 2 pairs"):
        comparisons = make_comparisons(pairs)
    assert sorted(comparisons.items.ravel()) == [0.0, 1.0]
    assert len(comparisons.groups) == 2


def test_nothing_but_equal_vectors_is_refused():
    """There is nothing to learn."""
    with pytest.raises(InvalidInputError, match="2 pairs of equal vectors"):
        make_comparisons(Pairs(np.ones((4, 2)), [[0, 1], [2, 3]]))


def test_float16_is_computed_with_in_float32():
    """Ten bits store a vector and do not compute with it."""
    pairs = Pairs(np.eye(2, dtype=np.float16), [[0, 1]])
    assert make_comparisons(pairs).items.dtype == np.float32


def test_prompts_that_share_a_vector_are_one_group():
    """A vector that answers two prompts would leak between them."""
    items = np.array([[0.0], [1.0], [1.0], [2.0], [3.0], [4.0]])
    prompts = ["a", "a", "b", "b", "c", "c"]
    pairs = Pairs(items, [[0, 1], [2, 3], [4, 5]], prompts)
    comparisons = make_comparisons(pairs)
    group = dict(zip(comparisons.items.ravel(), comparisons.groups, strict=True))
    assert group[0.0] == group[1.0] == group[2.0]
    assert group[3.0] == group[4.0] != group[0.0]


def test_groups_do_not_depend_on_the_names_of_prompts():
    """Groups are named by content."""
    items = np.arange(6.0)[:, None]
    ids = [[0, 1], [2, 3], [4, 5]]
    one = make_comparisons(Pairs(items, ids, list("aabbcc")))
    other = make_comparisons(Pairs(items, ids, [9, 9, 5, 5, 7, 7]))
    np.testing.assert_array_equal(one.groups, other.groups)


def test_an_item_against_itself_is_refused():
    """The message says which one."""
    with pytest.raises(InvalidInputError, match="item 1 paired with itself at pair 1"):
        make_comparisons(Pairs(np.eye(2), [[0, 1], [1, 1]]))


def test_no_pair_is_refused():
    """An empty training set is a mistake upstream."""
    with pytest.raises(InvalidInputError, match=r"0 pairs.*filter or split"):
        make_comparisons(Pairs(np.eye(2), np.empty((0, 2), dtype=int)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_items_in_use_must_be_finite(value):
    """The message says where; items not in use may be anything."""
    items = np.array([[0.0], [1.0], [value]])
    make_comparisons(Pairs(items, [[0, 1]]))
    with pytest.raises(InvalidInputError, match="finite items"):
        make_comparisons(Pairs(items, [[0, 2]]))


def test_a_frame_is_sent_to_the_reward_model():
    """Frames hold text, and heads take vectors."""
    with pytest.raises(InvalidInputError, match=r"got DataFrame.*embrm\.RewardModel"):
        as_pairs(pd.DataFrame({"chosen": ["a"]}))


def test_pairs_are_passed_through():
    """Nothing is copied."""
    pairs = Pairs(np.eye(2), [[0, 1]])
    assert as_pairs(pairs) is pairs


def test_take_keeps_some_wins_and_all_items():
    """Splits work on wins; items keep their rows."""
    comparisons = make_comparisons(Pairs(np.eye(3), [[0, 1], [1, 2]]))
    taken = comparisons.take(np.array([True, False]))
    assert len(taken) == 1
    assert taken.items is comparisons.items


@st.composite
def preferences(draw):
    """Random pairs of few items, with labels, weights and margins."""
    n_pairs = draw(st.integers(1, 12))
    values = st.tuples(
        st.integers(0, 4),
        st.integers(1, 4),
        st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        st.sampled_from([0.5, 1.0, 2.0]),
        st.sampled_from([0.0, 1.0]),
    )
    rows = np.array([draw(values) for _ in range(n_pairs)])
    ids = rows[:, :2].astype(int)
    ids[:, 1] = (ids[:, 0] + ids[:, 1]) % 5
    return ids, rows[:, 2], rows[:, 3], rows[:, 4]


@settings(max_examples=60)
@given(preferences(), st.randoms(use_true_random=False))
def test_order_and_orientation_of_pairs_do_not_matter(data, random):
    """Shuffled, swapped and relabelled preferences are the same table, bit for bit."""
    ids, y, weight, margin = data
    items = np.random.default_rng(0).normal(size=(5, 2))
    wanted = table(make_comparisons(Pairs(items, ids), y, weight, margin))
    order = np.array(random.sample(range(len(ids)), len(ids)))
    turned = np.array([random.random() < 0.5 for _ in ids])
    relabel = np.array(random.sample(range(5), 5))
    ids = np.where(turned[:, None], ids[:, ::-1], ids)
    y = np.where(turned, 1 - y, y)
    shuffled = np.empty_like(items)
    shuffled[relabel] = items
    got = make_comparisons(
        Pairs(shuffled, relabel[ids][order]), y[order], weight[order], margin[order]
    )
    assert table(got) == wanted


@settings(max_examples=30)
@given(preferences())
def test_total_weight_is_kept(data):
    """Merging and splitting moves weight, and loses none."""
    ids, y, weight, margin = data
    items = np.random.default_rng(0).normal(size=(5, 2))
    comparisons = make_comparisons(Pairs(items, ids), y, weight, margin)
    assert comparisons.weight.sum() == pytest.approx(weight.sum())
    assert (comparisons.weight > 0).all()


def test_ties_are_kept_as_a_share_of_half_wins():
    """A tie is half a win each way; the share says how much of each is one."""
    pairs = Pairs(np.array([[0.0], [1.0]]), [[1, 0], [0, 1], [1, 0]])
    made = make_comparisons(pairs, [1, 0.5, 0.25])
    np.testing.assert_allclose(made.weight, [1.25, 1.75])
    np.testing.assert_allclose(made.tied, [0.5 / 1.25, 0.5 / 1.75])
    np.testing.assert_allclose(made.take([1]).tied, [0.5 / 1.75])


def test_without_ties_there_is_no_share():
    """Soft labels are not ties."""
    assert make_comparisons(Pairs(np.eye(2), [[0, 1]]), [0.7]).tied is None


def test_annotators_keep_their_wins_apart():
    """Equal wins of different annotators are not merged where they are told."""
    pairs = Pairs(np.eye(2), [[0, 1]] * 3)
    made = make_comparisons(pairs, annotator=np.array([1, 0, 1]))
    assert made.annotator.tolist() == [0, 1]
    assert made.weight.tolist() == [1, 2]
    assert made.take([1]).annotator.tolist() == [1]
    assert make_comparisons(pairs).annotator is None


def test_annotators_of_weightless_pairs_are_left_out():
    """Their pairs are gone."""
    pairs = Pairs(np.eye(3), [[0, 1], [1, 2]])
    made = make_comparisons(pairs, None, [0, 1], annotator=np.array([4, 7]))
    assert made.annotator.tolist() == [7]
