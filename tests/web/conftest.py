"""A server in a thread, to be met with raw sockets."""

import pytest

from embrm.web import Bounds
from embrm.web.guard import Guard
from embrm.web.serving import BoundedConnection


async def hello(scope, receive, send):
    """Answer with as many bytes as the query string says."""
    if scope["type"] == "lifespan":
        return
    size = int(scope["query_string"] or b"2")
    headers = [(b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * size})


@pytest.fixture
def listening(running):
    """Start a server with bounds; return its port."""

    def start(**bounds):
        app = Guard(hello, Bounds(**bounds))
        options = {"lifespan": "off", "proxy_headers": False}
        url = running(app, http=BoundedConnection, **options)
        return int(url.rpartition(":")[2])

    return start
