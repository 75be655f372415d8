"""What a run keeps on disk: two pools, to be mapped into memory, and finished cells.

Layout of the directory of a run:

- `pools/DIGEST/items`, `gold`, `prompts`: arrays in C order, without any header.
  Prompts are numbers in the sorted order of the prompts' ids, which is all that heads
  and designs ever look at;
- `pools/DIGEST/pool.json`: `{"items": {"dtype": "<f2", "shape": [6000, 384]}, ...}`,
  written last: without it the directory does not count. Where a pool has blocks,
  `"blocks": {"minilm": [0, 384], ...}` stands in it too;
- `cells/KEY.json`: `{"checksum": ..., "cell": {"content": ..., "row": ..., "seconds":
  ...}}`. The key is the digest of the content, which is everything that decides the
  cell's numbers. Null stands for NaN.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from embrm._typing import AnyArray
from embrm.embed.cache import durable
from embrm.embed.cache.durable import (
    TEMPORARY,
    durable_file,
    make_directory,
    storage_errors,
    write_durably,
)
from embrm.evaluate.inputs import number_prompts
from embrm.exceptions import EmbrmWarning, IntegrityError, warn
from embrm.experiment.factors import (
    array_digest,
    canonical_bytes,
    digest_of,
    rows_at_a_time,
)
from embrm.pool import CandidatePool, require_gold

_HEADER = "pool.json"
_PARTS = ("items", "gold", "prompts")

_Edges: TypeAlias = dict[str, list[int]]
"""First and last bound of each block."""


@dataclass(frozen=True)
class PoolFiles:
    """A pool that was stored.

    Attributes
    ----------
    directory : str
        Where.
    digest : str
        Of everything in it.
    """

    directory: str
    digest: str


def pool_digest(pool: CandidatePool) -> str:
    """Digest of the vectors, blocks, gold and grouping of a pool: not of texts, names.

    Examples
    --------
    >>> one = CandidatePool(np.eye(2), ["a", "b"], gold=[0, 1])
    >>> other = CandidatePool(np.eye(2), [1, 2], gold=[0, 1])
    >>> pool_digest(one) == pool_digest(other)
    True
    """
    return _digest(_arrays_of(pool), _edges(pool))


def write_pool(pool: CandidatePool, digest: str, directory: Path) -> PoolFiles:
    """Store a pool in `directory/DIGEST`, unless it is there and undamaged.

    Parameters
    ----------
    pool : CandidatePool
        With gold.
    digest : str
        What `pool_digest` gives for it.
    directory : Path
        Created where it does not exist.

    Returns
    -------
    PoolFiles
    """
    place = directory / digest
    stored = PoolFiles(str(place), digest)
    with storage_errors("store a pool", place):
        if (place / _HEADER).exists():
            if _pool_is_intact(stored):
                return stored
            warn(
                f"the stored pool {digest[:8]} was damaged; it is written again",
                EmbrmWarning,
            )
        make_directory(place)
        arrays = _arrays_of(pool)
        for name, array in arrays.items():
            _write_array(place / name, array)
        header = _header(arrays, _edges(pool))
        write_durably(place / _HEADER, canonical_bytes(header))
    return stored


def open_pool(files: PoolFiles) -> CandidatePool:
    """Map a stored pool into memory, read-only.

    Raises
    ------
    IntegrityError
        If the files do not have the form they were written in.
    """
    arrays, edges = _map(files)
    blocks = None if edges is None else {name: slice(*at) for name, at in edges.items()}
    return CandidatePool(
        arrays["items"], arrays["prompts"], gold=arrays["gold"], blocks=blocks
    )


@dataclass(frozen=True)
class CellRecord:
    """What came out of a cell.

    Attributes
    ----------
    row : dict of str to float, int or str
        Numbers that a second run gives again, bit for bit.
    seconds : dict of str to float
        Times, which it does not.
    """

    row: Mapping[str, Any]
    seconds: Mapping[str, float]


class CellStore:
    """The finished cells of a directory.

    Parameters
    ----------
    directory : str
        Must exist: see `CellStore.create`.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @classmethod
    def create(cls, directory: Path) -> "CellStore":
        """Make the directory, durably, where it does not exist."""
        with storage_errors("store cells", directory):
            make_directory(directory)
        return cls(str(directory))

    def path(self, key: str) -> Path:
        """Where the cell of a key is stored."""
        return Path(self.directory) / f"{key}.json"

    def save(self, content: Mapping[str, Any], record: CellRecord) -> None:
        """Store a finished cell: after a kill or a power cut it is there, or not."""
        cell = {
            "content": content,
            "row": _without_nan(record.row),
            "seconds": dict(record.seconds),
        }
        body = {"checksum": digest_of(cell), "cell": cell}
        with storage_errors("store a cell", Path(self.directory)):
            write_durably(self.path(digest_of(content)), canonical_bytes(body))

    def load(self, key: str) -> CellRecord | None:
        """Read a cell; None where there is none, and, with a warning, if damaged."""
        try:
            body = json.loads(self.path(key).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            body = None
        if not _cell_is_intact(body, key):
            warn(
                f"the stored cell {key[:8]} is damaged; it is computed again",
                EmbrmWarning,
            )
            return None
        cell = body["cell"]
        return CellRecord(_with_nan(cell["row"]), cell["seconds"])


def remove_leftovers(directory: Path) -> None:
    """Remove temporary files whose writers are dead, at any depth.

    Examples
    --------
    >>> remove_leftovers(Path("a directory that does not exist"))
    """
    for place in {path.parent for path in directory.rglob(f"*{TEMPORARY}")}:
        durable.remove_leftovers(place)


def _arrays_of(pool: CandidatePool) -> dict[str, AnyArray]:
    """Give the arrays that make up a pool with gold: items, gold, prompts."""
    prompts, _ = number_prompts(pool.prompt_ids, "prompt_ids")
    return {
        "items": pool.items,
        "gold": require_gold(pool, "an experiment"),
        "prompts": prompts.astype(np.int64),
    }


def _edges(pool: CandidatePool) -> _Edges | None:
    """Give the first and the last bound of each block, where a pool has blocks."""
    if pool.blocks is None:
        return None
    return {name: [part.start, part.stop] for name, part in pool.blocks.items()}


def _map(files: PoolFiles) -> tuple[dict[str, AnyArray], _Edges | None]:
    place = Path(files.directory)
    try:
        header: Any = json.loads((place / _HEADER).read_bytes())
        arrays: dict[str, AnyArray] = {
            name: np.memmap(
                place / name,
                dtype=np.dtype(str(header[name]["dtype"])),
                shape=tuple(int(size) for size in header[name]["shape"]),
                mode="r",
            )
            for name in _PARTS
        }
        return arrays, header.get("blocks")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError.of(
            expected=f"a stored pool in {place}, where all workers can read it",
            got=type(error).__name__,
            fix="run the experiment in a directory that every worker sees, and "
            "run it again if files were removed",
        ) from error


def _pool_is_intact(files: PoolFiles) -> bool:
    try:
        return _digest(*_map(files)) == files.digest
    except IntegrityError:
        return False


def _digest(arrays: dict[str, AnyArray], edges: _Edges | None) -> str:
    parts: dict[str, Any] = {name: array_digest(a) for name, a in arrays.items()}
    # Heads give each block a prior of its own: other blocks are another pool.
    return digest_of(parts if edges is None else parts | {"blocks": edges})


def _header(arrays: dict[str, AnyArray], edges: _Edges | None) -> dict[str, Any]:
    header: dict[str, Any] = {
        name: {"dtype": array.dtype.str, "shape": list(array.shape)}
        for name, array in arrays.items()
    }
    return header if edges is None else header | {"blocks": edges}


def _write_array(path: Path, array: AnyArray) -> None:
    step = rows_at_a_time(array)
    with durable_file(path) as file:
        for start in range(0, len(array), step):
            file.write(np.ascontiguousarray(array[start : start + step]).data)


def _cell_is_intact(body: Any, key: str) -> bool:
    """Say whether a file holds the cell of its name, whole."""
    try:
        cell = body["cell"]
        whole = body["checksum"] == digest_of(cell)
        return bool(whole and digest_of(cell["content"]) == key and cell["row"])
    except (TypeError, KeyError, ValueError):
        return False


def _without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in row.items()}


def _with_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    nan = float("nan")
    return {name: nan if value is None else value for name, value in row.items()}
