"""Path of the quickstart data: next to the package in a checkout, inside a wheel."""

from pathlib import Path

import embrm
from embrm.exceptions import DataError


def quickstart_path() -> Path:
    """Find `quickstart.jsonl`.

    Returns
    -------
    Path

    Raises
    ------
    DataError
        If it is in neither place.

    Examples
    --------
    >>> quickstart_path().name
    'quickstart.jsonl'
    """
    package = Path(embrm.__file__).resolve().parent
    places = [package.parent / "data", package / "data"]
    for place in places:
        if (place / "quickstart.jsonl").is_file():
            return place / "quickstart.jsonl"
    raise DataError.of(
        expected="quickstart.jsonl in data/ beside the package, or inside it",
        got="no such file",
        fix="pass --data FILE, or reinstall embrm",
        reason="missing file",
    )
