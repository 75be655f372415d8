"""Check a LightGBM model text before LightGBM's parser sees it.

The parser reads past the end of truncated text, and allocates sizes given in the text.
What is checked here is the layout that `Booster.model_to_string` writes (version 4):
a header, blocks of trees whose sizes the header lists, and a trailer.

Checks of stored trees before a native parser may see them.

The parsers of LightGBM and XGBoost follow child indices without looking: one that is
out of range, or leads back, ends or hangs the process, and no exception is raised.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from embrm._typing import AnyArray, IntArray
from embrm.exceptions import IntegrityError

MAGIC = b"tree\n"
_TRAILER = re.compile(
    r"end of trees\n\nfeature_importances:\n(?:[^\n=]+=[0-9.e+-]+\n)*\n"
    r"parameters:\n(?:\[[a-z0-9_]+: [^\n]*\]\n)*\nend of parameters\n\n"
    r"pandas_categorical:null\n"
)
_PLAIN = re.compile(r"[ -~\n]*")
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+][0-9]+)?"
_NUMBERS = re.compile(rf"(?:{_NUMBER}(?: {_NUMBER})*)?")
_INTEGERS = re.compile(r"(?:-?[0-9]{1,9}(?: -?[0-9]{1,9})*)?")
_OF_SPLITS = ("split_feature", "threshold", "decision_type", "left_child")
_ALSO_OF_SPLITS = ("split_gain", "internal_value", "internal_weight", "internal_count")
_ALSO_OF_LEAVES = ("leaf_weight", "leaf_count")


def check_lightgbm_text(blob: bytes) -> None:
    """Check that a text is a whole LightGBM model of plain trees.

    Parameters
    ----------
    blob : bytes

    Raises
    ------
    IntegrityError
        If it is cut, is not laid out as LightGBM lays it out, has indices that lead
        nowhere, several classes, categorical splits or linear leaves.
    """
    text = blob.decode("latin-1")
    # A carriage return ends a line, too, where the parser looks for line feeds.
    require(_PLAIN.fullmatch(text), "plain text in ASCII", "other characters")
    header, found, _ = text.partition("\n\n")
    require(found, "a header that ends in an empty line", "none")
    # A random forest says so in a line without a value.
    lines = [line for line in header.split("\n") if line != "average_output"]
    fields = _fields(lines[1:])
    n_features = _check_header(fields)
    start = len(header) + 2
    for number, size in enumerate(_integers(fields, "tree_sizes")):
        block = text[start : start + size]
        _check_tree(block, number, n_features)
        start += int(size)
    require(_TRAILER.fullmatch(text, start), "LightGBM's trailer", "another end")


def _fields(lines: list[str]) -> dict[str, str]:
    """Split lines of `key=value`, each key once."""
    pairs = [line.partition("=") for line in lines]
    require(all(sign for _, sign, _ in pairs), "lines of key=value", "another line")
    fields = {key: value for key, _, value in pairs}
    require(len(fields) == len(pairs), "each key once", "a duplicate key")
    return fields


def _check_header(fields: dict[str, str]) -> int:
    for name in ("num_class", "num_tree_per_iteration"):
        require(integer(fields, name) == 1, f"{name}=1", fields[name])
    n_features = integer(fields, "max_feature_idx") + 1
    for name in ("feature_names", "feature_infos"):
        n_named = len(fields.get(name, "").split(" "))
        require(n_named == n_features, f"{n_features} {name}", n_named)
    return n_features


def _check_tree(block: str, number: int, n_features: int) -> None:
    require(block.endswith("\n\n"), f"tree {number} whole", "a tree that is cut")
    fields = _fields(block.rstrip("\n").split("\n"))
    require(fields.get("Tree") == str(number), f"Tree={number}", fields.get("Tree"))
    n_leaves = integer(fields, "num_leaves")
    n_splits = n_leaves - 1
    require(n_splits >= 0, "a leaf in each tree", f"num_leaves={n_leaves}")
    require(integer(fields, "num_cat") == 0, "no categorical split", "one")
    require(fields.get("is_linear", "0") == "0", "constant leaves", "linear leaves")
    require(
        _NUMBERS.fullmatch(fields.get("shrinkage", "1")), "a shrinkage", "no number"
    )
    for name in (*_OF_SPLITS, "right_child"):
        _require_length(fields, name, (n_splits,))
    _require_length(fields, "leaf_value", (n_leaves,))
    # Where there is one leaf only, LightGBM leaves its statistics out.
    for name in _ALSO_OF_SPLITS:
        _require_length(fields, name, (n_splits, 0))
    for name in _ALSO_OF_LEAVES:
        _require_length(fields, name, (n_leaves, 0))
    check_indices(_integers(fields, "split_feature"), n_features, "split_feature")
    # Bit 0 marks a categorical split; bits 2 and 3 say what counts as missing.
    decisions = _integers(fields, "decision_type")
    require(
        np.all(np.isin(decisions, (0, 2, 4, 6, 8, 10))),
        "numerical decisions",
        "another decision_type",
    )
    _check_links(fields, n_splits, n_leaves)


def _check_links(fields: dict[str, str], n_splits: int, n_leaves: int) -> None:
    """Check children: splits by index, leaves by its complement."""
    splits = np.arange(n_splits)
    parents = np.concatenate([splits, splits])
    children = np.concatenate(
        [_integers(fields, "left_child"), _integers(fields, "right_child")]
    )
    inner = children >= 0
    check_children(parents[inner], children[inner], n_splits)
    check_indices(~children[~inner], n_leaves, "leaf")


def _require_length(fields: dict[str, str], name: str, sizes: tuple[int, ...]) -> None:
    values = fields.get(name, "")
    require(_NUMBERS.fullmatch(values), f"numbers in '{name}'", "something else")
    n_values = len(values.split())
    require(n_values in sizes, f"{sizes[0]} values of '{name}'", n_values)


def _integers(fields: dict[str, str], name: str) -> AnyArray:
    values = fields.get(name, "")
    require(_INTEGERS.fullmatch(values), f"integers in '{name}'", "something else")
    return np.array([int(value) for value in values.split()], dtype=np.int64)


_INTEGER = re.compile(r"-?[0-9]{1,9}")


def damaged(expected: str, got: str) -> IntegrityError:
    """Write the error for a native model file that must not be parsed."""
    return IntegrityError.of(
        expected=f"a native model file with {expected}",
        got=got,
        fix="copy the bundle again, or fit again",
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
