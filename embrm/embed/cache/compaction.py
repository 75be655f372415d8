"""Merge many small segments into few large ones."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm.embed.cache.durable import storage_errors, sync_directory
from embrm.embed.cache.names import split_name
from embrm.embed.cache.segment import Segment, write_segment
from embrm.embed.cache.store import VectorStore

TARGET_BYTES = 256 * 2**20
"""Size that segments are merged to."""


@dataclass(frozen=True)
class CompactionReport:
    """What `compact` did.

    Attributes
    ----------
    n_segments_before, n_segments_after : int
    n_bytes_before, n_bytes_after : int
    n_rows_dropped : int
        Rows whose key an earlier row has.
    """

    n_segments_before: int
    n_segments_after: int
    n_bytes_before: int
    n_bytes_after: int
    n_rows_dropped: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Part:
    """A segment and those of its rows that count."""

    segment: Segment
    rows: NDArray[np.int64]

    @property
    def whole(self) -> bool:
        """Whether all rows count."""
        return len(self.rows) == len(self.segment)

    @property
    def n_bytes(self) -> int:
        """Bytes of the rows that count, about."""
        return self.segment.n_bytes * len(self.rows) // len(self.segment)


def compact(
    store: VectorStore, *, target_bytes: int = TARGET_BYTES
) -> CompactionReport:
    """Merge the segments of a store; every key keeps its vector, bit for bit.

    Neighbours in the order are merged, and the result takes the place of the first,
    so that the same rows come first as before, also against segments that others
    append meanwhile. New segments are durable before old ones are deleted: a kill in
    between leaves duplicates, which are legal and equal. Readers and writers may go
    on. All digests are checked first; damaged segments are set aside.

    Parameters
    ----------
    store : VectorStore
        Refreshed at the end.
    target_bytes : int, default=256 MiB
        Segments of at least half this size stay as they are unless they hold rows
        that no longer count. Peak memory is about twice this.

    Returns
    -------
    CompactionReport

    Raises
    ------
    EmbrmError
        If the disk refuses; no row is lost.
    """
    # A store of its own: also where the caller's was told never to check.
    checked = VectorStore(store.directory, store.fingerprint, verify="open")
    before = checked.segments
    parts = [_Part(segment, rows) for segment, rows in checked.counting_rows()]
    with storage_errors("compact the store", store.directory):
        for run in _runs(parts, target_bytes):
            _merge(run, store)
    store.refresh()
    return CompactionReport(
        n_segments_before=len(before),
        n_segments_after=len(store.segments),
        n_bytes_before=sum(segment.n_bytes for segment in before),
        n_bytes_after=sum(segment.n_bytes for segment in store.segments),
        n_rows_dropped=sum(len(part.segment) - len(part.rows) for part in parts),
    )


def _runs(parts: list[_Part], target_bytes: int) -> list[list[_Part]]:
    """Group neighbours that are to be merged."""
    runs: list[list[_Part]] = [[]]
    for part in parts:
        if part.whole and part.n_bytes >= target_bytes // 2:
            runs.append([])
            continue
        if sum(one.n_bytes for one in runs[-1]) + part.n_bytes > target_bytes:
            runs.append([])
        runs[-1].append(part)
    return [run for run in runs if len(run) > 1 or any(not one.whole for one in run)]


def _merge(run: list[_Part], store: VectorStore) -> None:
    """Write the rows of a run that count as one segment, then delete the run."""
    first = run[0].segment.path
    kept = [part for part in run if len(part.rows)]
    written = None
    if kept:
        prefix, _ = split_name(first.name) or ("", "")
        written = write_segment(
            first.parent,
            np.concatenate([part.segment.keys[part.rows] for part in kept]),
            np.concatenate([part.segment.vectors[part.rows] for part in kept]),
            store.fingerprint,
            prefix,
        )
    for part in run:
        # What is left of a run may be its first segment, byte for byte.
        if part.segment.path != written:
            part.segment.path.unlink(missing_ok=True)
    sync_directory(first.parent)
