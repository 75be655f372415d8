"""Connections with bounds of their own: slow and silent clients are cut off."""

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from embrm.web.answers import as_json, error_content
from embrm.web.bounds import Bounds


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection, which by itself waits for headers and readers for ever.

    The bounds are those of the app, which is a `Guard`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.bounds: Bounds = self.app.bounds
        self._header_timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None
        self._in_headers, self._header_bytes = True, 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._refuse(503, "too many connections", "retry-after: 1\r\n")
        else:
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_header_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, in so far as headers stay within their bounds."""
        if self.transport.is_closing():
            return
        in_headers, before = self._in_headers, self.cycle
        if in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        # Another cycle: the headers are whole, and what followed them is body.
        if in_headers and self.cycle is before:
            if self._header_bytes > self.bounds.header_bytes:
                self._refuse(431, "request line and headers are too long")
            elif self._header_timer is None:
                self._await_headers()

    def on_headers_complete(self) -> None:
        """Stop the clock of the headers."""
        self._stop_header_timer()
        self._in_headers, self._header_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next request's headers."""
        self._in_headers = True
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Give a client that does not read its answer some time."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(
            self.bounds.write_seconds, self.transport.abort
        )

    def resume_writing(self) -> None:
        """Go on; the client reads."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in JSON as all else."""
        self._refuse(400, msg)

    def _await_headers(self) -> None:
        self._header_timer = self.loop.call_later(
            self.bounds.header_seconds,
            self._refuse,
            408,
            "headers did not arrive in time",
        )

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _refuse(self, status: int, message: str, headers: str = "") -> None:
        """Answer without the app, and close."""
        self._stop_header_timer()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started:
                self.transport.abort()  # amid another answer
            # What the app still has to say is not sent.
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.is_closing():
            return
        body = as_json(error_content("", status, message))
        head = (
            f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n{headers}connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
