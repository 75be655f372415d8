"""Run an app with uvicorn: bounded connections, quiet logs, an orderly end."""

import copy
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from embrm.exceptions import invalid_input
from embrm.web.answers import printable
from embrm.web.bounds import Bounds
from embrm.web.connection import BoundedConnection

_BACKLOG = 2048


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
    # uvicorn raises the signal again when it has finished: that would be no clean exit.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _ignore)
    if workers > 1:
        Multiprocess(config, sockets=sockets).run()
    else:
        uvicorn.Server(config).run(sockets=sockets)


def end_with_parent(seconds: float = 1.0) -> None:
    """End this worker as SIGTERM does, once the process that started it is gone.

    A supervisor that is killed cannot tell its workers, who would hold the port.
    """
    parent = os.getppid()

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


def _ignore(*_: object) -> None:
    """Do nothing: uvicorn has done it."""
