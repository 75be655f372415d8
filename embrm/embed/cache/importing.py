"""Take vectors that others published into a store."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from embrm._typing import FloatArray
from embrm.embed.cache.index import KeyIndex, check_keys
from embrm.embed.cache.published import PublishedVectors
from embrm.embed.cache.store import VectorStore
from embrm.embed.keys import Keys
from embrm.exceptions import FingerprintMismatchError, InvalidInputError, three_parts

_SEGMENT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ImportReport:
    """What `import_vectors` did.

    Attributes
    ----------
    n_rows, n_unique : int
        Rows in the file, and different texts among them: of equal texts the first
        row counts.
    n_known : int
        Different texts whose vectors were in the store already; those stay.
    n_imported : int
        Vectors that are new.
    dtype, stored_as : str
        Dtype of the numbers in the file, and in the store.
    """

    n_rows: int
    n_unique: int
    n_known: int
    n_imported: int
    dtype: str
    stored_as: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


def import_vectors(
    store: VectorStore, keys: Keys, published: PublishedVectors
) -> ImportReport:
    """Keep published vectors under the keys of their texts.

    What the vectors are is the caller's word: the store's fingerprint states it.
    Every row is checked before the first is written; rows that are in the store stay
    as they are, so that an import may be run again.

    Parameters
    ----------
    store : VectorStore
    keys : ndarray of shape (n,), dtype V16
        Of the texts, in the order of the rows.
    published : PublishedVectors
        From `open_published`.

    Returns
    -------
    ImportReport

    Raises
    ------
    InvalidInputError
        If there are more or fewer rows than keys, or a vector is not finite, or not
        in the store's dtype (float16 ends at 65,504). Nothing is imported then.
    FingerprintMismatchError
        If the vectors are of another length than the fingerprint says.
    EmbrmError
        If the disk refuses. What was imported before is kept.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from embrm.embed.base import Fingerprint
    >>> from embrm.embed.cache import VectorCache, open_published
    >>> from embrm.embed.keys import item_keys
    >>> who = Fingerprint({"kind": "published"}, dim=2, dtype="float16")
    >>> keys = item_keys([("Hi", "Hello"), ("Hi", "Bye")])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory) / "vectors.npy"
    ...     np.save(path, np.array([[1, 2], [3, 4]], dtype="float32"))
    ...     store = VectorCache(directory).open(who)
    ...     report = import_vectors(store, keys, open_published(path))
    ...     report.n_imported, store.take(keys).tolist()
    (2, [[1.0, 2.0], [3.0, 4.0]])
    """
    _check_shape(store, check_keys(keys), published)
    for _ in _chunks(store, published):
        pass  # a bad row is found before anything is written
    first = KeyIndex(keys).rows
    wanted = np.zeros(len(keys), dtype=bool)
    wanted[first] = ~store.contains(keys[first])
    n_imported = int(np.count_nonzero(wanted))
    if n_imported:
        for start, vectors in _chunks(store, published):
            chosen = wanted[start : start + len(vectors)]
            store.append(keys[start : start + len(vectors)][chosen], vectors[chosen])
    return ImportReport(
        n_rows=len(keys),
        n_unique=len(first),
        n_known=len(first) - n_imported,
        n_imported=n_imported,
        dtype=published.dtype,
        stored_as=store.fingerprint.dtype,
    )


def _check_shape(store: VectorStore, keys: Keys, published: PublishedVectors) -> None:
    if len(published) != len(keys):
        raise InvalidInputError(
            three_parts(
                expected=f"one vector for each of the {len(keys)} items",
                got=f"{len(published)} vectors in {published.path}",
                cure="pass the items that the vectors were made of, in their order",
            )
        )
    if published.dim != store.dim:
        raise FingerprintMismatchError(
            three_parts(
                expected=f"vectors with d = {store.dim}, as the fingerprint says",
                got=f"d = {published.dim} in {published.path}",
                cure="state the fingerprint of the encoder that made them",
            )
        )


def _chunks(
    store: VectorStore, published: PublishedVectors
) -> Iterator[tuple[int, FloatArray]]:
    """Yield the rows in the store's dtype, checked, with the number of the first."""
    n_rows = max(1, _SEGMENT_BYTES // (store.dim * store.dtype.itemsize))
    for start in range(0, len(published), n_rows):
        rows = published.read(start, min(start + n_rows, len(published)))
        with np.errstate(over="ignore"):
            cast = rows.astype(store.dtype)
        finite = np.isfinite(cast).all(axis=1)
        if not finite.all():
            at = int(np.argmin(finite))
            raise _not_finite(rows[at], start + at, store)
        yield start, cast


def _not_finite(row: FloatArray, number: int, store: VectorStore) -> InvalidInputError:
    too_large = bool(np.isfinite(row).all())
    return InvalidInputError(
        three_parts(
            expected=f"finite vectors in {store.dtype}",
            got=f"{'a number too large for it' if too_large else 'NaN or infinity'} "
            f"at row {number}, counted from 0",
            cure="state dtype float32 in the fingerprint"
            if too_large
            else "leave this row and its item out, or embed its text anew",
        )
    )
