"""Check an XGBoost model before XGBoost's parser sees it.

The parser trusts lengths and child indices. What is checked here is what
`Booster.save_raw("ubj")` writes for boosted trees with one output.

Read UBJSON within bounds: what XGBoost writes, and nothing outside the bytes.

Types are those of https://ubjson.org; XGBoost adds that lengths are always `L` (eight
bytes, big-endian) and writes numeric arrays with a type and a count.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from embrm._typing import AnyArray
from embrm.persist._lightgbm_text import (
    check_children,
    check_indices,
    damaged,
    integer,
    require,
)

MAGIC = b"{"
_NO_PARENT = 2**31 - 1
_INTEGER_ARRAYS = {
    "left_children": "i4",
    "right_children": "i4",
    "parents": "i4",
    "split_indices": "i4",
    "default_left": "u1",
    "split_type": "u1",
}
_FLOAT_ARRAYS = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
_CATEGORICAL = (
    "categories",
    "categories_nodes",
    "categories_segments",
    "categories_sizes",
)


def check_xgboost_ubjson(blob: bytes) -> None:
    """Check that bytes are a whole XGBoost model of plain trees.

    Parameters
    ----------
    blob : bytes

    Raises
    ------
    IntegrityError
        If they are no UBJSON, lack something, hold indices that lead nowhere, or
        another booster than trees with numerical splits and one output.
    """
    learner = _part(parse_ubjson(blob), "learner", dict)
    shape = _part(learner, "learner_model_param", dict)
    require(integer(shape, "num_class") in (0, 1), "one output", "several classes")
    n_features = integer(shape, "num_feature")
    _part(_part(learner, "objective", dict), "name", str)
    booster = _part(learner, "gradient_booster", dict)
    name = _part(booster, "name", str)
    require(name in ("gbtree", "dart"), "boosted trees", name)
    model = _part(
        _part(booster, "gbtree", dict) if name == "dart" else booster, "model", dict
    )
    trees = _part(model, "trees", list)
    if name == "dart":
        n_weights = len(_part(booster, "weight_drop", list))
        require(n_weights == len(trees), "a weight for each tree", n_weights)
    _check_numbers(model, len(trees))
    for number, tree in enumerate(trees):
        require(isinstance(tree, dict), "trees", type(tree).__name__)
        require(tree.get("id") == number, f"tree {number}", "another tree there")
        _check_tree(tree, n_features)


def _check_numbers(model: Mapping[str, Any], n_trees: int) -> None:
    params = _part(model, "gbtree_model_param", dict)
    require(integer(params, "num_trees") == n_trees, f"{n_trees} trees", "others")
    require(integer(params, "num_parallel_tree") >= 1, "parallel trees >= 1", "fewer")
    groups = _integers(model, "tree_info")
    require(groups == [0] * n_trees, "one output for each tree", "others")
    rounds = _integers(model, "iteration_indptr")
    require(
        rounds == sorted(rounds) and rounds[:1] == [0] and rounds[-1:] == [n_trees],
        f"rounds from 0 to {n_trees}",
        "others",
    )


def _check_tree(tree: Mapping[str, Any], n_features: int) -> None:
    params = _part(tree, "tree_param", dict)
    n_nodes = integer(params, "num_nodes")
    require(n_nodes >= 1, "a node in each tree", n_nodes)
    require(integer(params, "num_feature") == n_features, f"d={n_features}", "another")
    require(integer(params, "size_leaf_vector") in (0, 1), "one output", "several")
    require(integer(params, "num_deleted") >= 0, "num_deleted >= 0", "less")
    arrays = {
        name: _array(tree, name, dtype, n_nodes)
        for name, dtype in _INTEGER_ARRAYS.items()
    }
    for name in _FLOAT_ARRAYS:
        _array(tree, name, "f4", n_nodes)
    for name in _CATEGORICAL:
        require(len(_array(tree, name, None, 0)) == 0, "no categories", name)
    require(not arrays["split_type"].any(), "numerical splits", "categorical ones")
    _check_links(arrays, n_features, n_nodes)


def _check_links(arrays: Mapping[str, AnyArray], n_features: int, n_nodes: int) -> None:
    left, right = arrays["left_children"], arrays["right_children"]
    require(np.all((left == -1) == (right == -1)), "two children or none", "one")
    # Nodes that pruning deleted keep a slot that nothing leads to.
    splits = np.flatnonzero(left != -1)
    check_indices(arrays["split_indices"][splits], n_features, "split_indices")
    ups = np.concatenate([splits, splits])
    children = np.concatenate([left[splits], right[splits]])
    check_children(ups, children, n_nodes)
    back = arrays["parents"]
    require(np.all(back[children] == ups), "parents that match children", "others")
    require(back[0] == _NO_PARENT, "a root without a parent", "a parent")
    deleted = np.setdiff1d(np.arange(1, n_nodes), children)
    check_indices(back[deleted], n_nodes, "parents")


def _part(values: Any, name: str, kind: type) -> Any:
    part = values.get(name) if isinstance(values, dict) else None
    require(isinstance(part, kind), f"'{name}', a {kind.__name__}", type(part).__name__)
    return part


def _integers(values: Mapping[str, Any], name: str) -> list[int]:
    array = values.get(name)
    numbers = array.tolist() if isinstance(array, np.ndarray) else array
    good = isinstance(numbers, list) and all(type(n) is int for n in numbers)
    require(good, f"integers in '{name}'", type(array).__name__)
    return list(numbers or [])


def _array(
    values: Mapping[str, Any], name: str, dtype: str | None, size: int
) -> AnyArray:
    array = values.get(name)
    if isinstance(array, list) and not array:
        array = np.empty(0)
    require(isinstance(array, np.ndarray), f"an array '{name}'", type(array).__name__)
    checked: AnyArray = np.asarray(array)
    require(len(checked) == size, f"{size} values of '{name}'", len(checked))
    if dtype is not None and size:
        fits = checked.dtype == np.dtype(f">{dtype}")
        require(fits, f"'{name}' of type {dtype}", checked.dtype)
    return checked


_NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8"} | {
    "d": ">f4",
    "D": ">f8",
}
_CONSTANTS = {"T": True, "F": False, "Z": None}
_MAX_DEPTH = 16


def parse_ubjson(data: bytes) -> Any:
    """Parse UBJSON strictly.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    dict, list, ndarray, str, number, bool or None
        Arrays with a type and a count are ndarrays.

    Raises
    ------
    IntegrityError
        If a length exceeds the bytes, a marker is unknown, a key is duplicate,
        values are nested more than 16 deep, or bytes are left over.

    Examples
    --------
    >>> parse_ubjson(
    ...     b"{" + b"L" + (1).to_bytes(8, "big") + b"a" + b"U" + bytes([7]) + b"}"
    ... )
    {'a': 7}
    """
    reader = _Reader(data)
    value = reader.value(reader.marker(), 0)
    require(reader.at == len(data), "one value", "bytes after its end")
    return value


class _Reader:
    """A place in the bytes; every step forward is checked."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """Take the next bytes."""
        end = self.at + size
        require(0 <= size <= len(self.data) - self.at, "whole values", "a cut")
        start, self.at = self.at, end
        return self.data[start:end]

    def marker(self) -> str:
        """Take the next marker."""
        return self.take(1).decode("latin-1")

    def peek(self) -> str:
        """Look at the next marker."""
        return self.data[self.at : self.at + 1].decode("latin-1")

    def value(self, marker: str, depth: int) -> Any:
        """Take the value that a marker announces."""
        require(depth <= _MAX_DEPTH, "values nested 16 deep at most", "more")
        if marker == "{":
            return self.object(depth)
        if marker == "[":
            return self.array(depth)
        if marker == "S":
            return self.text()
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        return self.numbers(marker, 1)[0].item()

    def object(self, depth: int) -> dict[str, Any]:
        """Take the rest of an object."""
        values: dict[str, Any] = {}
        while self.peek() != "}":
            key = self.text()
            require(key not in values, "each key once", "a duplicate key")
            values[key] = self.value(self.marker(), depth + 1)
        self.at += 1
        return values

    def array(self, depth: int) -> Any:
        """Take the rest of an array: typed, counted, or closed by a bracket."""
        if self.peek() == "$":
            self.at += 1
            kind = self.marker()
            return self.numbers(kind, self.count())
        if self.peek() == "#":
            count = self.count()
            # Each value takes a byte at least: a count beyond them is a lie.
            require(count <= len(self.data) - self.at, "whole values", "a cut")
            return [self.value(self.marker(), depth + 1) for _ in range(count)]
        values = []
        while self.peek() != "]":
            values.append(self.value(self.marker(), depth + 1))
        self.at += 1
        return values

    def numbers(self, kind: str, count: int) -> np.ndarray[Any, Any]:
        """Take numbers of one type."""
        if kind not in _NUMBERS:
            raise damaged("markers of UBJSON", repr(kind))
        dtype = np.dtype(_NUMBERS[kind])
        require(0 <= count <= len(self.data), "whole values", "a cut")
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)

    def count(self) -> int:
        """Take a `#` and the length that follows."""
        require(self.marker() == "#", "a count after a type", "none")
        return self.length()

    def length(self) -> int:
        """Take a length."""
        require(self.marker() == "L", "lengths of type L", "another type")
        size = int(self.numbers("L", 1)[0])
        require(size >= 0, "lengths >= 0", size)
        return size

    def text(self) -> str:
        """Take a length and as much text."""
        data = self.take(self.length())
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise damaged("text in UTF-8", "other bytes") from error
