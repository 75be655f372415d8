"""Check every byte of a cache."""

from dataclasses import asdict, dataclass
from typing import Any

from embrm.embed.base import Fingerprint
from embrm.embed.cache.durable import TEMPORARY, storage_errors
from embrm.embed.cache.meta import read_meta
from embrm.embed.cache.names import DAMAGED, list_segments, names_in, split_name
from embrm.embed.cache.remote import Place
from embrm.embed.cache.segment import (
    SegmentDamageError,
    check_digest,
    count_rows,
    read_segment,
    set_aside,
)
from embrm.embed.cache.store import SEGMENTS
from embrm.embed.cache.vector_cache import VectorCache
from embrm.exceptions import IntegrityError


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
        Names of segments whose bytes are not those that were written.
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
