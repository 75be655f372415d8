"""The graph of comparisons: repeats, contradictions, cycles, and what hangs together.

Items are compared as texts: the same response to the same prompt is one node, whatever
else is known of it.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from embrm._typing import AnyArray, BoolArray, FloatArray, IntArray

_Connection: TypeAlias = Literal["weak", "strong"]

MOST_ROWS = 5
"""Source rows that are listed."""


@dataclass(frozen=True)
class PairsFound:
    """Pairs of one kind.

    Attributes
    ----------
    n : int
        How many pairs.
    source_rows : tuple of int
        Rows of the source, from 0, of the first five.
    """

    n: int
    source_rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Contradictions:
    """The same two items, labelled both ways.

    Attributes
    ----------
    n : int
        How often two items are labelled both ways.
    n_pairs : int
        Pairs about these.
    n_by_one_annotator : int or None
        How often by one and the same annotator; None where no annotator is known.
    source_rows : tuple of int
        Of the first five pairs.
    """

    n: int
    n_pairs: int
    n_by_one_annotator: int | None
    source_rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cycles:
    """Preferences that run in a circle: a over b, b over c, c over a.

    Contradictions, which are cycles of two, are left out before.

    Attributes
    ----------
    n : int
        Strongly connected components of three items or more.
    n_items, n_pairs : int
        Items in them, and pairs between these.
    source_rows : tuple of int
        Of the pairs of the first component, five at most.
    """

    n: int
    n_items: int
    n_pairs: int
    source_rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Connectivity:
    """What the comparisons connect: rewards compare only within a part.

    Attributes
    ----------
    n_parts : int
        Connected components of the items that stand in a pair.
    n_prompts_apart : int
        Prompts whose own items are in more than one part.
    n_items_alone : int
        Items in no pair.
    n_cross_prompt : int
        Pairs of items of different prompts.
    """

    n_parts: int
    n_prompts_apart: int
    n_items_alone: int
    n_cross_prompt: int


class ComparisonGraph:
    """Pairs as edges between texts.

    Parameters
    ----------
    prompts : ndarray of int of shape (n_items,)
        Number of the prompt that each item answers.
    responses : Series of str of shape (n_items,), optional
        None where no two items are the same response to the same prompt.
    pairs : DataFrame
        As in `Preferences.pairs`.

    Attributes
    ----------
    unit : ndarray of int of shape (n_pairs,)
        Which two items a pair is about, in either order.
    y : ndarray of shape (n_pairs,)
        Label, turned so that it is about the same of the two for all of a unit.
    items : ndarray of int of shape (n_items,)
        Node of each item.
    """

    def __init__(
        self,
        prompts: IntArray,
        responses: "pd.Series[str] | None",
        pairs: pd.DataFrame,
    ) -> None:
        self._prompts = prompts
        self.items: IntArray = np.arange(len(prompts))
        if responses is not None:
            codes, known = pd.factorize(responses)
            key = prompts.astype(np.int64) * max(len(known), 1) + codes
            self.items = pd.factorize(key)[0]
        self._n = int(self.items.max(initial=-1)) + 1
        ends = self.items[pairs[["first", "second"]].to_numpy(np.intp)]
        y = pairs["y"].to_numpy(np.float64)
        self._turned = ends[:, 0] > ends[:, 1]
        self.y: FloatArray = np.where(self._turned, 1 - y, y)
        self._low, self._high = ends.min(axis=1), ends.max(axis=1)
        self.unit: IntArray = pd.factorize(self._low * max(self._n, 1) + self._high)[0]
        self._rows = pairs["source_row"].to_numpy()
        self._annotator: IntArray | None = None
        if "annotator" in pairs:
            self._annotator = pd.factorize(pairs["annotator"])[0]

    def repeated(self) -> BoolArray:
        """Mark pairs that say again what one before them says, by the same annotator.

        A pair turned round, with the label turned too, is a repeat.
        """
        who = np.zeros(len(self.unit)) if self._annotator is None else self._annotator
        table = pd.DataFrame({"unit": self.unit, "y": self.y, "who": who})
        again = table.duplicated().to_numpy()
        # Two labels without a name may be two people's.
        return np.asarray(again & (who >= 0))

    def contradictory(self, within: AnyArray | None = None) -> BoolArray:
        """Mark pairs about two items of which another pair says the contrary.

        Parameters
        ----------
        within : ndarray of int of shape (n_pairs,), optional
            Compare only pairs of the same number here, -1 with none.
        """
        unit = self.unit
        if within is not None:
            unit = pd.factorize(unit * (int(within.max(initial=0)) + 2) + within + 1)[0]
        size = int(unit.max(initial=-1)) + 1
        wins = np.bincount(unit, weights=self.y > 0.5, minlength=size)
        losses = np.bincount(unit, weights=self.y < 0.5, minlength=size)
        both = ((wins > 0) & (losses > 0))[unit]
        return np.asarray(both if within is None else both & (within >= 0))

    def repeats(self) -> PairsFound:
        """Count the pairs that repeat another."""
        return found(self.repeated(), self._rows)

    def contradictions(self) -> Contradictions:
        """Count what is labelled both ways."""
        marked = self.contradictory()
        by_one = None
        if self._annotator is not None:
            own = self.contradictory(self._annotator)
            by_one = len(np.unique(self.unit[own]))
        pairs = found(marked, self._rows)
        n = len(np.unique(self.unit[marked]))
        return Contradictions(n, pairs.n, by_one, pairs.source_rows)

    def cycles(self) -> Cycles:
        """Find where preferences run in a circle."""
        decided = ~self.contradictory() & (self.y != 0.5)
        up = self.y > 0.5
        winner = np.where(up, self._low, self._high)[decided]
        loser = np.where(up, self._high, self._low)[decided]
        labels = self._parts(winner, loser, "strong")
        sizes = np.bincount(labels, minlength=1)
        inside = (labels[winner] == labels[loser]) & (sizes[labels[winner]] > 2)
        circles = np.unique(labels[winner[inside]])
        rows = self._rows[decided][inside]
        first = labels[winner[inside]] == circles[0] if len(circles) else inside[:0]
        return Cycles(
            len(circles),
            int(sizes[circles].sum()),
            int(inside.sum()),
            tuple(int(row) for row in rows[first][:MOST_ROWS]),
        )

    def connectivity(self) -> Connectivity:
        """Count the parts that no comparison connects."""
        labels = self._parts(self._low, self._high, "weak")
        used = np.zeros(self._n, dtype=bool)
        used[self._low] = used[self._high] = True
        prompt = np.zeros(self._n, dtype=np.int64)
        prompt[self.items] = self._prompts
        parts = pd.DataFrame({"prompt": prompt[used], "part": labels[used]})
        n_parts = parts.drop_duplicates().groupby("prompt").size()
        return Connectivity(
            n_parts=int(parts["part"].nunique()),
            n_prompts_apart=int((n_parts > 1).sum()),
            n_items_alone=int((~used).sum()),
            n_cross_prompt=int((prompt[self._low] != prompt[self._high]).sum()),
        )

    def _parts(
        self, one: IntArray, other: IntArray, connection: _Connection
    ) -> IntArray:
        """Label the nodes by the component they are in."""
        graph = coo_array(
            (np.ones(len(one), dtype=bool), (one, other)), shape=(self._n, self._n)
        )
        if not self._n:
            return np.empty(0, dtype=np.intp)
        return np.asarray(connected_components(graph, connection=connection)[1])


def found(marked: BoolArray, rows: AnyArray) -> PairsFound:
    """Count what is marked, and say where the first are."""
    where = rows[np.flatnonzero(marked)[:MOST_ROWS]]
    return PairsFound(int(marked.sum()), tuple(int(row) for row in where))
