"""Give vectors to other tools, and take in those that others published."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embrm._typing import FloatArray
from embrm.embed.base import Fingerprint
from embrm.embed.cache._layout import arrow_schema, vectors_to_arrow
from embrm.embed.cache.durable import durable_file, storage_errors
from embrm.embed.cache.published import PublishedVectors
from embrm.embed.cache.store import VectorStore
from embrm.embed.keys import KeyIndex, Keys, check_keys
from embrm.exceptions import FingerprintMismatchError, InvalidInputError, invalid_input

_BATCH_ROWS = 16_384

Batches: TypeAlias = Iterator[tuple[Keys, FloatArray]]

_SEGMENT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ExportReport:
    """What `export` wrote.

    Attributes
    ----------
    path : str
    n_rows, n_bytes : int
    """

    path: str
    n_rows: int
    n_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


def export(
    store: VectorStore,
    path: str | os.PathLike[str],
    *,
    keys: Keys | None = None,
) -> ExportReport:
    """Write the vectors of a store to a file that other tools read.

    Tables (Parquet, Arrow) have the columns `key` (32 hexadecimal digits) and
    `vector` (fixed-size list), and the fingerprint's digest in their schema metadata.
    `.npy` is the array of vectors, shape (n, d); the keys go to `*.keys.npy` beside
    it, shape (n, 16), uint8.

    Parameters
    ----------
    store : VectorStore
    path : str or path
        Ends in `.parquet`, `.arrow` or `.npy`. An existing file is replaced, at once.
    keys : ndarray of shape (n,), dtype V16, optional
        Rows to write, in this order; repetitions are fine. By default each key once,
        in the order of the store.

    Returns
    -------
    ExportReport

    Raises
    ------
    InvalidInputError
        If the path has another ending, or keys are missing.
    EmbrmError
        If the disk refuses; `path` then holds what it held before.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from embrm.embed.cache import VectorCache
    >>> from embrm.embed.keys import item_keys
    >>> who = Fingerprint({"kind": "example"}, dim=2, dtype="float32")
    >>> keys = item_keys([("Hi", "Hello"), ("Hi", "Bye")])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     store = VectorCache(directory).open(who)
    ...     store.append(keys, np.array([[1, 2], [3, 4]], dtype="float32"))
    ...     out = Path(directory) / "vectors.npy"
    ...     report = export(store, out, keys=keys[[1, 0, 1]])
    ...     np.lib.format.open_memmap(out)[:].tolist()
    [[3.0, 4.0], [1.0, 2.0], [3.0, 4.0]]
    """
    target = Path(path)
    write = _WRITERS.get(target.suffix)
    if write is None:
        raise invalid_input(
            expected=f"a path that ends in {', '.join(_WRITERS)}",
            got=f"the ending {target.suffix[:20]!r}",
            fix="choose one of these formats",
        )
    n_rows, batches = _all_rows(store) if keys is None else _chosen(store, keys)
    with storage_errors("export vectors to", target):
        write(target, store.fingerprint, batches, n_rows)
        n_bytes = target.stat().st_size
    return ExportReport(str(target), n_rows, n_bytes)


def keys_path(path: Path) -> Path:
    """Name the file of keys beside an array of vectors."""
    return path.with_suffix(f".keys{path.suffix}")


def _all_rows(store: VectorStore) -> tuple[int, Batches]:
    """Count the valid rows, and yield them in order."""
    counting = store.counting_rows()

    def batches() -> Batches:
        for segment, rows in counting:
            for start in range(0, len(rows), _BATCH_ROWS):
                some = rows[start : start + _BATCH_ROWS]
                yield segment.keys[some], segment.vectors[some]

    return sum(len(rows) for _, rows in counting), batches()


def _chosen(store: VectorStore, keys: Keys) -> tuple[int, Batches]:
    """Yield the rows of keys in their order, once it is sure that all are there."""
    n_missing = int(np.count_nonzero(~store.contains(keys)))
    if n_missing:
        raise invalid_input(
            expected=f"items whose vectors are in the store {store.directory}",
            got=f"{n_missing} of {len(keys)} missing",
            fix="embed them first, or export without naming items",
        )
    starts = range(0, len(keys), _BATCH_ROWS)
    parts = (keys[start : start + _BATCH_ROWS] for start in starts)
    return len(keys), ((part, store.take(part)) for part in parts)


def _write_table(path: Path, who: Fingerprint, batches: Batches, _: int) -> None:
    """Write a Parquet or an Arrow file."""
    make = pq.ParquetWriter if path.suffix == ".parquet" else pa.ipc.new_file
    schema = _schema(who)
    with durable_file(path) as file, make(file, schema) as writer:
        for batch in _record_batches(who, batches):
            writer.write_batch(batch)


def _write_npy(path: Path, who: Fingerprint, batches: Batches, n_rows: int) -> None:
    """Write vectors and keys as two arrays; with the vectors, the keys are there."""
    with durable_file(path) as file:
        _write_header(file, who.dtype, (n_rows, who.dim))
        with durable_file(keys_path(path)) as key_file:
            _write_header(key_file, "uint8", (n_rows, 16))
            for keys, vectors in batches:
                file.write(np.ascontiguousarray(vectors).data)
                key_file.write(keys.tobytes())


_WRITERS: dict[str, Callable[[Path, Fingerprint, Batches, int], None]] = {
    ".parquet": _write_table,
    ".arrow": _write_table,
    ".npy": _write_npy,
}


def _write_header(file: Any, dtype: str, shape: tuple[int, int]) -> None:
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _schema(who: Fingerprint) -> Any:
    key = pa.field("key", pa.string(), nullable=False)
    vector = arrow_schema(who, 0).field("vector")
    return pa.schema([key, vector], metadata={"embrm.fingerprint": who.digest})


def _record_batches(who: Fingerprint, batches: Batches) -> Iterator[Any]:
    schema = _schema(who)
    for keys, vectors in batches:
        names = pa.array([bytes(key).hex() for key in keys], pa.string())
        columns = [names, vectors_to_arrow(vectors, who)]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


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
        If the vectors are not of the length in the fingerprint.
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
        raise invalid_input(
            expected=f"one vector for each of the {len(keys)} items",
            got=f"{len(published)} vectors in {published.path}",
            fix="pass the items that the vectors were made of, in their order",
        )
    if published.dim != store.dim:
        raise FingerprintMismatchError.of(
            expected=f"vectors with d = {store.dim}, as in the fingerprint",
            got=f"d = {published.dim} in {published.path}",
            fix="state the fingerprint of the encoder that made them",
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
    return invalid_input(
        expected=f"finite vectors in {store.dtype}",
        got=f"{'a number too large for it' if too_large else 'NaN or infinity'} "
        f"at row {number}, counted from 0",
        fix="state dtype float32 in the fingerprint"
        if too_large
        else "leave this row and its item out, or embed its text again",
    )
