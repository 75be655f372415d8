"""Games: comparisons of named items in canonical form, for models without features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from embrm._typing import AnyArray, FloatArray, IntArray
from embrm._validation import check_labels, check_sample_weight
from embrm.exceptions import InvalidInputError, three_parts


@dataclass(frozen=True, eq=False)
class Games:
    """Outcomes of comparisons between named items.

    Attributes
    ----------
    names : ndarray of shape (n_items,)
        Distinct names or ids, ascending.
    first, second : ndarray of int of shape (n_outcomes,)
        Positions in `names`, first < second; every (first, second, y) occurs once.
    y : ndarray of shape (n_outcomes,), in [0, 1]
        1 if first won, 0 if second did, 0.5 for a tie.
    weight : ndarray of shape (n_outcomes,), > 0
        How many games ended so.
    """

    names: AnyArray
    first: IntArray
    second: IntArray
    y: FloatArray
    weight: FloatArray

    def components(self, *, strong: bool) -> IntArray:
        """Label the connected components of the graph of games.

        Parameters
        ----------
        strong : bool
            Whether edges lead from winner to loser, and both ways for anything
            between; else a game connects however it ended.

        Returns
        -------
        ndarray of int of shape (n_items,)
        """
        won, lost = self.y > 0, self.y < 1
        ends = np.concatenate([self.first[won], self.second[lost]])
        others = np.concatenate([self.second[won], self.first[lost]])
        n_items = len(self.names)
        edges = coo_array((np.ones(len(ends)), (ends, others)), shape=(n_items,) * 2)
        if strong:
            return np.asarray(connected_components(edges, connection="strong")[1])
        return np.asarray(connected_components(edges, connection="weak")[1])

    def n_games(self) -> FloatArray:
        """Sum the weights of each item's games, shape (n_items,)."""
        n_items = len(self.names)
        return np.asarray(
            np.bincount(self.first, self.weight, n_items)
            + np.bincount(self.second, self.weight, n_items)
        )


def make_games(
    ids: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> Games:
    """Check what a user passes to `fit` and bring it into canonical form.

    Parameters
    ----------
    ids : array-like or DataFrame of shape (n_games, 2)
        Names or integer ids of first and second.
    y : array-like of shape (n_games,) in [0, 1], optional
        1 if first won; None means that first always won.
    sample_weight : array-like of shape (n_games,), >= 0, optional

    Returns
    -------
    Games

    Raises
    ------
    InvalidInputError
        On a wrong shape or range, a missing name, an item against itself, or no game.

    Examples
    --------
    >>> games = make_games([["b", "a"], ["a", "b"]], [1, 0])
    >>> games.names, games.y, games.weight
    (array(['a', 'b'], dtype='<U1'), array([0.]), array([2.]))
    """
    table = check_names(ids)
    labels = check_labels(y, n_pairs=len(table))
    weights = check_sample_weight(sample_weight, n_pairs=len(table))
    if len(table) == 0:
        raise _wrong("at least one game", "0 games", "check how they were read")
    _refuse_self_games(table)
    played = weights > 0
    names, codes = np.unique(table[played], return_inverse=True)
    codes = codes.reshape(-1, 2)
    turned = codes[:, 0] > codes[:, 1]
    labels = np.where(turned, 1.0 - labels[played], labels[played])
    codes.sort(axis=1)
    outcomes, inverse = np.unique(
        np.column_stack([codes.astype(np.float64), labels]), axis=0, return_inverse=True
    )
    first, second = outcomes[:, :2].T.astype(np.intp)
    total = np.bincount(inverse.ravel(), weights[played])
    return Games(names, first, second, outcomes[:, 2], total.astype(np.float64))


def check_names(ids: Any) -> AnyArray:
    """Check names of pairs: strings or integers of shape (n_games, 2), none missing."""
    array = np.asarray(ids.to_numpy() if isinstance(ids, pd.DataFrame) else ids)
    if array.size == 0:
        array = np.empty((0, 2), dtype=np.intp)
    if array.ndim != 2 or array.shape[1] != 2:
        raise _wrong(
            "names or ids of shape (n_games, 2)",
            f"shape {array.shape}",
            "pass two columns: first and second",
        )
    if array.dtype.kind == "O":
        kinds = {type(name) for name in array.ravel()}
        if kinds == {str}:
            return array.astype(str)
        if all(issubclass(k, int | np.integer) and k is not bool for k in kinds):
            return array.astype(np.int64)
    elif array.dtype.kind in "iuU":
        return array
    raise _wrong(
        "names that are all strings or all integers, none missing",
        f"dtype {array.dtype}",
        "drop the games without a name and convert the rest with .astype(str)",
    )


def _refuse_self_games(table: AnyArray) -> None:
    same = table[:, 0] == table[:, 1]
    if same.any():
        raise _wrong(
            "two different items in each game",
            f"an item against itself at game {int(np.argmax(same))} "
            f"({int(same.sum())} such games)",
            "drop the games whose two names are equal",
        )


def _wrong(expected: str, got: str, cure: str) -> InvalidInputError:
    return InvalidInputError(three_parts(expected=expected, got=got, cure=cure))
