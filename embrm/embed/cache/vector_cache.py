"""A directory of stores, one for each encoder."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from embrm.embed.base import Encoder, Fingerprint, recognise
from embrm.embed.cache._layout import DAMAGED, list_segments, names_in, read_meta
from embrm.embed.cache._segment import count_rows
from embrm.embed.cache.durable import (
    TEMPORARY,
    Place,
    RemotePath,
    as_place,
    storage_errors,
)
from embrm.embed.cache.store import SEGMENTS, SideBySideStore, VectorStore, Verify
from embrm.exceptions import IntegrityError, invalid_input

_DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class StoreInfo:
    """What one store holds, read without checking digests.

    Attributes
    ----------
    digest : str
        Of the fingerprint; the name of the store's directory.
    fingerprint : Fingerprint or None
        None where meta.json is missing or unreadable.
    n_segments, n_rows, n_bytes : int
        Segments, rows in them (a key in two segments counts twice), and their size.
    n_unreadable, n_damaged, n_temporary : int
        Segments that cannot be parsed, were set aside, or are being written.
    """

    digest: str
    fingerprint: Fingerprint | None
    n_segments: int
    n_rows: int
    n_bytes: int
    n_unreadable: int
    n_damaged: int
    n_temporary: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        known = self.fingerprint.to_json() if self.fingerprint else None
        return {**vars(self), "fingerprint": known}


class VectorCache:
    """Vectors on disk, kept for ever, one store for each encoder.

    Vectors of two encoders never mix: a store is named after the digest of the
    encoder's fingerprint, and each of its segments repeats that digest.

    Parameters
    ----------
    directory : str or path
        Created when the first vectors are appended. Also a URI that pyarrow knows, as
        `"s3://bucket/directory"`. Segments elsewhere are written by one PUT each; of
        them only keys are read on opening, and each is fetched whole to a nameless
        local file when its vectors are first used.
    verify : {"use", "open", "never"}, default="use"
        When a segment is compared with its digest, which costs 1 second per GB, once
        for this object: before the first use of its vectors, when it is opened, or
        never.
    filesystem : pyarrow.fs.FileSystem, optional
        `directory` is then a path on it.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from embrm.embed.base import Encoder, Fingerprint, recognise
    >>> from embrm.embed.keys import item_keys
    >>> who = Fingerprint({"kind": "example"}, dim=2, dtype="float32")
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     cache = VectorCache(directory)
    ...     keys = item_keys([("Hi", "Hello")])
    ...     cache.open(who).append(keys, np.ones((1, 2), dtype="float32"))
    ...     [(info.digest == who.digest, info.n_rows) for info in cache.stores()]
    [(True, 1)]
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | RemotePath,
        *,
        verify: Verify = "use",
        filesystem: Any = None,
    ) -> None:
        self.directory = as_place(directory, filesystem)
        self.verify = verify
        self._stores: dict[str, VectorStore] = {}

    def open(self, fingerprint: Fingerprint) -> VectorStore:
        """Open the store of an encoder, up to date.

        Nothing is created. Opened twice, it is the same object, and segments that
        were checked are not checked again.

        Raises
        ------
        InvalidInputError
            If the fingerprint's dtype cannot be stored, or the cache is a file.
        IntegrityError
            If the store is of an unknown layout, or a segment belongs elsewhere.
        """
        if self.directory.exists() and not self.directory.is_dir():
            raise invalid_input(
                expected="a directory for the cache",
                got=f"the file {self.directory}",
                fix="choose another path",
            )
        if fingerprint.dtype not in ("float16", "float32"):
            raise invalid_input(
                expected="an encoder with dtype float16 or float32",
                got=fingerprint.dtype[:20],
                fix="cast its vectors and record the dtype in its fingerprint",
            )
        store = self._stores.get(fingerprint.digest)
        if store is None:
            path = self.directory / fingerprint.digest
            store = VectorStore(path, fingerprint, verify=self.verify)
            self._stores[fingerprint.digest] = store
        else:
            store.refresh()
        return store

    def open_for(self, encoder: Encoder) -> VectorStore | SideBySideStore:
        """Open the store of an encoder, which may recognise its own among all here.

        Servers do so by their answers; see `embrm.embed.base.recognise`. Stores whose
        meta.json cannot be read are not shown to it. An encoder with several columns
        has a store for each of them; they are opened as one.

        Raises
        ------
        InvalidInputError, IntegrityError
            As `open` does.
        """
        recognise(encoder, self._fingerprints())
        parts = encoder.fingerprint.parts
        if not parts:
            return self.open(encoder.fingerprint)
        return SideBySideStore([self.open(part) for part in parts], parts)

    def store_directories(self) -> list[Place]:
        """List the directories of the stores, by digest."""
        if not self.directory.is_dir():
            return []
        with storage_errors("list the cache", self.directory):
            found = [
                path
                for path in self.directory.iterdir()
                if _DIGEST.fullmatch(path.name)
                and path.is_dir()
                and not path.is_symlink()
            ]
        return sorted(found, key=lambda path: path.name)

    def stores(self) -> list[StoreInfo]:
        """List what is here, by digest, quickly: digests are not checked."""
        return [_info(path) for path in self.store_directories()]

    def _fingerprints(self) -> Iterator[Fingerprint]:
        """Read the fingerprints of the stores, on demand."""
        for directory in self.store_directories():
            with suppress(IntegrityError):
                if (found := read_meta(directory)) is not None:
                    yield found

    def __repr__(self) -> str:
        return f"VectorCache({str(self.directory)!r})"


def _info(directory: Place) -> StoreInfo:
    """Count what a store holds."""
    fingerprint = None
    with suppress(IntegrityError):
        fingerprint = read_meta(directory)
    n_rows = n_bytes = n_unreadable = 0
    with storage_errors("read the store", directory):
        paths = list_segments(directory / SEGMENTS)
        for path in paths:
            try:
                n_bytes += path.stat().st_size
                n_rows += count_rows(path)
            except FileNotFoundError:
                continue
            except IntegrityError:
                n_unreadable += 1
        names = names_in(directory / SEGMENTS)
    return StoreInfo(
        digest=directory.name,
        fingerprint=fingerprint,
        n_segments=len(paths),
        n_rows=n_rows,
        n_bytes=n_bytes,
        n_unreadable=n_unreadable,
        n_damaged=sum(name.endswith(DAMAGED) for name in names),
        n_temporary=sum(name.endswith(TEMPORARY) for name in names),
    )
