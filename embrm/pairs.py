"""Pairs: ordered comparisons of two items, without copying the items.

The unit of training and of cross-validation is the pair; the unit of storage is the
item. `Pairs` holds the item matrix once and an index of pairs into it, and slices
like an array of shape (n_pairs, 2, d), so scikit-learn's splitters, `cross_val_score`
and `GridSearchCV` work on it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import check_items, check_pair_ids, check_prompt_ids, widened
from embrm.blocks import Blocks, check_blocks
from embrm.exceptions import invalid_input


class Pairs:
    """Ordered comparisons of two items: a row-sliceable view of an item matrix.

    Parameters
    ----------
    items : array-like of shape (n_items, d)
        Vectors, float16, float32 or float64; a memory map stays one. Never copied.
    ids : array-like of int of shape (n_pairs, 2)
        Rows of `items`: first and second of each pair.
    prompt_ids : array-like of shape (n_items,), optional
        Which prompt each item answers. Heads validate by it, `PromptGroupKFold`
        splits by it.
    blocks : mapping of str to slice, optional
        Named runs of columns that divide all of them, e.g. `{"minilm": slice(0, 384),
        "style": slice(384, 400)}`. Heads give each a prior of its own.

    Raises
    ------
    InvalidInputError
        If a shape, dtype or index is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> pairs = Pairs(np.eye(3), [[0, 1], [2, 1]], prompt_ids=["a", "a", "b"])
    >>> pairs
    Pairs(2 pairs, 3 items, d=3, float64, 50% cross-prompt)
    >>> pairs.shape
    (2, 2, 3)
    >>> pairs[[1]].first
    array([2])
    """

    ndim = 3

    def __init__(
        self,
        items: Any,
        ids: Any,
        prompt_ids: ArrayLike | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        self.items: FloatArray = check_items(items, finite=False)
        self.ids: IntArray = check_pair_ids(ids, n_items=len(self.items))
        self.prompt_ids: AnyArray | None = (
            None
            if prompt_ids is None
            else check_prompt_ids(prompt_ids, n_items=len(self.items))
        )
        self.blocks = check_blocks(blocks, self.items.shape[1])

    @classmethod
    def from_dense(cls, dense: ArrayLike) -> "Pairs":
        """Build pairs from an array of shape (n_pairs, 2, d); equal rows are one item.

        Parameters
        ----------
        dense : array-like of shape (n_pairs, 2, d)
            Vectors of the first and the second item of each pair.

        Returns
        -------
        Pairs
            Whose items are the distinct vectors, in an order that depends on their
            content alone.
        """
        array = np.asarray(dense)
        if array.ndim != 3 or array.shape[1] != 2:
            raise invalid_input(
                expected="Pairs, or an array of shape (n_pairs, 2, d)",
                got=f"an array of shape {array.shape}",
                fix="pass Pairs(items, ids), or stack first and second on axis 1",
            )
        rows = check_items(array.reshape(-1, array.shape[2]), finite=False)
        kept, inverse = distinct_rows(rows)
        return cls(rows[kept], inverse.reshape(-1, 2))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the equivalent dense array: (n_pairs, 2, d)."""
        return (len(self.ids), 2, self.items.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the items."""
        return self.items.dtype

    @property
    def first(self) -> IntArray:
        """Rows of `items` that are first, shape (n_pairs,)."""
        return self.ids[:, 0]

    @property
    def second(self) -> IntArray:
        """Rows of `items` that are second, shape (n_pairs,)."""
        return self.ids[:, 1]

    @property
    def groups(self) -> "AnyArray | CrossPromptGroups":
        """What splitters take as `groups`: which prompt, or prompts, each pair is of.

        Returns
        -------
        ndarray of shape (n_pairs,), or CrossPromptGroups of shape (n_pairs, 2)
            Where both items of every pair answer one prompt, its id: any splitter of
            scikit-learn that knows groups can take that. Else the prompt ids of both
            ends, which `PromptGroupKFold` takes; a splitter that holds out one group
            of each pair would leak the other, and is told so.

        Raises
        ------
        InvalidInputError
            If the pairs were made without `prompt_ids`.

        Examples
        --------
        >>> import numpy as np
        >>> pairs = Pairs(np.eye(4), [[0, 1], [3, 2], [1, 2]], list("aabb"))
        >>> pairs[:2].groups
        array(['a', 'b'], dtype='<U1')
        >>> pairs.groups
        CrossPromptGroups(3 pairs, 33% cross-prompt)
        """
        if self.prompt_ids is None:
            raise invalid_input(
                expected="Pairs made with prompt_ids",
                got="Pairs without",
                fix="pass prompt_ids=..., one per item, to Pairs",
            )
        return _groups_of(self.prompt_ids[self.ids])

    def with_blocks(self, blocks: Blocks | None) -> "Pairs":
        """Return the same pairs, of the same items, with other blocks or none."""
        other = self._with_ids(self.ids)
        other.blocks = check_blocks(blocks, self.items.shape[1])
        return other

    def swap(self) -> "Pairs":
        """Return the same comparisons with first and second exchanged."""
        return self._with_ids(self.ids[:, ::-1])

    def unique_items(self) -> tuple[IntArray, IntArray]:
        """List each item that takes part once.

        Returns
        -------
        rows : ndarray of int of shape (n_unique,)
            Rows of `items` that occur in a pair, ascending.
        local_ids : ndarray of int of shape (n_pairs, 2)
            The pairs as positions in `rows`: `rows[local_ids] == ids`.

        Examples
        --------
        >>> import numpy as np
        >>> rows, local_ids = Pairs(np.eye(4), [[3, 1], [1, 3]]).unique_items()
        >>> rows, local_ids.tolist()
        (array([1, 3]), [[1, 0], [0, 1]])
        """
        occurs = np.zeros(len(self.items), dtype=bool)
        occurs[self.ids] = True
        position = np.cumsum(occurs) - 1
        return np.flatnonzero(occurs), position[self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: Any) -> "Pairs":
        """Select pairs by integer, slice, mask or index array; the items are shared."""
        if isinstance(key, tuple):
            # scikit-learn indexes arrays by (rows, ...); the rest must select all.
            key, *rest = key
            if not _selects_all(rest):
                raise invalid_input(
                    expected="a selection of pairs",
                    got="an index into the second or third axis",
                    fix="use .first, .second or np.asarray(pairs)",
                )
        if isinstance(key, int | np.integer):
            if not -len(self) <= key < len(self):
                raise IndexError(f"pair {key} of {len(self)} pairs")
            key = [key]
        if not isinstance(key, slice | np.ndarray) and key is not ...:
            key = np.asarray(key) if len(key) else np.empty(0, dtype=np.intp)
        return self._with_ids(self.ids[key])

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,
    ) -> FloatArray:
        """Materialise the dense array of shape (n_pairs, 2, d)."""
        if copy is False:
            raise ValueError("Pairs cannot become a dense array without a copy")
        dense = self.items[self.ids]
        return dense if dtype is None else dense.astype(dtype, copy=False)

    def __repr__(self) -> str:
        words = f"Pairs({len(self)} pairs, {len(self.items)} items, d={self.shape[2]}, "
        words += str(self.dtype)
        if self.prompt_ids is not None and len(self):
            words += f", {_cross_share(self.prompt_ids[self.ids]):.0%} cross-prompt"
        if self.blocks is not None:
            words += f", blocks {' + '.join(self.blocks)}"
        return words + ")"

    def _with_ids(self, ids: IntArray) -> "Pairs":
        # Already validated: a slice of checked ids needs no second look.
        other = object.__new__(type(self))
        other.items, other.ids, other.prompt_ids = self.items, ids, self.prompt_ids
        other.blocks = self.blocks
        return other


class CrossPromptGroups:
    """Prompt ids of both ends of pairs of which some are across prompts.

    It becomes no array: a pair across two prompts is in no single group, so that a
    splitter which wants one group for each pair could only leak. `PromptGroupKFold`,
    and all of `embrm.evaluate`, take it as it is.

    Parameters
    ----------
    ends : ndarray of shape (n_pairs, 2)
        Prompt id of first and of second.

    Examples
    --------
    >>> import numpy as np
    >>> groups = CrossPromptGroups(np.array([["a", "b"], ["a", "a"]]))
    >>> groups.ends[:, 1].tolist(), groups.shape
    (['b', 'a'], (2, 2))
    >>> groups[[1]]
    array(['a'], dtype='<U1')
    """

    def __init__(self, ends: AnyArray) -> None:
        self.ends = ends

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of `ends`: (n_pairs, 2)."""
        return (len(self.ends), 2)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, key: Any) -> "AnyArray | CrossPromptGroups":
        """Select pairs as `Pairs` does; with two indices, from `ends`."""
        if isinstance(key, tuple) and not _selects_all(key[1:]):
            return np.asarray(self.ends[key])
        key = key[0] if isinstance(key, tuple) else key
        return _groups_of(np.atleast_2d(self.ends[key]))

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> AnyArray:
        """Refuse: there is no one group for each pair."""
        raise invalid_input(
            expected="one group for each pair, i.e. pairs within prompts",
            got=repr(self),
            fix="split with embrm.evaluate.PromptGroupKFold, which holds out the "
            "prompts of both ends; .ends has their ids, of shape (n_pairs, 2)",
        )

    def __repr__(self) -> str:
        share = f"{_cross_share(self.ends):.0%} cross-prompt"
        return f"CrossPromptGroups({len(self)} pairs, {share})"


