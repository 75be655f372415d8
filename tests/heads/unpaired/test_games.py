"""Games are checked, and written in one canonical form."""

import numpy as np
import pandas as pd
import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads.unpaired.games import check_names, make_games


def test_orientation_order_and_copies_do_not_matter():
    """Weights add up; the first name is the smaller."""
    one = make_games([["a", "b"], ["c", "a"], ["b", "a"]], [1, 0.5, 0])
    other = make_games(
        [["a", "c"], ["a", "b"]], [0.5, 1], sample_weight=np.array([1, 2])
    )
    assert one.names.tolist() == ["a", "b", "c"]
    for name in ("first", "second", "y", "weight"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.n_games().tolist() == [3, 2, 1]


def test_games_without_weight_are_removed_with_their_items():
    """An item that never plays has no score."""
    games = make_games([[0, 1], [1, 2]], None, [1, 0])
    assert games.names.tolist() == [0, 1]


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"model_a": ["x", "y"], "model_b": ["y", "x"]}),
        pd.DataFrame({"a": ["x", "y"], "b": ["y", "x"]}, dtype=object),
        np.array([["x", "y"], ["y", "x"]], dtype=object),
        [("x", "y"), ("y", "x")],
    ],
)
def test_names_come_from_frames_arrays_and_lists(table):
    """All the same."""
    assert check_names(table).tolist() == [["x", "y"], ["y", "x"]]


def test_components_are_strong_along_wins_and_weak_along_games():
    """a beats b, b ties c; d and e play each other."""
    games = make_games([["a", "b"], ["b", "c"], ["d", "e"]], [1, 0.5, 0.3])
    strong, weak = games.components(strong=True), games.components(strong=False)
    assert len(set(strong)) == 3
    assert strong[1] == strong[2]
    assert strong[3] == strong[4]
    assert len(set(weak)) == 2


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "at least one game"),
        (["ab", "cd"], r"shape \(2,\)"),
        ([["a", "b", "c"]], r"shape \(1, 3\)"),
        ([["a", None]], "none missing; got dtype object"),
        ([[1.5, 2.0]], "dtype float64"),
        ([["a", "b"], ["a", "a"]], r"against itself at game 1 \(1 such"),
    ],
)
def test_bad_names_are_refused(ids, message):
    """Shape, kind, missing names, self games."""
    with pytest.raises(InvalidInputError, match=message):
        make_games(ids)


def test_integers_in_objects_are_integers():
    """As frames of mixed columns hold them; booleans are not names."""
    assert check_names(np.array([[1, 2]], dtype=object)).dtype == np.int64
    with pytest.raises(InvalidInputError, match="all integers"):
        check_names(np.array([[True, 2]], dtype=object))
