"""Finished cells on disk: one small file each, there whole or not at all.

Layout of `DIRECTORY/cells/KEY.json`: `{"checksum": ..., "cell": {"content": ...,
"row": ..., "seconds": ...}}`. The key is the digest of the content, which is
everything that decides the cell's numbers. Null stands for NaN.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embrm.embed.cache.durable import make_directory, storage_errors, write_durably
from embrm.exceptions import EmbrmWarning
from embrm.simulate.experiment.canonical import canonical_bytes, digest_of


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
        if not _is_intact(body, key):
            warnings.warn(
                f"the stored cell {key[:8]} is damaged; it is computed anew",
                EmbrmWarning,
                stacklevel=2,
            )
            return None
        cell = body["cell"]
        return CellRecord(_with_nan(cell["row"]), cell["seconds"])


def _is_intact(body: Any, key: str) -> bool:
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
