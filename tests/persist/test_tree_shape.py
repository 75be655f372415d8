"""What is asked of stored trees."""

import numpy as np
import pytest

from embrm.exceptions import IntegrityError
from embrm.persist.tree_shape import check_children, check_indices, integer


def test_a_tree_passes():
    """A root, two children, and two of the first child's."""
    check_children(np.array([0, 0, 1, 1]), np.array([1, 2, 3, 4]), 5)


@pytest.mark.parametrize(
    ("parents", "children", "message"),
    [
        ([0, 1], [1, 0], "children after their parents"),
        ([0], [0], "children after their parents"),
        ([0], [5], "children after their parents"),
        ([0], [-7], "children after their parents"),
        ([0, 0], [1, 1], "one parent for each node"),
    ],
)
def test_loops_and_ways_out_are_refused(parents, children, message):
    """A walk through the nodes always ends, and inside."""
    with pytest.raises(IntegrityError, match=message):
        check_children(np.array(parents), np.array(children), 5)


@pytest.mark.parametrize("index", [-1, 3, 2**40])
def test_indices_stay_inside(index):
    """In [0, size)."""
    with pytest.raises(IntegrityError, match=r"'leaf' in \[0, 3\)"):
        check_indices(np.array([0, index]), 3, "leaf")


@pytest.mark.parametrize("text", [None, "", "x", "1.0", "1e9", "1" * 10, 3])
def test_integers_are_short_and_plain(text):
    """No float, no exponent, none that overflows."""
    with pytest.raises(IntegrityError, match="an integer 'n'"):
        integer({"n": text}, "n")
