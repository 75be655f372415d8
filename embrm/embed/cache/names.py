"""Names of segments: they order the rows and carry the digest."""

import os
import re
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path

DAMAGED = ".damaged"
"""Suffix of segments that were set aside."""

_NAME = re.compile(
    r"(?P<prefix>\d{8}T\d{12}Z-[\w.]+-\d+-[0-9a-f]{8})-(?P<digest>[0-9a-f]{32})\.arrow",
    re.ASCII,
)


def new_prefix() -> str:
    """Make the first part of a name: unique, and ordered by time."""
    utc = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
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


def list_segments(directory: Path) -> list[Path]:
    """List the segments of a directory in order; none if there is no directory."""
    try:
        paths = [path for path in directory.iterdir() if split_name(path.name)]
    except FileNotFoundError:
        return []
    return sorted(paths, key=lambda path: path.name)
