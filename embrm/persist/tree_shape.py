"""What is asked of stored trees before a native parser may see them.

The parsers of LightGBM and XGBoost follow child indices without looking: one that is
out of range, or leads back, ends or hangs the process, and no exception is raised.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from embrm._typing import IntArray
from embrm.exceptions import IntegrityError, three_parts

_INTEGER = re.compile(r"-?[0-9]{1,9}")


def damaged(expected: str, got: str) -> IntegrityError:
    """Write the error for a native model file that must not be parsed."""
    return IntegrityError(
        three_parts(
            expected=f"a native model file with {expected}",
            got=got,
            cure="copy the bundle again, or fit again",
        )
    )


def require(condition: Any, expected: str, got: Any) -> None:
    """Raise `IntegrityError` unless a condition holds."""
    if not condition:
        raise damaged(expected, str(got)[:60])


def integer(fields: Mapping[str, Any], name: str) -> int:
    """Read an integer that is stored as text.

    Examples
    --------
    >>> integer({"num_leaves": "4"}, "num_leaves")
    4
    """
    text = fields.get(name)
    if not isinstance(text, str) or not _INTEGER.fullmatch(text):
        raise damaged(f"an integer '{name}'", str(text)[:40])
    return int(text)


def check_children(parents: IntArray, children: IntArray, n_nodes: int) -> None:
    """Check that children come after their parents, and belong to one each.

    No path through such nodes leaves the table or comes back to where it was.

    Parameters
    ----------
    parents, children : ndarray of int of shape (n_edges,)
    n_nodes : int

    Raises
    ------
    IntegrityError
        If a child is out of range, not after its parent, or has two parents.

    Examples
    --------
    >>> check_children(np.array([0, 0]), np.array([1, 2]), 3)
    """
    require(
        np.all((children > parents) & (children < n_nodes)),
        "children after their parents",
        "a child out of range",
    )
    require(
        len(np.unique(children)) == len(children),
        "one parent for each node",
        "two parents",
    )


def check_indices(indices: IntArray, size: int, name: str) -> None:
    """Check that indices are in [0, size)."""
    require(
        np.all((indices >= 0) & (indices < size)),
        f"'{name}' in [0, {size})",
        "an index out of range",
    )
