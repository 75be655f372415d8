"""Preferences: texts, vectors, frames, and pairs by rating."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import LeftOut, Preferences, ReadReport, read_preferences
from embrm.datasets.preferences import same_prompt_pairs
from embrm.exceptions import InvalidInputError

ROWS = [
    {"prompt": "p", "chosen": "a", "rejected": "b", "margin": 1.0, "subset": "x"},
    {"prompt": "q", "chosen": "a", "rejected": "c", "y": 0.25},
]


def _rated(scores, prompt="p"):
    return read_preferences(
        [
            {"prompt": prompt, "response": f"r{n}", "score": score, "id": n}
            for n, score in enumerate(scores)
        ]
    )


def test_texts_are_those_of_the_items():
    """Encoders get (prompt, response) in the order of the items."""
    texts = read_preferences(ROWS).texts
    assert texts == [("p", "a"), ("p", "b"), ("q", "a"), ("q", "c")]


def test_labels_margins_and_weights_are_arrays():
    """A column that is missing is None."""
    preferences = read_preferences(ROWS)
    assert preferences.y.tolist() == [1.0, 0.25]
    assert preferences.margin.tolist() == [1.0, 0.0]
    assert preferences.weight is None


def test_a_pair_without_a_margin_asks_for_no_lead():
    """In the table it is NaN: nothing is known; for a head it is 0."""
    preferences = read_preferences(ROWS)
    np.testing.assert_array_equal(preferences.pairs["margin"], [1.0, np.nan])
    assert preferences.margin[1] == 0.0


def test_a_pair_without_a_weight_counts_like_any_other():
    """In the table it is NaN: nothing is known; for a head it is 1."""
    preferences = read_preferences([ROWS[0] | {"weight": 2.5}, ROWS[1]])
    np.testing.assert_array_equal(preferences.pairs["weight"], [2.5, np.nan])
    assert preferences.weight.tolist() == [2.5, 1.0]


def test_vectors_join_to_pairs():
    """Pairs know which prompt each item answers."""
    pairs = read_preferences(ROWS).to_pairs(np.eye(4))
    assert pairs.ids.tolist() == [[0, 1], [2, 3]]
    assert pairs.prompt_ids.tolist() == [0, 0, 1, 1]


def test_a_wrong_number_of_vectors_is_refused():
    """Vectors and items correspond."""
    with pytest.raises(InvalidInputError, match="4 vectors, one per item; got 3"):
        read_preferences(ROWS).to_pairs(np.eye(3))


def test_repr_counts_pairs_items_and_prompts():
    """A glance tells the size."""
    text = repr(read_preferences(ROWS))
    assert text == "Preferences(2 pairs, 4 items, 2 prompts, pairs)"


def test_a_frame_has_the_texts_of_each_pair():
    """One row for each pair, with all that is known of it."""
    frame = read_preferences(ROWS).to_frame()
    assert frame.columns.tolist() == [
        *("prompt", "first", "second", "y", "source_row", "margin", "subset")
    ]
    assert frame[["prompt", "first", "second", "y"]].to_numpy().tolist() == [
        ["p", "a", "b", 1.0],
        ["q", "a", "c", 0.25],
    ]


def test_a_frame_reads_back_as_the_same_preferences():
    """to_frame loses nothing that the pairs hold."""
    preferences = read_preferences(ROWS)
    columns = {"chosen": "first", "rejected": "second"}
    frame = preferences.to_frame().drop(columns="source_row")
    again = read_preferences(frame, columns=columns)
    pd.testing.assert_frame_equal(again.items, preferences.items)
    pd.testing.assert_frame_equal(again.pairs, preferences.pairs)


def test_a_frame_without_pairs_is_empty():
    """Ratings alone have no pairs yet."""
    assert len(_rated([1, 2]).to_frame()) == 0


def test_a_frame_of_cross_prompt_pairs_is_refused():
    """One prompt column cannot hold two prompts."""
    items = pd.DataFrame(
        {"prompt_id": [0, 1], "prompt": ["p", "q"], "response": ["a"] * 2}
    )
    pairs = pd.DataFrame({"first": [0], "second": [1], "y": [1.0], "source_row": [0]})
    crossing = Preferences(items, pairs, ReadReport("test", "test"))
    with pytest.raises(InvalidInputError, match="got two prompts in pair 0"):
        crossing.to_frame()


SCORES = st.lists(st.sampled_from([0.0, 1.0, 1.5, 4.0, None]), min_size=1, max_size=9)


@settings(max_examples=50)
@given(SCORES.filter(any), st.sampled_from([-1.0, 0.0, 1.0, 2.5]))
@pytest.mark.filterwarnings("ignore::embrm.exceptions.LeftOutWarning")
def test_pairs_by_score_are_those_of_brute_force(scores, min_gap):
    """Every pair with a sufficient gap is there once, with the right label."""
    rows = [
        {"prompt": "p", "response": f"r{n}", "score": score, "other": 0.0}
        for n, score in enumerate(scores)
    ]
    preferred = read_preferences(rows).prefer_by_score(min_gap=min_gap)
    score = preferred.items["score"].to_numpy()
    expected = {
        frozenset((i, j))
        for i, j in combinations(np.flatnonzero(~np.isnan(score)), 2)
        if abs(score[i] - score[j]) >= min_gap and (score[i] != score[j] or min_gap < 0)
    }
    first, second = preferred.pairs["first"], preferred.pairs["second"]
    assert {frozenset(pair) for pair in zip(first, second, strict=True)} == expected
    assert len(preferred) == len(expected)
    delta = score[first] - score[second]
    assert (preferred.y == (np.sign(delta) + 1) / 2).all()
    assert (preferred.pairs["gap"] == np.abs(delta)).all()


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=12))
def test_labels_by_score_are_balanced(scores):
    """First is preferred in half of the pairs, ties aside."""
    y = _rated(scores).prefer_by_score(min_gap=-1).y
    assert 0 <= (y == 1).sum() - (y == 0).sum() <= 1


def test_pairs_by_score_stay_within_their_prompt():
    """Scores of different prompts are not compared."""
    rows = [
        {"prompt": prompt, "response": f"r{n}", "score": n}
        for n, prompt in enumerate("pqpq")
    ]
    pairs = read_preferences(rows).prefer_by_score().pairs
    assert pairs[["first", "second", "y", "source_row"]].to_numpy().tolist() == [
        [2, 0, 1, 2],
        [1, 3, 0, 3],
    ]


def test_rank_zero_is_best():
    """Ranks count the other way."""
    row = {"prompt": "p", "responses": ["a", "b"], "ranks": [2, 1]}
    preferred = read_preferences([row]).prefer_by_score("rank")
    assert preferred.to_frame()["first"].tolist() == ["b"]


def test_a_text_is_not_paired_with_itself():
    """One response rated twice is no preference."""
    rows = [
        {"prompt": "p", "response": "a", "score": 1},
        {"prompt": "p", "response": "a", "score": 5},
    ]
    assert len(read_preferences(rows).prefer_by_score()) == 0


def test_items_and_account_stay():
    """Only the pairs are new."""
    rated = _rated([1, 2])
    preferred = rated.prefer_by_score()
    assert preferred.items is rated.items
    assert preferred.read_report is rated.read_report


def test_a_column_that_is_no_rating_is_refused():
    """The numeric columns are listed."""
    with pytest.raises(InvalidInputError, match="got 'quality'; numeric are: score"):
        _rated([1, 2]).prefer_by_score("quality")


def test_unpaired_labels_make_pairs():
    """A good response is preferred to a bad one."""
    rows = [
        {"prompt": "p", "completion": text, "label": label}
        for text, label in [("a", False), ("b", True), ("c", True)]
    ]
    frame = read_preferences(rows).prefer_by_score("label").to_frame()
    assert frame[["first", "second", "y"]].to_numpy().tolist() == [
        ["b", "a", 1.0],
        ["a", "c", 0.0],
    ]


@pytest.mark.realdata
def test_a_real_pool_gives_all_its_pairs(shared_data):
    """340,097 same-prompt pairs of different texts and gold, half of them first."""
    pool = read_preferences(shared_data / "pool_dev.parquet").prefer_by_score("gold")
    assert len(pool) == 340_097
    assert abs(pool.y.sum() - len(pool) / 2) <= 1


def test_some_pairs_can_be_taken():
    """A mask or positions keep pairs; items and report stay."""
    rows = [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(3)]
    read = read_preferences(rows)
    kept = read.take_pairs(np.array([True, False, True]))
    assert kept.pairs["source_row"].tolist() == [0, 2]
    assert kept.pairs.index.tolist() == [0, 1]
    assert kept.items is read.items
    assert len(read.take_pairs(np.array([1]))) == 1


def test_pairs_may_be_taken_by_a_series():
    """A mask computed from .pairs is a Series."""
    read = read_preferences(ROWS)
    assert read.take_pairs(read.pairs["y"] == 1).y.tolist() == [1.0]
    assert len(read.take_pairs([])) == 0


@pytest.mark.parametrize("pairs", [[True], [True] * 3, [2], [[0]], ["a"], [0.5]])
def test_pairs_that_are_not_there_cannot_be_taken(pairs):
    """A mask of other data takes nothing silently."""
    with pytest.raises(InvalidInputError, match="a mask of 2 pairs, or positions amo"):
        read_preferences(ROWS).take_pairs(pairs)


@pytest.mark.parametrize("column", ["prompt_id", "source_row", "response"])
def test_columns_that_number_rows_are_no_ratings(column):
    """Pairing by them would give nothing, or nonsense."""
    with pytest.raises(InvalidInputError, match=f"got '{column}'; numeric are: score"):
        _rated([1, 2]).prefer_by_score(column)


def test_the_labels_of_unpaired_data_are_truth_values():
    """As a frame or a CSV hands them over, they can be paired."""
    rows = [
        {"prompt": "p", "completion": text, "label": label}
        for text, label in [("a", np.False_), ("b", "true"), ("c", 1.0)]
    ]
    read = read_preferences(rows)
    assert read.items["label"].dtype == bool
    preferred = read.prefer_by_score("label")
    assert preferred.pairs["gap"].tolist() == [1.0, 1.0]
    assert {read.items["response"][n] for n in preferred.pairs["first"]} == {"a", "b"}


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["", "empty response", "label out of range"])))
def test_rows_read_are_rows_kept_and_rows_left_out(reasons):
    """n_read == n_kept + n_left_out after any sequence of rows."""
    report = ReadReport("prefs.jsonl", "pairs")
    for line, reason in enumerate(reasons, start=1):
        report.leave_out(reason, f"line {line}") if reason else report.keep()
    assert report.n_read == report.n_kept + report.n_left_out == len(reasons)


def test_reasons_stand_in_order_of_frequency():
    """The most frequent reason comes first."""
    report = ReadReport("frame", "pairs")
    report.leave_out("rare", "row 1")
    report.leave_out("usual", "row 2")
    report.leave_out("usual", "row 3")
    assert report.left_out == (
        LeftOut("usual", 2, ("row 2", "row 3")),
        LeftOut("rare", 1, ("row 1",)),
    )


def test_only_five_places_are_remembered():
    """A report of a million bad rows stays small."""
    report = ReadReport("frame", "pairs")
    for row in range(100):
        report.leave_out("empty response", f"row {row}")
    assert len(report.left_out[0].where) == 5


def test_text_says_that_there_are_more_places():
    """Places not listed are not passed over in silence."""
    report = ReadReport("frame", "pairs")
    for row in range(6):
        report.leave_out("empty response", f"row {row}")
    assert str(report).endswith(
        "6 empty response (row 0; row 1; row 2; row 3; row 4, ...)"
    )


def test_json_holds_the_counts():
    """to_json has what a report needs."""
    report = ReadReport("frame", "pairs")
    report.keep()
    report.leave_out("empty response", "row 1")
    assert report.to_json() == {
        "source": "frame",
        "format": "pairs",
        "n_read": 2,
        "n_kept": 1,
        "columns": {},
        "notes": [],
        "why": "",
        "left_out": [{"reason": "empty response", "n": 1, "where": ["row 1"]}],
    }


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4), max_size=20))
def test_all_pairs_of_a_prompt_and_only_those(prompt_ids):
    """The vectorised list equals the list by brute force."""
    ids = np.array(prompt_ids, dtype=int)
    expected = [[i, j] for i, j in combinations(range(len(ids)), 2) if ids[i] == ids[j]]
    assert same_prompt_pairs(ids).tolist() == expected


def test_prompt_ids_may_be_text():
    """Any ids that can be compared will do."""
    assert same_prompt_pairs(np.array(["b", "a", "b"])).tolist() == [[0, 2]]


def test_the_former_names_of_the_report_warn_and_work():
    """Files and notebooks that say account go on for a version."""
    import embrm.datasets

    read = read_preferences([{"prompt": "p", "chosen": "a", "rejected": "b"}])
    with pytest.warns(FutureWarning, match=r"read_report") as caught:
        assert read.account is read.read_report
    assert caught[0].filename == __file__
    with pytest.warns(FutureWarning, match="is now ReadReport"):
        assert embrm.datasets.Account is ReadReport
    with pytest.raises(AttributeError, match="no attribute 'Accounts'"):
        _ = embrm.datasets.Accounts