def _selects_all(indices: Sequence[Any]) -> bool:
    return all(part is ... or part == slice(None) for part in indices)


def _groups_of(ends: AnyArray) -> AnyArray | CrossPromptGroups:
    """Take the one group of each pair where there is one, else both."""
    within = ends[:, 0] == ends[:, 1]
    return ends[:, 0] if np.all(within) else CrossPromptGroups(ends)


def _cross_share(ends: AnyArray) -> float:
    return float(np.mean(ends[:, 0] != ends[:, 1]))


def distinct_rows(rows: FloatArray) -> tuple[IntArray, IntArray]:
    """Find equal rows of a matrix, in an order that depends on content alone.

    Parameters
    ----------
    rows : ndarray of shape (n, d)

    Returns
    -------
    kept : ndarray of int of shape (n_distinct,)
        One row number for each distinct row, in ascending byte order of the rows; of
        float16 in that of the same numbers in float32.
    inverse : ndarray of int of shape (n,)
        `rows[kept][inverse]` equals `rows`.
    """
    keys = _as_bytes(rows[:, : max(1, 8 // rows.itemsize)])
    head = np.zeros((len(rows), 8), dtype=np.uint8)
    head[:, : min(8, keys.shape[1])] = keys[:, :8]
    # Big-endian numbers are ordered as their bytes are. Few rows begin alike: these
    # alone are compared whole.
    first = head.view(">u8")[:, 0].astype(np.uint64)
    order = np.argsort(first)
    alike = np.diff(first[order]) == 0
    rest = np.zeros(len(rows), dtype=np.intp)
    if alike.any():
        members = order[np.append(alike, False) | np.insert(alike, 0, False)]
        whole = _as_bytes(rows[members])
        as_one = whole.view(f"V{whole.shape[1]}").ravel()
        rest[members] = np.unique(as_one, return_inverse=True)[1]
        order = np.lexsort((rest, first))
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (np.diff(first[order]) != 0) | (np.diff(rest[order]) != 0)
    inverse = np.empty(len(rows), dtype=np.intp)
    inverse[order] = np.cumsum(new) - 1
    return order[new], inverse


def _as_bytes(rows: FloatArray) -> AnyArray:
    """View rows as bytes, shape (n, itemsize * d); equal numbers are equal bytes."""
    rows = widened(rows)
    # Adding zero turns -0.0 into 0.0.
    return np.ascontiguousarray(rows + rows.dtype.type(0)).view(np.uint8)
