"""Remove what a cache no longer needs: damaged and stale files, named stores."""

import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from embrm.embed.cache.durable import TEMPORARY, storage_errors, sync_directory
from embrm.embed.cache.names import DAMAGED
from embrm.embed.cache.remote import Place, RemotePath
from embrm.embed.cache.vector_cache import VectorCache
from embrm.exceptions import InvalidInputError, three_parts

STALE_SECONDS = 3600.0
"""Age at which a temporary file is taken for a killed writer's."""


@dataclass(frozen=True)
class PruneReport:
    """What `prune` removed, or would remove.

    Attributes
    ----------
    removed : tuple of str
        Places below the cache's directory.
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
        raise InvalidInputError(
            three_parts(
                expected=f"digests of stores in {cache.directory}",
                got=f"unknown {min(unknown)[:40]!r}",
                cure="take a digest that `embrm cache info` lists, in full",
            )
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
