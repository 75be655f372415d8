"""The segments of a store at one moment: as one table, and how they are loaded."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from embrm._typing import BoolArray, FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.cache._layout import list_segments
from embrm.embed.cache._segment import (
    Segment,
    SegmentDamageError,
    read_segment,
    set_aside,
)
from embrm.embed.cache.durable import Place
from embrm.embed.keys import KEY_DTYPE, KeyIndex, Keys
from embrm.exceptions import (
    DamagedSegmentWarning,
    EmbrmError,
    FingerprintMismatchError,
    warn,
)

ATTEMPTS = 10
"""How often a reader tries again while others compact."""

_N_THREADS = min(8, os.cpu_count() or 1)
A = TypeVar("A")
R = TypeVar("R")


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


class Loader:
    """Knows which segments of a directory were found whole, and which damaged.

    Parameters
    ----------
    directory : Path or RemotePath
        Of the segments.
    fingerprint : Fingerprint
        Of the store they belong to.
    """

    def __init__(self, directory: Place, fingerprint: Fingerprint) -> None:
        self.directory, self.fingerprint = directory, fingerprint
        self._damaged: set[str] = set()
        self._whole: set[str] = set()

    def load(self, known: Iterable[Segment]) -> tuple[Segment, ...]:
        """List the segments in order; map those that are not known yet.

        Tries again where another process compacts them in the meantime.
        """
        by_name = {segment.name: segment for segment in known}
        loaded = None
        for _ in range(ATTEMPTS):
            paths = list_segments(self.directory)
            try:
                loaded = self._map(paths, by_name)
            except FileNotFoundError:
                continue
            if list_segments(self.directory) == paths:
                break
        if loaded is None:
            raise too_many_retries(self.directory)
        return tuple(loaded)

    def add(self, path: Place) -> Segment:
        """Map a segment that this process just wrote: its bytes need no check."""
        segment = read_segment(path, self.fingerprint, verify=False)
        self._whole.add(segment.name)
        return segment

    def check(self, segments: Iterable[Segment]) -> bool:
        """Compare segments with their digests, each once.

        Returns
        -------
        bool
            False if a segment is damaged, and now set aside, or gone: load again.
        """
        segments = list(segments)
        self._whole -= {segment.name for segment in segments if segment.is_changed()}
        unknown = [one for one in segments if one.name not in self._whole]
        outcomes = _each(Segment.check, unknown)
        for segment, error in zip(unknown, outcomes, strict=True):
            if error is None:
                self._whole.add(segment.name)
            elif isinstance(error, SegmentDamageError):
                self._set_aside(segment.path)
            elif not isinstance(error, FileNotFoundError):
                raise error
        return not any(outcomes)

    def _map(self, paths: Iterable[Place], known: dict[str, Segment]) -> list[Segment]:
        """Map segments that are not known yet; set damaged ones aside."""
        paths = [path for path in paths if path.name not in self._damaged]
        new = [path for path in paths if path.name not in known]
        outcomes = _each(self._read, new)
        for path, outcome in zip(new, outcomes, strict=True):
            if isinstance(outcome, Segment):
                known[path.name] = outcome
            elif isinstance(outcome, SegmentDamageError):
                self._set_aside(path)
            elif isinstance(outcome, FingerprintMismatchError):
                # Somebody else's vectors: no reason to lock this store's out.
                self._damaged.add(path.name)
                warn(f"skipped a segment: {outcome}", DamagedSegmentWarning)
            else:
                raise outcome
        return [known[path.name] for path in paths if path.name in known]

    def _read(self, path: Place) -> Segment:
        return read_segment(path, self.fingerprint, verify=False)

    def _set_aside(self, path: Place) -> None:
        self._damaged.add(path.name)
        set_aside(path)


def too_many_retries(directory: Place) -> EmbrmError:
    """Make the error for segments that others delete faster than they are read."""
    return EmbrmError.of(
        expected="segments that stay while they are read",
        got=f"some gone, {ATTEMPTS} times, in {directory}",
        fix="wait until no other process compacts this cache",
    )


def _each(task: Callable[[A], R], arguments: Sequence[A]) -> list[R | Exception]:
    """Do a task for each argument, several at once; return results and errors."""

    def attempt(argument: A) -> R | Exception:
        try:
            return task(argument)
        except Exception as error:  # noqa: BLE001
            return error

    if len(arguments) < 2:
        return [attempt(argument) for argument in arguments]
    with ThreadPoolExecutor(_N_THREADS) as pool:
        return list(pool.map(attempt, arguments))
