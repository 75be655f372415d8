"""The file meta.json of a store: who its encoder is, for people and for checks."""

import json
from typing import Any

from embrm.embed.base import Fingerprint
from embrm.embed.cache.arrow_file import LAYOUT
from embrm.embed.cache.durable import write_durably
from embrm.embed.cache.remote import Place
from embrm.exceptions import FingerprintMismatchError, IntegrityError, three_parts

META = "meta.json"


def write_meta(directory: Place, fingerprint: Fingerprint) -> None:
    """Write the meta.json of a store; writers that race write the same bytes."""
    values = {
        "layout": LAYOUT,
        "digest": fingerprint.digest,
        "fingerprint": fingerprint.to_json(),
    }
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_durably(directory / META, text.encode())


def read_meta(directory: Place) -> Fingerprint | None:
    """Read and check the meta.json of a store.

    Returns
    -------
    Fingerprint or None
        None where there is no file: the next append writes it.

    Raises
    ------
    IntegrityError
        If the file cannot be read as JSON, or is of an unknown layout.
    FingerprintMismatchError
        If its fingerprint is not the one that the directory is named after.
    """
    path = directory / META
    try:
        values: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise _unreadable(path) from error
    layout = values.get("layout") if isinstance(values, dict) else None
    if not isinstance(layout, str):
        raise _unreadable(path)
    if layout != LAYOUT:
        raise IntegrityError(
            three_parts(
                expected=f"a store of layout {LAYOUT}",
                got=f"layout {layout[:20]} in {path}",
                cure="upgrade embrm, or choose another cache directory",
            )
        )
    try:
        fingerprint = Fingerprint.from_json(values["fingerprint"])
        digest = fingerprint.digest
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path) from error
    if digest != directory.name:
        raise FingerprintMismatchError(
            three_parts(
                expected=f"the fingerprint with digest {directory.name} in {path}",
                got=f"one with digest {digest}",
                cure="undo the change, or delete the file: the next run writes it",
            )
        )
    return fingerprint


def _unreadable(path: Place) -> IntegrityError:
    return IntegrityError(
        three_parts(
            expected=f"a readable layout and fingerprint in {path}",
            got="something else",
            cure="delete the file: the next run writes it again, vectors are kept",
        )
    )
