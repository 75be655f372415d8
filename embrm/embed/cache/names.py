"""Names of segments: they order the rows and carry the digest."""

import os
import re
import secrets
import socket
from datetime import UTC, datetime

from embrm.embed.cache.remote import Place

DAMAGED = ".damaged"
"""Suffix of segments that were set aside."""

_NAME = re.compile(
    r"(?P<prefix>\d{8}T\d{12}Z-[\w.]+-\d+-[0-9a-f]{8})-(?P<digest>[0-9a-f]{32})\.arrow",
    re.ASCII,
)


def new_prefix(last: str | None = None) -> str:
    """Make the first part of a name: unique, ordered by time, and after `last`.

    Parameters
    ----------
    last : str, optional
        Latest name there is. Where this machine's clock is behind it, the new name
        takes the next microsecond, so that it sorts behind in any case.

    Examples
    --------
    >>> new_prefix("29990101T000000000009Z-host-7-0123abcd-" + "f" * 32)[:23]
    '29990101T000000000010Z-'
    """
    utc = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    if last is not None and utc <= last[: len(utc)]:
        utc = _next_stamp(last[: len(utc)])
    host = re.sub(r"[^A-Za-z0-9_.]", "_", socket.gethostname())[:32] or "host"
    return f"{utc}-{host}-{os.getpid()}-{secrets.token_hex(4)}"


def segment_name(prefix: str, digest: str) -> str:
    """Join a prefix and a digest of 32 hexadecimal digits to a name."""
    return f"{prefix}-{digest}.arrow"


def split_name(name: str) -> tuple[str, str] | None:
    """Split a name into prefix and digest; None if it is not a segment's.

    Examples
    --------
    >>> split_name("20260131T235959000000Z-host-7-0123abcd-" + "f" * 32 + ".arrow")
    ('20260131T235959000000Z-host-7-0123abcd', 'ffffffffffffffffffffffffffffffff')
    >>> split_name("notes.txt")
    """
    match = _NAME.fullmatch(name)
    return (match["prefix"], match["digest"]) if match else None


def _next_stamp(utc: str) -> str:
    """Add a microsecond, as to one number: what counts is the order."""
    digits = utc[:8] + utc[9:21]
    digits = f"{min(int(digits) + 1, 10**20 - 1):020d}"
    return f"{digits[:8]}T{digits[8:]}Z"


def list_segments(directory: Place) -> list[Place]:
    """List the segments of a directory in order; none if there is no directory."""
    try:
        paths = [path for path in directory.iterdir() if split_name(path.name)]
    except FileNotFoundError:
        return []
    return sorted(paths, key=lambda path: path.name)


def names_in(directory: Place) -> list[str]:
    """List the names in a directory; none if there is no directory."""
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
