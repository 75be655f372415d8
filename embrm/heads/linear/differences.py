"""Differences of winner and loser as one small matrix, to search for a prior on.

A search fits the same wins many times, at many penalties and with many folds left out.
On a matrix of differences all folds are fitted at once, so that each product reads the
matrix once for all of them. It is in float32, of a sample of the wins at most, and is
divided by one number so that its rows have a mean square of one: then the penalty is
1 / tau^2, with tau the prior standard deviation of a delta in nats.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import eigh
from scipy.linalg.blas import ssyrk
from scipy.sparse import csr_array

from embrm._typing import FloatArray, IntArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.linear._operators import copy_rows

_ROWS_AT_A_TIME = 4096
_BLOCK_ROWS, _BLOCK_PRODUCT = 128, 2**19
"""Rows that are read twice while at hand, and multiplications of them by weights: with
more BLAS takes several threads, which cost more than they save."""

_ROWS_OF_A_GAP = 256

LARGEST_BASIS = 2048
"""Dimensions above which an eigenbasis costs more than it saves."""


@dataclass(frozen=True, eq=False)
class PromptEnds:
    """The prompts of winner and loser, and effects of prompts if there are any.

    Attributes
    ----------
    signs : csr_array of shape (n_wins, n_prompts)
        1 at the winner's prompt, -1 at the loser's, nothing where they are the same.
    means : ndarray of shape (n_prompts, d)
        Mean of the items of each prompt, scaled as the differences are.
    size : float >= 0
        Of the indicator of a prompt, scaled alike; 0 where prompts have no effects.
    """

    signs: csr_array
    means: FloatArray
    size: float = 0.0

    @classmethod
    def of(
        cls, wins: Comparisons, groups: IntArray, scale: FloatArray | float
    ) -> "PromptEnds":
        """Take them from wins between items of these groups."""
        n_wins, n_prompts = len(wins), int(groups.max()) + 1
        rows = np.tile(np.arange(n_wins), 2)
        columns = np.concatenate([groups[wins.winner], groups[wins.loser]])
        entries = np.repeat(np.array([1.0, -1.0], np.float32), n_wins)
        shape = (n_wins, n_prompts)
        signs = csr_array((entries, (rows, columns)), shape=shape)
        signs.sum_duplicates()
        n_items = len(groups)
        ones = np.ones(n_items, np.float32)
        member = csr_array((ones, (groups, np.arange(n_items))), (n_prompts, n_items))
        total = member @ wins.items.astype(np.float32, copy=False)
        n_of = np.maximum(np.bincount(groups, minlength=n_prompts), 1)
        means = total / n_of[:, None] / scale
        return cls(signs, means.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Differences:
    """Scaled differences of winner and loser.

    Attributes
    ----------
    rows : ndarray of shape (n_wins, d), float32
    weight : ndarray of shape (n_wins,)
    root : float
        By which the rows were divided, beyond the scale of their columns.
    ends : PromptEnds or None
        Where most wins are across prompts.
    """

    rows: FloatArray
    weight: FloatArray
    root: float
    ends: PromptEnds | None = None

    @classmethod
    def of(
        cls,
        wins: Comparisons,
        scale: FloatArray | None,
        groups: IntArray | None = None,
    ) -> "Differences":
        """Subtract losers from winners, and scale the columns.

        Parameters
        ----------
        wins : Comparisons
        scale : ndarray of shape (d,) or None
            By which columns are divided.
        groups : ndarray of int of shape (n_items,), optional
            Prompts of the items, where their part of a difference is to be told.
        """
        items, d = wins.items, wins.items.shape[1]
        gap = np.empty((len(wins), d), np.float32)
        memory = np.empty((2, _ROWS_OF_A_GAP, d), np.result_type(items, np.float32))
        for start in range(0, len(wins), _ROWS_OF_A_GAP):
            part = slice(start, start + _ROWS_OF_A_GAP)
            rows, losers = memory[:, : len(wins.winner[part])]
            copy_rows(items, wins.winner[part], rows)
            copy_rows(items, wins.loser[part], losers)
            rows -= losers
            if scale is not None:
                rows /= scale.astype(rows.dtype)
            gap[part] = rows
        root = _root_mean_square(gap, wins.weight)
        gap /= np.float32(root)
        by = root if scale is None else scale * root
        ends = None if groups is None else PromptEnds.of(wins, groups, by)
        return cls(gap, wins.weight, root, ends)

    def divided(self, by: FloatArray) -> "Differences":
        """Divide the columns, and scale the rows to one again.

        The Gram matrix is not computed a second time where it is known.
        """
        rows: FloatArray = np.divide(self.rows, by.astype(np.float32))
        root = _root_mean_square(rows, self.weight)
        rows /= np.float32(root)
        factor = (1 / (by * root)).astype(np.float32)
        ends = self.ends
        if ends is not None:
            ends = replace(ends, means=ends.means * factor)
        gram = self.__dict__.get("_gram_of_columns")
        made = Differences(rows, self.weight, self.root * root, ends)
        return made._knowing(None if gram is None else gram * factor * factor[:, None])

    def turned(self, turn: FloatArray) -> "Differences":
        """Multiply the rows by a matrix (d, k), and scale them to one again."""
        rows = self.rows @ turn.astype(np.float32)
        root = _root_mean_square(rows, self.weight)
        return Differences(rows / np.float32(root), self.weight, self.root * root)

    @property
    def n_columns(self) -> int:
        """Columns of the items."""
        return int(self.rows.shape[1])

    @property
    def n_weights(self) -> int:
        """Columns of items, and of prompts where these have effects."""
        ends = self.ends
        return self.n_columns + (ends.means.shape[0] if ends and ends.size else 0)

    def with_effects(self, size: float) -> "Differences":
        """Give prompts effects, with an indicator of this size on unscaled columns."""
        if self.ends is None:
            return self
        made = replace(self, ends=replace(self.ends, size=size))
        return made._knowing(self.__dict__.get("_gram_of_columns"))

    def times(self, weights: FloatArray) -> FloatArray:
        """Compute deltas, (n_weights, k) -> (n_wins, k)."""
        d = self.n_columns
        deltas = self.rows @ weights[:d]
        if self.ends is not None and self.ends.size:
            deltas += self.ends.signs @ (np.float32(self.ends.size) * weights[d:])
        return np.asarray(deltas)

    def gather(self, per_win: FloatArray) -> FloatArray:
        """Sum differences times `per_win`, (n_wins, k) -> (n_weights, k)."""
        total = (np.ascontiguousarray(per_win.T) @ self.rows).T
        if self.ends is not None and self.ends.size:
            of_prompts = np.float32(self.ends.size) * (self.ends.signs.T @ per_win)
            total = np.vstack([total, of_prompts])
        return np.asarray(total)

    def through(
        self,
        weights: FloatArray,
        per_win: Callable[[slice, FloatArray], FloatArray],
    ) -> FloatArray:
        """Compute deltas of weights (n_weights, k), and gather what is made of them.

        Block by block, so that rows are at hand when they are read again.

        Parameters
        ----------
        weights : ndarray of shape (n_weights, k)
        per_win : callable
            From a slice of the wins and their deltas, (n, k), to what is gathered.

        Returns
        -------
        ndarray of shape (n_weights, k)
        """
        (n_wins, d), k, ends = self.rows.shape, weights.shape[1], self.ends
        total = np.zeros((k, d), np.float32)
        with_effects = ends is not None and ends.size > 0
        if ends is None or not with_effects:
            made = of_prompts = None
        else:
            made = np.empty((n_wins, k), np.float32)
            of_prompts = ends.signs @ (np.float32(ends.size) * weights[d:])
        step = max(1, min(_BLOCK_ROWS, _BLOCK_PRODUCT // (d * k)))
        for start in range(0, n_wins, step):
            part = slice(start, start + step)
            rows = self.rows[part]
            deltas = rows @ weights[:d]
            if of_prompts is not None:
                deltas += of_prompts[part]
            gathered = per_win(part, deltas)
            total += gathered.T @ rows
            if made is not None:
                made[part] = gathered
        if ends is None or made is None:
            return np.asarray(total.T)
        further = np.float32(ends.size) * (ends.signs.T @ made)
        return np.vstack([total.T, further])

    def between_prompts(self, weights: FloatArray) -> FloatArray:
        """Compute what deltas owe to the prompts' means and effects."""
        if self.ends is None:
            return np.zeros((len(self.rows), weights.shape[1]), np.float32)
        d = self.n_columns
        level = self.ends.means @ weights[:d]
        if self.ends.size:
            level += np.float32(self.ends.size) * weights[d:]
        return np.asarray(self.ends.signs @ level)

    @cached_property
    def gram(self) -> FloatArray:
        """Weighted Gram matrix of all columns, shape (n_weights, n_weights)."""
        gram = self._gram_of_columns
        if self.ends is None or not self.ends.size:
            return gram
        weight = self.weight.astype(np.float32)[:, None]
        signs = self.ends.signs * np.float32(self.ends.size)
        cross = signs.T @ (self.rows * weight)
        corner = (signs.T @ (signs * weight)).toarray()
        return np.block([[gram, cross.T], [cross, corner]])

    @cached_property
    def _gram_of_columns(self) -> FloatArray:
        """Weighted Gram matrix of the items' columns, shape (d, d)."""
        root = np.sqrt(self.weight.astype(np.float32))[:, None]
        gram = np.zeros((self.n_columns,) * 2, np.float32, order="F")
        # One piece of memory for all: to get new pages takes longer than to fill them.
        memory = np.empty_like(self.rows[:_ROWS_AT_A_TIME])
        for part in _parts(len(self.rows)):
            rows = memory[: len(self.rows[part])]
            np.multiply(self.rows[part], root[part], out=rows)
            gram = ssyrk(1.0, rows.T, beta=1.0, c=gram, overwrite_c=True)
        return np.asarray(np.triu(gram) + np.triu(gram, 1).T)

    def _knowing(self, gram: FloatArray | None) -> "Differences":
        """Keep a Gram matrix of the columns that follows from another one."""
        if gram is not None:
            self.__dict__["_gram_of_columns"] = gram
        return self

    def eigenbasis(self) -> tuple[FloatArray, FloatArray | None]:
        """Diagonalise a quarter of the Gram matrix: the Hessian at zero.

        Returns
        -------
        curvature : ndarray of shape (k,), >= 0
        basis : ndarray of shape (n_weights, k) or None
            None with too many dimensions; the curvature is then the diagonal.
        """
        if self.n_weights > LARGEST_BASIS:
            weight = self.weight.astype(np.float32)
            square = weight @ self.rows**2
            if self.ends is not None and self.ends.size:
                signs = self.ends.signs
                of_prompts = self.ends.size**2 * (signs.multiply(signs).T @ weight)
                square = np.concatenate([square, of_prompts])
            return square / 4, None
        curvature, basis = eigh(self.gram / 4, driver="evd")
        return np.maximum(curvature, 0.0), basis

    def in_their_span(self) -> tuple["Differences", FloatArray | None]:
        """Rotate rows that are fewer than columns into as many coordinates.

        Returns
        -------
        differences : Differences
        basis : ndarray of shape (d, n_wins) or None
            Weights are `basis @ w`; None where nothing was rotated.
        """
        n_wins, d = self.rows.shape
        if n_wins >= d or self.ends is not None:
            return self, None
        values, vectors = eigh((self.rows @ self.rows.T).astype(np.float64))
        kept = values > 1e-7 * values[-1]
        root = np.sqrt(values[kept])
        basis = (self.rows.T @ (vectors[:, kept] / root)).astype(np.float32)
        rows = (vectors[:, kept] * root).astype(np.float32)
        return replace(self, rows=rows), basis


def _parts(n_rows: int) -> list[slice]:
    """Divide rows into parts of which copies take little memory."""
    return [slice(s, s + _ROWS_AT_A_TIME) for s in range(0, n_rows, _ROWS_AT_A_TIME)]


def _root_mean_square(rows: FloatArray, weight: FloatArray) -> float:
    # In float32, which is fast: the sum over rows is in float64.
    square = np.einsum("ij,ij->i", rows, rows).astype(np.float64)
    return float(np.sqrt(np.average(square, weights=weight))) or 1.0
