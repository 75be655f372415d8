"""A server in a thread, to be met with raw sockets."""

import socket
import threading
import time
from contextlib import ExitStack

import pytest
import uvicorn

from embrm.web import Bounds
from embrm.web.connection import BoundedConnection
from embrm.web.guard import Guard


async def hello(scope, receive, send):
    """Answer with as many bytes as the query string says."""
    if scope["type"] == "lifespan":
        return
    size = int(scope["query_string"] or b"2")
    headers = [(b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * size})


@pytest.fixture
def listening():
    """Start a server with bounds; return its port."""
    with ExitStack() as stack:

        def start(**bounds):
            sock = socket.create_server(("127.0.0.1", 0))
            config = uvicorn.Config(
                Guard(hello, Bounds(**bounds)),
                http=BoundedConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
            )
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, args=([sock],))
            thread.start()

            def stop():
                server.should_exit = True
                thread.join(20)
                sock.close()
                assert not thread.is_alive()

            stack.callback(stop)
            while not server.started:
                time.sleep(0.01)
            return sock.getsockname()[1]

        yield start
