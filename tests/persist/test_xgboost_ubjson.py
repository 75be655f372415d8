"""XGBoost's bytes are checked before XGBoost sees them."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.exceptions import IntegrityError
from embrm.persist._xgboost_ubjson import check_xgboost_ubjson, parse_ubjson


def fitted_bytes(**params) -> bytes:
    """Fit a small XGBoost classifier and write it as UBJSON."""
    import xgboost

    rng = np.random.default_rng(0)
    items = rng.normal(size=(200, 4))
    won = (items[:, 0] + rng.normal(size=200) > 0).astype(int)
    estimator = xgboost.XGBClassifier(**({"n_estimators": 5} | params))
    return bytes(estimator.fit(items, won).get_booster().save_raw("ubj"))


def replaced(blob: bytes, old: bytes, new: bytes) -> bytes:
    """Replace bytes once, and make sure that they were there."""
    assert old in blob
    return blob.replace(old, new, 1)


def number(name: bytes, value: bytes) -> bytes:
    """Write a key and a number that is stored as text, as XGBoost does."""
    size = b"L" + len(value).to_bytes(8, "big")
    return name + b"S" + size + value


def array_of(blob: bytes, name: bytes) -> int:
    """Find where the first value of the first array of a name stands."""
    start = blob.index(name + b"[$") + len(name)
    return start + len(b"[$l#L") + 8


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"booster": "dart", "rate_drop": 0.5},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"tree_method": "exact", "gamma": 2},
        {"tree_method": "approx"},
        {"grow_policy": "lossguide", "max_leaves": 5, "max_depth": 0},
        {"min_child_weight": 1e9},
        {"n_estimators": 1},
    ],
    ids=str,
)
def test_what_xgboost_writes_passes(params):
    """Every booster whose trees are plain, pruned ones too."""
    check_xgboost_ubjson(fitted_bytes(**params))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"learner{", b"burners{", "'learner', a dict"),
        (number(b"num_class", b"0"), number(b"num_class", b"3"), "one output"),
        (number(b"num_trees", b"5"), number(b"num_trees", b"6"), "5 trees"),
        (number(b"num_feature", b"4"), number(b"num_feature", b"9"), "d="),
        (number(b"name", b"gbtree"), number(b"name", b"gblink"), "boosted trees"),
        (b"left_children", b"lost_children", "an array 'left_children'"),
        (b"tree_info", b"tree_data", "integers in 'tree_info'"),
        (b"idi\x01", b"idi\x02", "tree 1"),
        (b"binary:logistic", b"binary:logisti", "lengths of type L|whole|UTF-8"),
    ],
)
def test_what_does_not_fit_is_refused(old, new, message):
    """Missing parts, several outputs, other boosters."""
    blob = replaced(fitted_bytes(), old, new)
    with pytest.raises(IntegrityError, match=message):
        check_xgboost_ubjson(blob)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (b"left_children", 0, "children after their parents"),
        (b"left_children", 2**20, "children after their parents"),
        (b"left_children", -1, "two children or none"),
        (b"right_children", 1, "one parent for each node"),
        (b"parents", 0, "a root without a parent"),
        (b"split_indices", 4, "'split_indices' in"),
        (b"split_indices", -1, "'split_indices' in"),
    ],
)
def test_indices_that_lead_nowhere_are_refused(name, value, message):
    """XGBoost follows them without looking."""
    blob = bytearray(fitted_bytes())
    at = array_of(blob, name)
    blob[at : at + 4] = value.to_bytes(4, "big", signed=True)
    with pytest.raises(IntegrityError, match=message):
        check_xgboost_ubjson(bytes(blob))


def test_parents_must_match_children():
    """A wrong way up makes XGBoost walk for ever."""
    blob = bytearray(fitted_bytes())
    at = array_of(blob, b"parents") + 4
    blob[at : at + 4] = (2).to_bytes(4, "big")
    with pytest.raises(IntegrityError, match="parents that match children"):
        check_xgboost_ubjson(bytes(blob))


def test_categorical_splits_are_refused():
    """A split type that is not zero."""
    blob = bytearray(fitted_bytes())
    blob[array_of(blob, b"split_type")] = 1
    with pytest.raises(IntegrityError, match="numerical splits"):
        check_xgboost_ubjson(bytes(blob))


def test_another_booster_is_refused():
    """gblinear has no trees; there is a linear head."""
    with pytest.raises(IntegrityError, match="boosted trees; got gblinear"):
        check_xgboost_ubjson(fitted_bytes(booster="gblinear"))


@given(end=st.integers(0, 20_000))
@settings(max_examples=60)
def test_every_cut_is_refused(xgboost_ubjson, end):
    """A file that ends early is refused."""
    with pytest.raises(IntegrityError):
        check_xgboost_ubjson(xgboost_ubjson[: min(end, len(xgboost_ubjson) - 1)])


@given(data=st.data())
@settings(max_examples=150)
def test_changed_bytes_give_an_integrity_error_or_pass(xgboost_ubjson, data):
    """Never another error."""
    content = bytearray(xgboost_ubjson)
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    try:
        check_xgboost_ubjson(bytes(content))
    except IntegrityError:
        return
    assert len(content) == len(xgboost_ubjson)


def length(n: int) -> bytes:
    return b"L" + struct.pack(">q", n)


def text(value: str) -> bytes:
    return length(len(value.encode())) + value.encode()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"Z", None),
        (b"T", True),
        (b"F", False),
        (b"i\xff", -1),
        (b"U\xff", 255),
        (b"I" + struct.pack(">h", -300), -300),
        (b"l" + struct.pack(">i", 70000), 70000),
        (b"L" + struct.pack(">q", 2**40), 2**40),
        (b"d" + struct.pack(">f", 0.5), 0.5),
        (b"D" + struct.pack(">d", 0.1), 0.1),
        (b"S" + text("字"), "字"),
        (b"[]", []),
        (b"[Ti\x01]", [True, 1]),
        (b"[#" + length(2) + b"TF", [True, False]),
        (b"{}", {}),
        (b"{" + text("a") + b"[T]" + text("b") + b"Z}", {"a": [True], "b": None}),
    ],
)
def test_values_are_read(data, value):
    """All that XGBoost writes."""
    assert parse_ubjson(data) == value


def test_typed_arrays_are_ndarrays():
    """Big-endian, as they stand."""
    data = b"[$l#" + length(3) + struct.pack(">iii", 1, -2, 3)
    array = parse_ubjson(data)
    np.testing.assert_array_equal(array, [1, -2, 3])
    assert array.dtype == np.dtype(">i4")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "whole values"),
        (b"{", "whole values"),
        (b"[", "whole values"),
        (b"x", "markers of UBJSON; got 'x'"),
        (b"TT", "bytes after its end"),
        (b"S" + length(5) + b"abc", "whole values"),
        (b"S" + length(-1), "lengths >= 0"),
        (b"S" + length(2**62) + b"abc", "whole values"),
        (b"SU\x01a", "lengths of type L"),
        (b"S" + length(1) + b"\xff", "text in UTF-8"),
        (b"[$l#" + length(2**61), "whole values"),
        (b"[$l#" + length(3) + b"\0" * 11, "whole values"),
        (b"[$S#" + length(1) + text("a"), "markers of UBJSON; got 'S'"),
        (b"[$lT", "a count after a type"),
        (b"[#" + length(2**61), "whole values"),
        (b"{" + text("a") + b"T" + text("a") + b"T}", "each key once"),
        (b"[" * 1000 + b"]" * 1000, "nested 16 deep"),
    ],
)
def test_lies_about_lengths_and_types_are_refused(data, message):
    """Nothing is read outside the bytes, nothing is allocated for what is not there."""
    with pytest.raises(IntegrityError, match=message):
        parse_ubjson(data)


@given(st.binary(max_size=60))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(data):
    """No other error."""
    try:
        parse_ubjson(data)
    except IntegrityError:
        return
