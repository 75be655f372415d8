"""Building: equal texts are one item, columns have types, bad cells are refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.datasets import ReadReport
from embrm.datasets._building import PreferencesBuilder
from embrm.datasets.formats import RowReader
from embrm.exceptions import DataError

MESSAGES = [{"role": "user", "content": "p"}]


def _row(*items, pair=None):
    reader = RowReader()
    for prompt, response, attributes in items:
        reader.item(prompt, response, **attributes)
    if pair is not None:
        reader.pair(0, 1, **pair)
    return reader


def _built(*rows):
    builder = PreferencesBuilder()
    for number, row in enumerate(rows):
        builder.add(row, number)
    return builder.build(ReadReport("test", "test"))


def _pair(**pair):
    return _row(("p", "a", {}), ("p", "b", {}), pair=pair)


def test_equal_texts_are_one_item():
    """A response that stands in two rows is embedded once."""
    built = _built(_row(("p", "a", {})), _row(("p", "b", {})), _row(("p", "a", {})))
    assert built.items["response"].tolist() == ["a", "b"]


def test_an_item_remembers_the_row_where_it_first_stood():
    """source_row is that of the first appearance."""
    built = _built(_row(("p", "a", {})), _row(("p", "a", {})), _row(("p", "b", {})))
    assert built.items["source_row"].tolist() == [0, 2]


def test_equal_texts_with_other_ratings_are_two_items():
    """Two annotators' ratings of one response are both kept."""
    built = _built(_row(("p", "a", {"score": 1.0})), _row(("p", "a", {"score": 2.0})))
    assert built.items["score"].tolist() == [1.0, 2.0]


def test_missing_ratings_are_equal():
    """NaN does not tell items apart."""
    nan = {"score": math.nan}
    built = _built(_row(("p", "a", nan)), _row(("p", "a", {"score": float("nan")})))
    assert len(built.items) == 1


def test_both_spellings_of_a_prompt_are_one_prompt():
    """Text and a single user message share the id, and the first spelling stays."""
    built = _built(_row(("p", "a", {})), _row((MESSAGES, "b", {})))
    assert built.items["prompt_id"].tolist() == [0, 0]
    assert built.items["prompt"].tolist() == ["p", "p"]


def test_prompt_ids_count_in_order_of_appearance():
    """The first prompt is 0."""
    built = _built(*(_row((prompt, "a", {})) for prompt in "zazb"))
    assert built.items["prompt_id"].tolist() == [0, 1, 2]


def test_messages_lose_what_is_not_role_or_content():
    """Prompts are stored as plain dicts of role and content."""
    message = {"role": "user", "content": "p", "name": None}
    built = _built(_row(([message, *MESSAGES], "a", {})))
    assert built.items["prompt"][0] == [*MESSAGES, *MESSAGES]


def test_pairs_point_at_items_of_the_whole():
    """Numbers within a row become rows of the item table."""
    built = _built(_row(("p", "b", {})), _pair(y=0.5))
    assert built.pairs.to_dict("records") == [
        {"first": 1, "second": 0, "y": 0.5, "source_row": 1}
    ]


def test_absent_columns_are_absent():
    """Without margins there is no column of margins."""
    assert list(_built(_pair(y=1)).pairs) == ["first", "second", "y", "source_row"]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], np.int64),
        ([1, None], np.float64),
        ([1, 0.5], np.float64),
        ([True, False], np.bool_),
        ([True, None], np.float64),
        ([True, 2], np.float64),
        ([0.5, float("nan")], np.float64),
    ],
)
def test_numeric_columns_are_numeric(values, dtype):
    """Numbers are float where some are missing or some are not whole."""
    rows = [
        _row(("p", f"a{n}", {}), ("p", "b", {}), pair={"y": 1, "votes": value})
        for n, value in enumerate(values)
    ]
    assert _built(*rows).pairs["votes"].dtype == dtype


def test_columns_of_text_are_text_and_may_be_missing():
    """A row without a subset has none."""
    subsets = _built(_pair(y=1, subset="s"), _pair(y=0)).pairs["subset"]
    assert subsets[0] == "s"
    assert subsets.isna().tolist() == [False, True]


def test_mixed_columns_keep_their_values():
    """Text beside numbers stays as it is."""
    tags = _built(_pair(y=1, tag="s"), _pair(y=0, tag=3)).pairs["tag"]
    assert tags.tolist() == ["s", 3]


@pytest.mark.parametrize("name", ["margin", "weight"])
def test_margin_and_weight_are_float(name):
    """Whole margins are floats all the same."""
    assert _built(_pair(y=1, **{name: 2})).pairs[name].dtype == np.float64


def test_ratings_of_items_are_float_and_ranks_are_not():
    """Attributes are float; rank and label keep their kind."""
    row = _row(("p", "a", {"score": 3, "rank": 0, "label": True}))
    dtypes = _built(row).items[["score", "rank", "label"]].dtypes.tolist()
    assert dtypes == [np.float64, np.int64, np.bool_]


@pytest.mark.parametrize("value", [10**400, -(2**63) - 1])
def test_integers_beyond_64_bits_become_text(value):
    """No digit of a long id is lost."""
    assert _built(_pair(y=1, vote=value)).pairs["vote"][0] == str(value)


def test_an_empty_builder_builds_empty_tables():
    """The columns are there without rows."""
    built = _built()
    assert list(built.items) == ["prompt_id", "prompt", "response", "source_row"]
    assert len(built) == len(built.texts) == 0


def test_hundreds_of_columns_build_without_a_warning():
    """Wide rows are no reason for a performance warning."""
    wide = {f"c{n}": n for n in range(300)}
    assert _built(_pair(y=1, **wide)).pairs.shape == (1, 304)


@pytest.mark.parametrize(
    "row",
    [
        _row(("\ud800", "a", {})),
        _row(("p", "a\udfff", {})),
        _row(("p", "a", {"model": "\ud800"})),
        _row(("p", "a", {}), ("p", "b", {}), pair={"y": 1, "\ud800": 3}),
    ],
)
def test_half_a_surrogate_pair_is_refused(row):
    """JSON can spell what UTF-8 cannot write."""
    with pytest.raises(DataError, match="valid Unicode; got half of a surrogate"):
        _built(row)


def test_a_row_without_items_is_refused():
    """A row must hold a response."""
    with pytest.raises(DataError, match="at least one response; got none"):
        _built(_row())


def test_a_refused_row_leaves_nothing_behind():
    """Items of a row with a bad pair do not enter."""
    builder = PreferencesBuilder()
    with pytest.raises(DataError, match="valid Unicode"):
        builder.add(_pair(y=1, subset="\ud800"), 0)
    assert len(builder.build(ReadReport("test", "test")).items) == 0


TEXTS = st.sampled_from(["a", "b", "c"])


@settings(max_examples=40)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from([None, 1.0, 2.0]))))
def test_items_are_the_distinct_texts_and_ratings(triples):
    """Nothing is merged that differs, and nothing equal stands twice."""
    built = _built(*(_row((p, r, {"score": s})) for p, r, s in triples))
    assert len(built.items) == len(set(triples))
    assert built.items["prompt_id"].nunique() == len({p for p, _, _ in triples})
