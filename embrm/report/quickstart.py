"""Where the quickstart data is: beside the package in a checkout, inside a wheel."""

from pathlib import Path

import embrm
from embrm.exceptions import DataError, format_error


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
    raise DataError(
        format_error(
            expected="quickstart.jsonl in data/ beside the package, or inside it",
            got="no such file",
            fix="pass --data FILE, or reinstall embrm",
        ),
        reason="missing file",
    )
