"""A set of segments at one moment, as if it were one table."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from embrm._typing import BoolArray, FloatArray
from embrm.embed.cache.index import KeyIndex
from embrm.embed.cache.segment import Segment
from embrm.embed.keys import KEY_DTYPE, Keys


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Segments at one moment, and where each key is in them.

    Parameters
    ----------
    segments : tuple of Segment
        In order. Rows are counted through all of them.
    """

    segments: tuple[Segment, ...]

    @cached_property
    def index(self) -> KeyIndex:
        """Rows by key, counted through all segments in order."""
        keys = [segment.keys for segment in self.segments]
        return KeyIndex(np.concatenate(keys) if keys else np.empty(0, KEY_DTYPE))

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Row at which each segment starts, and the total at the end."""
        return np.cumsum([0, *map(len, self.segments)])

    @cached_property
    def counts(self) -> BoolArray:
        """Whether each row counts: no earlier one has its key."""
        counts = np.zeros(int(self.starts[-1]), dtype=bool)
        counts[self.index.rows] = True
        return counts

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Return the row of each key, -1 where there is none; shape (n,).

        Keys in the order of their rows, as when a store is read from end to end, are
        compared with those rows: at 60% of the speed of memory a look-up of each
        would show.
        """
        rows = self.index.find(keys[:1])
        if len(keys) > 1 and rows[0] >= 0 and self._is_run(int(rows[0]), keys):
            return np.arange(rows[0], rows[0] + len(keys))
        return self.index.find(keys)

    def _is_run(self, start: int, keys: Keys) -> bool:
        """Say whether rows from `start` on have these keys, and all count."""
        stop = start + len(keys)
        if stop > self.starts[-1] or not self.counts[start:stop].all():
            return False
        at = int(np.searchsorted(self.starts, start, side="right")) - 1
        done = 0
        while done < len(keys):
            skipped = start + done - int(self.starts[at])
            held = self.segments[at].keys[skipped : skipped + len(keys) - done]
            if held.tobytes() != keys[done : done + len(held)].tobytes():
                return False
            done, at = done + len(held), at + 1
        return True

    def holding(self, rows: NDArray[np.int64]) -> list[Segment]:
        """List the segments that hold rows; negative rows are none."""
        places = np.searchsorted(self.starts, rows[rows >= 0], side="right") - 1
        counts = np.bincount(places, minlength=len(self.segments))
        return [self.segments[n] for n in np.flatnonzero(counts)]

    def gather(self, rows: NDArray[np.int64], out: FloatArray) -> FloatArray:
        """Return a view of consecutive rows of one segment, else fill `out`."""
        if not len(rows):
            return out
        at = int(np.searchsorted(self.starts, rows[0], side="right")) - 1
        start, stop = int(rows[0] - self.starts[at]), int(rows[0] + len(rows))
        if stop <= self.starts[at + 1] and (np.diff(rows) == 1).all():
            return self.segments[at].vectors[start : start + len(rows)]
        order = np.argsort(rows, kind="stable")
        bounds = np.searchsorted(rows[order], self.starts)
        for n in np.flatnonzero(np.diff(bounds)):
            places = order[bounds[n] : bounds[n + 1]]
            wanted = _slice_if_possible(rows[places] - self.starts[n])
            out[_slice_if_possible(places)] = self.segments[n].vectors[wanted]
        return out

    def counting_rows(self) -> list[tuple[Segment, NDArray[np.int64]]]:
        """List each segment with its rows that count; see `VectorStore`."""
        rows = self.index.rows
        bounds = np.searchsorted(rows, self.starts)
        return [
            (segment, rows[bounds[n] : bounds[n + 1]] - self.starts[n])
            for n, segment in enumerate(self.segments)
        ]


def _slice_if_possible(
    numbers: NDArray[np.int64],
) -> slice | NDArray[np.int64]:
    """Turn consecutive numbers into a slice, which copies several times faster."""
    if (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers
