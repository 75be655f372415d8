"""Keep a cache in order: check every byte, merge segments, remove what is left over."""

import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm.embed.base import Fingerprint
from embrm.embed.cache._layout import (
    DAMAGED,
    list_segments,
    names_in,
    read_meta,
    split_name,
)
from embrm.embed.cache._segment import (
    Segment,
    SegmentDamageError,
    check_digest,
    count_rows,
    read_segment,
    set_aside,
    write_segment,
)
from embrm.embed.cache.durable import (
    TEMPORARY,
    Place,
    RemotePath,
    storage_errors,
    sync_directory,
)
from embrm.embed.cache.store import SEGMENTS, VectorStore
from embrm.embed.cache.vector_cache import VectorCache
from embrm.exceptions import IntegrityError, invalid_input

TARGET_BYTES = 256 * 2**20
"""Size that segments are merged to."""

STALE_SECONDS = 3600.0
"""Age above which a temporary file is assumed to be of a killed writer."""


@dataclass(frozen=True)
class StoreCheck:
    """What the check of one store found.

    Attributes
    ----------
    digest : str
        Of the store's fingerprint.
    n_segments, n_rows : int
        Segments that are whole, and the rows in them.
    damaged : tuple of str
        Names of segments whose bytes have changed since they were written.
    problems : tuple of str
        Everything else that keeps the store from being used.
    strangers : tuple of str
        Names of files that are none of the cache's; they are left alone.
    """

    digest: str
    n_segments: int
    n_rows: int
    damaged: tuple[str, ...]
    problems: tuple[str, ...]
    strangers: tuple[str, ...]


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found, by store."""

    stores: tuple[StoreCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged and nothing is wrong."""
        return not any(store.damaged or store.problems for store in self.stores)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"ok": self.ok, "stores": [asdict(store) for store in self.stores]}


def verify(cache: VectorCache, *, dry_run: bool = False) -> VerifyReport:
    """Read every segment of every store and compare it with its digest.

    Parameters
    ----------
    cache : VectorCache
    dry_run : bool, default=False
        Whether only to report. Otherwise a damaged segment is set aside (renamed to
        `*.damaged`), so that the next run embeds its rows again.

    Returns
    -------
    VerifyReport

    Raises
    ------
    EmbrmError
        If a file cannot be read at all.

    Warns
    -----
    DamagedSegmentWarning
        For each segment that is set aside.
    """
    return VerifyReport(
        tuple(_check(path, dry_run=dry_run) for path in cache.store_directories())
    )


def _check(directory: Place, *, dry_run: bool) -> StoreCheck:
    """Check one store."""
    fingerprint, problems, damaged, rows = None, [], [], []
    try:
        fingerprint = read_meta(directory)
    except IntegrityError as error:
        problems.append(str(error))
    with storage_errors("verify the store", directory):
        for path in list_segments(directory / SEGMENTS):
            try:
                rows.append(_check_segment(path, fingerprint))
            except FileNotFoundError:
                continue  # compacted or set aside by another process meanwhile
            except SegmentDamageError:
                damaged.append(path.name)
                if not dry_run:
                    set_aside(path)
            except IntegrityError as error:
                problems.append(str(error))
        strangers = sorted(filter(_is_stranger, names_in(directory / SEGMENTS)))
    return StoreCheck(
        digest=directory.name,
        n_segments=len(rows),
        n_rows=sum(rows),
        damaged=tuple(damaged),
        problems=tuple(problems),
        strangers=tuple(strangers),
    )


def _check_segment(path: Place, fingerprint: Fingerprint | None) -> int:
    """Check one segment and count its rows."""
    if fingerprint is None:
        check_digest(path)
        return count_rows(path)
    return len(read_segment(path, fingerprint, verify=True))


def _is_stranger(name: str) -> bool:
    """Say whether a file is none of the cache's."""
    return not name.endswith((TEMPORARY, DAMAGED)) and split_name(name) is None


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


@dataclass(frozen=True)
class PruneReport:
    """What `prune` removed, or would remove.

    Attributes
    ----------
    removed : tuple of str
        Paths below the cache's directory.
    n_bytes : int
    dry_run : bool
    """

    removed: tuple[str, ...]
    n_bytes: int
    dry_run: bool

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {**asdict(self), "removed": list(self.removed)}


def prune(
    cache: VectorCache,
    *,
    fingerprints: Collection[str] = (),
    older_than: float = STALE_SECONDS,
    damaged: bool = True,
    temporary: bool = True,
    dry_run: bool = False,
) -> PruneReport:
    """Remove damaged segments, stale temporary files, and stores that are named.

    Parameters
    ----------
    cache : VectorCache
    fingerprints : collection of str, default=()
        Digests of the stores to remove with all their vectors.
    older_than : float, default=3600
        Seconds since the last change after which a temporary file is stale.
    damaged, temporary : bool, default=True
        Whether to remove segments that were set aside, and stale temporary files.
    dry_run : bool, default=False
        Whether only to report.

    Returns
    -------
    PruneReport

    Raises
    ------
    InvalidInputError
        If no store has a digest that is named; nothing is removed then.
    EmbrmError
        If the disk refuses.
    """
    directories = cache.store_directories()
    named = [path for path in directories if path.name in set(fingerprints)]
    unknown = set(fingerprints) - {path.name for path in named}
    if unknown:
        raise invalid_input(
            expected=f"digests of stores in {cache.directory}",
            got=f"unknown {min(unknown)[:40]!r}",
            fix="take a digest that `embrm cache info` lists, in full",
        )
    now = time.time()
    removed, n_bytes = [], 0
    with storage_errors("prune the cache", cache.directory):
        for path in directories:
            leftovers = (
                [path]
                if path in named
                else [
                    file
                    for file in _files(path)
                    if (damaged and file.name.endswith(DAMAGED))
                    or (temporary and _is_stale(file, now - older_than))
                ]
            )
            for leftover in leftovers:
                removed.append(str(leftover.relative_to(str(cache.directory))))
                n_bytes += _remove(leftover, dry_run=dry_run)
    return PruneReport(tuple(removed), n_bytes, dry_run)


def _files(directory: Place) -> Iterator[Place]:
    """List the files of a store."""
    found: Iterator[Place] = iter(directory.rglob("*"))
    return (path for path in sorted(found, key=str) if path.is_file())


def _is_stale(path: Place, before: float) -> bool:
    """Say whether a file is temporary and unchanged since `before`."""
    return path.name.endswith(TEMPORARY) and path.stat().st_mtime < before


def _remove(path: Place, *, dry_run: bool) -> int:
    """Remove a file or a store; return its size in bytes."""
    files = list(_files(path)) if path.is_dir() else [path]
    n_bytes = sum(file.stat().st_size for file in files)
    if dry_run:
        return n_bytes
    if not path.is_dir():
        path.unlink(missing_ok=True)
    elif isinstance(path, RemotePath):
        path.remove_all()
    else:
        shutil.rmtree(path)
    sync_directory(path.parent)
    return n_bytes
