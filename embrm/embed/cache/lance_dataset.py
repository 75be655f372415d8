"""Write a Lance dataset, whole or not at all."""

import os
import shutil
from pathlib import Path
from typing import Any

from embrm._optional import import_optional
from embrm.embed.cache.durable import sync_directory, temporary_name
from embrm.exceptions import InvalidInputError, three_parts


def write_lance(path: Path, reader: Any) -> None:
    """Write record batches as a Lance dataset.

    Lance itself syncs nothing to the disk (pylance 14.0.2: no fsync in five commits),
    so the dataset is written beside `path`, synced file by file, and then renamed.

    Parameters
    ----------
    path : Path
        Must not exist.
    reader : pyarrow.RecordBatchReader

    Raises
    ------
    MissingDependencyError
        Without the extra `lance`.
    InvalidInputError
        If `path` exists.
    """
    lance = import_optional("lance", extra="lance")
    if path.exists():
        raise InvalidInputError(
            three_parts(
                expected="a .lance directory that does not exist yet",
                got=f"{path}, which is there",
                cure="choose another name, or remove it first",
            )
        )
    temporary = path.with_name(temporary_name(path.name))
    try:
        lance.write_dataset(reader, str(temporary))
        _sync_tree(temporary)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(path.parent)


def size_on_disk(path: Path) -> int:
    """Add up the bytes of a file, or of all files below a directory."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _sync_tree(directory: Path) -> None:
    """Flush every file below a directory, and the directories themselves."""
    for folder, _, names in os.walk(directory, topdown=False):
        for name in names:
            with Path(folder, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_directory(Path(folder))
