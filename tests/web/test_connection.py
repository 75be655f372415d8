"""Slow, silent and unending clients are cut off; others are answered meanwhile."""

import socket
import time
from contextlib import closing

import pytest

GOOD = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


def connect(port, sent=b""):
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(sent)
    return sock


def read_all(sock):
    """Read until the server closes."""
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b"(reset)")
    return b"".join(parts)


def ask(port):
    """Ask as a good client does; return the status line's number."""
    with closing(connect(port, GOOD)) as sock:
        return int(sock.recv(65536).split()[1])


@pytest.mark.parametrize(
    "begin", [b"", b"\r\n", b"GET / HT", b"GET / HTTP/1.1\r\nhost: localhost\r\nx: "]
)
def test_headers_that_do_not_come_are_not_waited_for(listening, begin):
    """Nothing, blank lines and half a request alike: 408, and closed."""
    port = listening(header_seconds=0.3)
    with closing(connect(port, begin)) as sock:
        assert ask(port) == 200
        started = time.monotonic()
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - started < 5


def test_headers_that_drip_are_not_waited_for(listening):
    """The clock runs from the first byte, however many follow."""
    port = listening(header_seconds=0.4)
    with closing(connect(port, b"GET / HTTP/1.1\r\nx: ")) as sock:
        sock.settimeout(0.05)
        answer, until = b"", time.monotonic() + 8
        while not answer and time.monotonic() < until:
            sock.sendall(b"x")
            try:
                answer = sock.recv(100)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


CHUNKED = b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nx: " + b"x" * 2000,
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 2000 + b"\r\n\r\n",
        b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        GOOD[:-2] + b"x: y\r\n" * 500 + b"\r\n",
        CHUNKED + b"2;" + b"x" * 300_000,
        CHUNKED + b"2\r\nxy\r\n0\r\nx: " + b"x" * 300_000,
    ],
    ids=["no end", "one piece", "target", "many", "chunk extension", "trailer"],
)
def test_headers_beyond_the_bound_are_refused(listening, sent):
    """431 at the bound, not when memory is full; of a few pieces or of many."""
    port = listening(header_bytes=1000)
    with closing(connect(port, sent)) as sock:
        assert read_all(sock).startswith(b"HTTP/1.1 431 ")
    assert ask(port) == 200


def test_a_body_that_does_not_come_is_not_waited_for(listening):
    """408, and closed; the same where it drips."""
    port = listening(body_seconds=0.3)
    head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n"
    with closing(connect(port, head + b"x")) as sock:
        assert ask(port) == 200
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")


def test_a_request_with_a_body_in_two_pieces_is_answered(listening):
    """The headers' clock does not run while the answer is made."""
    port = listening(header_seconds=0.5)
    head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n"
    with closing(connect(port, head)) as sock:
        time.sleep(0.1)
        sock.sendall(b"xy")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        time.sleep(0.8)
        sock.sendall(GOOD)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_blank_lines_between_requests_do_not_keep_a_connection(listening):
    """They would stop the clock of idle connections."""
    port = listening(header_seconds=0.3)
    with closing(connect(port, GOOD)) as sock:
        sock.recv(65536)
        sock.sendall(b"\r\n")
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_is_cut_off(listening):
    """Its answer is larger than what buffers hold."""
    port = listening(write_seconds=0.3)
    request = b"GET /?50000000 HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with closing(connect(port, request)) as sock:
        time.sleep(1)
        assert ask(port) == 200
        assert len(read_all(sock)) < 50_000_000


def test_more_connections_than_the_bound_get_503(listening):
    """And the next ones are served when the others are gone."""
    port = listening(connections=3)
    held = [connect(port) for _ in range(3)]
    time.sleep(0.2)
    with closing(connect(port)) as sock:
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer
    for sock in held:
        sock.close()
    time.sleep(0.2)
    assert ask(port) == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nZZ",
        b"\x00" * 1000,
    ],
)
def test_what_is_no_http_is_refused(listening, sent):
    """With a 4xx or an end, never a 5xx or silence."""
    port = listening(header_seconds=0.3, body_seconds=0.3)
    with closing(connect(port, sent)) as sock:
        answer = read_all(sock)
    assert answer.split()[1].startswith(b"4")
    assert ask(port) == 200
