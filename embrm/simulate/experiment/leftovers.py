"""Files that a killed run was writing."""

import time
from contextlib import suppress
from pathlib import Path

from embrm.embed.cache.durable import TEMPORARY


def remove_leftovers(directory: Path) -> None:
    """Remove temporary files that nobody has written to for an hour.

    Younger ones may be those of another run in the same directory.

    Examples
    --------
    >>> remove_leftovers(Path("a directory that does not exist"))
    """
    before = time.time() - _AN_HOUR
    for path in directory.rglob(f"*{TEMPORARY}"):
        # Two runs may remove the same file.
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()


_AN_HOUR = 3600
