"""One deadline holds for a whole attempt, whatever the server does meanwhile."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from embrm.embed import OpenAICompatibleEncoder
from embrm.exceptions import EmbrmError

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
# What is sent at first, and then again and again.
SERVERS = {
    "silence": (b"", b""),
    "bytes of a header": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
    "headers without end": (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "extensions of a chunk": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;x=", b"a"),
    "tiny chunks": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a body that drips": (_HEAD + b"Content-Length: 99999999\r\n\r\n", b" "),
}


@contextlib.contextmanager
def serving(first, again):
    """Answer every request with bytes that never come to an end."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def answer(connection):
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                connection.recv(65_536)
                connection.sendall(first)
                while not stop.wait(0.02):
                    connection.sendall(again)

        def accept():
            while not stop.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    connection, _ = server.accept()
                    threading.Thread(target=answer, args=(connection,)).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize(("first", "again"), SERVERS.values(), ids=SERVERS)
def test_a_server_that_keeps_a_connection_busy_is_given_up(first, again):
    """The attempt ends at its deadline with an error that names it."""
    with serving(first, again) as url:
        encoder = OpenAICompatibleEncoder("m", url, timeout=0.4, attempts=1)
        start = time.monotonic()
        with pytest.raises(EmbrmError, match=r"within 0\.4 s|Protocol"):
            encoder.encode([("p", "r")])
        assert time.monotonic() - start < 5


_ASKING = """
import sys
from embrm.embed.server.openai_compatible import OpenAICompatibleEncoder
encoder = OpenAICompatibleEncoder("m", sys.argv[1], timeout=60)
print("asking", flush=True)
encoder.encode([(f"p{n}", "r") for n in range(64)])
"""


def test_one_ctrl_c_ends_the_waiting():
    """The first is enough, within seconds and not at the deadline of a minute."""
    with serving(*SERVERS["a body that drips"]) as url:
        asking = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_ASKING), url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with asking:
            asking.stdout.readline()
            time.sleep(0.5)
            os.kill(asking.pid, signal.SIGINT)
            start = time.monotonic()
            _, errors = asking.communicate(timeout=15)
        assert time.monotonic() - start < 10
        assert asking.returncode != 0
        assert "KeyboardInterrupt" in errors
