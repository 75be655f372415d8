"""A pool on disk, for workers to map into memory: raw bytes, and JSON about them.

Layout of `DIRECTORY/pools/DIGEST/`:

- `items`, `gold`, `prompts`: arrays in C order, without any header;
- `pool.json`: `{"items": {"dtype": "<f2", "shape": [6000, 384]}, ...}`, written last:
  without it the directory does not count.

Prompts are numbers in the sorted order of the prompts' ids, which is all that heads
and designs ever look at.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embrm._typing import AnyArray
from embrm.embed.cache.durable import (
    durable_file,
    make_directory,
    storage_errors,
    write_durably,
)
from embrm.evaluate.inputs import number_prompts
from embrm.exceptions import EmbrmWarning, IntegrityError, three_parts
from embrm.pool import CandidatePool
from embrm.simulate.checks import require_gold
from embrm.simulate.experiment.canonical import (
    array_digest,
    canonical_bytes,
    digest_of,
    rows_at_a_time,
)

_HEADER = "pool.json"
_PARTS = ("items", "gold", "prompts")


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


def arrays_of(pool: CandidatePool) -> dict[str, AnyArray]:
    """Give the arrays that make up a pool with gold: items, gold, prompts."""
    prompts, _ = number_prompts(pool.prompt_ids, "prompt_ids")
    return {
        "items": pool.items,
        "gold": require_gold(pool, "an experiment"),
        "prompts": prompts.astype(np.int64),
    }


def pool_digest(pool: CandidatePool) -> str:
    """Digest of the vectors, gold and grouping of a pool: not of texts and names.

    Examples
    --------
    >>> one = CandidatePool(np.eye(2), ["a", "b"], gold=[0, 1])
    >>> other = CandidatePool(np.eye(2), [1, 2], gold=[0, 1])
    >>> pool_digest(one) == pool_digest(other)
    True
    """
    return _digest(arrays_of(pool))


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
            if _is_intact(stored):
                return stored
            warnings.warn(
                f"the stored pool {digest[:8]} was damaged; it is written anew",
                EmbrmWarning,
                stacklevel=2,
            )
        make_directory(place)
        arrays = arrays_of(pool)
        for name, array in arrays.items():
            _write_array(place / name, array)
        write_durably(place / _HEADER, canonical_bytes(_header(arrays)))
    return stored


def open_pool(files: PoolFiles) -> CandidatePool:
    """Map a stored pool into memory, read-only.

    Raises
    ------
    IntegrityError
        If the files do not have the form they were written in.
    """
    arrays = _map(files)
    return CandidatePool(arrays["items"], arrays["prompts"], gold=arrays["gold"])


def _map(files: PoolFiles) -> dict[str, AnyArray]:
    place = Path(files.directory)
    try:
        header: Any = json.loads((place / _HEADER).read_bytes())
        return {
            name: np.memmap(
                place / name,
                dtype=np.dtype(str(header[name]["dtype"])),
                shape=tuple(int(size) for size in header[name]["shape"]),
                mode="r",
            )
            for name in _PARTS
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise IntegrityError(
            three_parts(
                expected=f"a stored pool in {place}, where all workers can read it",
                got=type(error).__name__,
                cure="run the experiment in a directory that every worker sees, and "
                "run it again if files were removed",
            )
        ) from error


def _is_intact(files: PoolFiles) -> bool:
    try:
        return _digest(_map(files)) == files.digest
    except IntegrityError:
        return False


def _digest(arrays: dict[str, AnyArray]) -> str:
    return digest_of({name: array_digest(array) for name, array in arrays.items()})


def _header(arrays: dict[str, AnyArray]) -> dict[str, Any]:
    return {
        name: {"dtype": array.dtype.str, "shape": list(array.shape)}
        for name, array in arrays.items()
    }


def _write_array(path: Path, array: AnyArray) -> None:
    step = rows_at_a_time(array)
    with durable_file(path) as file:
        for start in range(0, len(array), step):
            file.write(np.ascontiguousarray(array[start : start + step]).data)
