"""Bounds of a server, enforced before work is done."""

from dataclasses import dataclass, fields

from embrm.exceptions import invalid_input

MIB = 2**20


@dataclass(frozen=True)
class Bounds:
    """What a server takes from its clients; more is refused with a status that says so.

    Parameters
    ----------
    body_bytes : int, default=8 MiB
        Of one request's body; 413.
    held_bytes : int, default=256 MiB
        Bodies of all requests that are being read or answered; 503.
    header_bytes : int, default=64 KiB
        Request line and headers of one request; 431.
    connections : int, default=1024
        Concurrent connections of a worker; 503.
    header_seconds : float, default=10
        From the first byte, or the connection, until headers are whole; 408.
    body_seconds : float, default=30
        From headers until the body is whole; 408.
    write_seconds : float, default=30
        A client that reads nothing of its answer for so long is cut off.
    idle_seconds : float, default=75
        Between two requests of a connection.
    request_seconds : float, default=120
        From body to answer; 504, and the work is dropped.
    stop_seconds : float, default=30
        From SIGTERM until requests in flight are given up.

    Examples
    --------
    >>> Bounds(connections=8).connections
    8
    """

    body_bytes: int = 8 * MIB
    held_bytes: int = 256 * MIB
    header_bytes: int = 64 * 1024
    connections: int = 1024
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    write_seconds: float = 30.0
    idle_seconds: float = 75.0
    request_seconds: float = 120.0
    stop_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise invalid_input(
                    expected=f"{field.name} > 0",
                    got=str(value),
                    fix=f"leave it at its default, {field.default}",
                )
