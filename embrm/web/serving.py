"""Run an app with uvicorn: bounded connections, quiet logs, an orderly end.

uvicorn by itself waits for slow and silent clients; here they are cut off.
"""

import copy
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from embrm.exceptions import invalid_input
from embrm.web.answers import as_json, error_content, printable
from embrm.web.bounds import Bounds
from embrm.web.supervisor import Supervisor

_BACKLOG = 2048
_TOO_LONG = "request line and headers are too long"


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's connection, which by itself waits for headers and readers for ever.

    The bounds are those of the app, which is a `Guard`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.bounds: Bounds = self.app.bounds
        self._header_timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None
        self._in_headers, self._quiet_bytes = True, 0

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
        """Take bytes, in so far as headers stay within their bounds.

        What is neither headers nor body, trailers above all, has the headers' bound.
        """
        if self.transport.is_closing():
            return
        in_headers, before = self._in_headers, self.cycle
        self._quiet_bytes += len(data)
        super().data_received(data)
        if self._quiet_bytes > self.bounds.header_bytes:
            self._refuse(431, _TOO_LONG)
        # Another cycle: the headers are whole, and what followed them is body.
        elif in_headers and self.cycle is before and self._header_timer is None:
            self._await_headers()

    def on_headers_complete(self) -> None:
        """Stop the clock of the headers, which may have come in one piece."""
        self._stop_header_timer()
        self._in_headers, self._quiet_bytes = False, 0
        sizes = [len(name) + len(value) for name, value in self.headers]
        if len(self.url) + sum(sizes) > self.bounds.header_bytes:
            self._refuse(431, _TOO_LONG)
            raise ValueError(_TOO_LONG)  # by which the parser stops
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._quiet_bytes = 0
        super().on_body(body)

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


class PlainFormatter(logging.Formatter):
    r"""Writes a record on one line, without control characters or tracebacks.

    Messages of exceptions may hold texts; their kind is enough.

    Examples
    --------
    >>> record = logging.makeLogRecord({"msg": "a\nb", "levelname": "WARNING"})
    >>> PlainFormatter("%(levelname)s %(message)s").format(record)
    'WARNING a\\nb'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        plain = copy.copy(record)
        words = printable(record.getMessage(), 500)
        if record.exc_info and record.exc_info[0] is not None:
            words += f" ({record.exc_info[0].__name__})"
        plain.msg, plain.args, plain.exc_info, plain.exc_text = words, (), None, None
        return super().format(plain)


LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": PlainFormatter,
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain"},
    },
    "loggers": {
        # uvicorn warns of each request that is no HTTP, which anyone can send.
        name: {"handlers": ["stderr"], "level": level, "propagate": False}
        for name, level in {"uvicorn": "ERROR", "embrm": "WARNING"}.items()
    },
}


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to listen on; port 0 takes a free one.

    Raises
    ------
    InvalidInputError
        If the address is not there, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host.strip("[]"), port), family=family, backlog=_BACKLOG
        )
    except OSError as error:
        raise invalid_input(
            expected=f"a free port {port} at {printable(host, 60)}",
            got=error.strerror or type(error).__name__,
            fix="choose another with --port, or 0 for any; see --host",
        ) from error


def url_of(host: str, sock: socket.socket) -> str:
    """Write the URL of a socket that listens at an address."""
    name = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):  # noqa: S104
        name = "localhost"
    return f"http://{name}:{sock.getsockname()[1]}"


def serve(
    app: Callable[..., Any] | str,
    sockets: list[socket.socket],
    bounds: Bounds,
    *,
    workers: int = 1,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish what is in flight, and return.

    Parameters
    ----------
    app : Guard, or str
        With several workers the name of a function that makes it, "module:function".
    sockets : list of socket
        As `listen` opens them; closed in the end.
    bounds : Bounds
    workers : int, default=1
        Processes. One that dies is replaced.

    Raises
    ------
    EmbrmError
        If a worker cannot start; the others have finished what was in flight.
    """
    config = uvicorn.Config(
        app,
        factory=isinstance(app, str),
        http=BoundedConnection,
        ws="none",
        lifespan="on",
        log_config=LOGGING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=round(bounds.idle_seconds),
        timeout_graceful_shutdown=round(bounds.stop_seconds),
        workers=workers,
        backlog=_BACKLOG,
        # Loading a model takes a worker longer than the five seconds by default.
        timeout_worker_healthcheck=120,
    )
    if workers > 1:
        Supervisor(config, sockets, stop_seconds=bounds.stop_seconds).run()
        return
    server = uvicorn.Server(config)
    # uvicorn raises the signal again when it has finished: that would be no clean exit.
    # It also has no handler yet, and a signal that comes now must count.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, server.handle_exit)
    server.run(sockets=sockets)


def end_with_parent(seconds: float = 1.0) -> None:
    """End this worker as SIGTERM does, once the process that started it is gone.

    A supervisor that is killed cannot tell its workers, who would hold the port. It may
    be gone before the worker comes here: whose child it was is known from its start.
    """
    started_by = multiprocessing.parent_process()
    parent = os.getppid() if started_by is None else started_by.pid

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def leave(code: int = 0) -> None:
    """End the process now if a thread still works on what no one waits for."""
    others = [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.daemon
    ]
    if others:
        logging.shutdown()
        os._exit(code)
