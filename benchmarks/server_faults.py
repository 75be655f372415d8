"""Let an embeddings server misbehave in every way there is a name for, and some more.

    python benchmarks/server_faults.py [--faults 500] [--minutes 20]

Each time a server answers in one of the ways below, drawn with its details, or sends an
answer whose bytes were changed, cut off or reset. A client with a deadline of half a
second asks it once. It must return vectors, or raise an error of embrm, before the
deadline and a margin; and the key, which the server repeats wherever it can, may be in
no error, no log and no fingerprint. It goes on where it was stopped.

Last, eight concurrent requests get answers that never end: how far the process grows,
as a multiple of the largest answer that it may read. Results go to
results/server_faults.json.
"""

import argparse
import base64
import contextlib
import json
import logging
import os
import resource
import socket
import struct
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from counting import keep_counting

from embrm.embed import OpenAICompatibleEncoder
from embrm.exceptions import EmbrmError

RESULTS = Path(__file__).parent / "results" / "server_faults.json"
KEY, VARIABLE = "sk-Very-Secret-0123456789", "EMBRM_KEY_OF_FAULTS"
DEADLINE, MARGIN, DIM = 0.5, 2.0, 8
BLOCK = 25
N_AT_ONCE, LARGEST = 8, 2**25

Rng = np.random.Generator
Chunks = Iterator[bytes | float]
"""What is sent, and seconds to wait before the next."""


def good(inputs: int, **changes: Any) -> dict[str, Any]:
    """Make the body of a right answer."""
    rows = np.random.default_rng(0).standard_normal((inputs, DIM)).round(4)
    data = [{"index": n, "embedding": row.tolist()} for n, row in enumerate(rows)]
    return {"data": data, "model": "m", "usage": {"prompt_tokens": 5}} | changes


def http(body: Any, status: str = "200 OK", *headers: str) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + raw


def for_ever(first: bytes, again: bytes, pause: float) -> Chunks:
    yield first
    while True:
        yield again
        yield pause


def chunked(*chunks: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks)


def endless(rng: Rng, inputs: int) -> Chunks:
    """Begin what has no end, fast or in drips."""
    ok, pause = b"HTTP/1.1 200 OK\r\n", float(rng.choice([0.0, 0.02]))
    ways = [
        (b"", b""),
        (ok + b"X-Slow: ", b"a" * int(rng.integers(1, 99))),
        (ok, b"X-More: 1\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (ok + b"Transfer-Encoding: chunked\r\n\r\n5;x=", b"a"),
        (ok + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (ok + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n"),
        (ok + b"Content-Length: 99999999\r\n\r\n", b" " * int(rng.integers(1, 9999))),
        (ok + b"\r\n", b'{"data": [' * int(rng.integers(1, 999))),
        (b"HTTP/1.1 500 No\r\n\r\n", b"x" * 999),
        (http(good(inputs)), b"HTTP/1.1 200 OK\r\n\r\n"),
    ]
    first, again = ways[int(rng.integers(len(ways)))]
    return for_ever(first, again, pause or 0.02 if not again else pause)


def wrong_answer(rng: Rng, inputs: int) -> Chunks:
    """Send another JSON than was asked for."""
    body = good(inputs)
    row = body["data"][int(rng.integers(inputs))]
    deep: Any = "[" * 5000
    ways: list[Callable[[], Any]] = [
        body["data"].pop,
        lambda: body["data"].append(row),
        lambda: row.update(index=int(rng.integers(-3, 99))),
        lambda: row.update(index=True),
        lambda: row.update(embedding=[0.0] * int(rng.integers(0, 2 * DIM))),
        lambda: row.update(embedding=[float("nan")] * DIM),
        lambda: row.update(embedding=[1e999] * DIM),
        lambda: row.update(embedding=[10**400] * DIM),
        lambda: row.update(embedding=[[1.0] * DIM]),
        lambda: row.update(embedding=[None] * DIM),
        lambda: row.update(embedding="!" * 40),
        lambda: row.update(embedding=base64.b64encode(rng.bytes(DIM * 4)).decode()),
        lambda: row.update(embedding=base64.b64encode(rng.bytes(7)).decode()),
        lambda: body.update(data=deep),
        lambda: body.update(data={"0": 1}),
        lambda: body.update(data=[KEY] * inputs),
        lambda: body.update(usage=[{}], model={KEY: 1}),
        lambda: body.update(model=KEY),
        lambda: body.update(model=f"m-{KEY.lower()}" * 9),
        body.clear,
    ]
    ways[int(rng.integers(len(ways)))]()
    raw = json.dumps(body).encode()
    yield http(deep.encode() if rng.random() < 0.05 else raw)


def wrong_protocol(rng: Rng, inputs: int) -> Chunks:
    """Break the rules of HTTP, or keep those that the client does not want."""
    raw = json.dumps(good(inputs)).encode()
    ok, n = b"HTTP/1.1 200 OK\r\n", len(raw)
    ways = [
        ok + b"Content-Length: %d\r\n\r\n" % (n + int(rng.integers(1, 999))) + raw,
        ok + b"Content-Length: %d\r\n\r\n" % int(rng.integers(0, n)) + raw,
        ok + b"Content-Length: -1\r\n\r\n" + raw,
        ok + b"Content-Length: 99999999999999999999\r\n\r\n" + raw,
        ok + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + raw,
        ok + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + raw,
        ok + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + raw,
        ok + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + raw,
        ok + b"Transfer-Encoding: rot13\r\n\r\n" + raw,
        chunked(raw) + b"0\r\n\r\n",
        chunked(raw[:9], raw[9:]),
        http(raw, "200 OK", "Content-Encoding: gzip"),
        http(raw, "200 OK", "X: " + "a" * 2**20),
        http(raw, "200 OK", "X\x00Y: 1"),
        http(raw, "101 Switching Protocols", "Upgrade: x", "Connection: upgrade"),
        *(http(raw, f"{n} Odd") for n in (199, 204, 205, 206, 304, 600, 999)),
        b"HTTP/9.9 200 OK\r\n\r\n" + raw,
        b"SSH-2.0-OpenSSH\r\n",
        rng.bytes(int(rng.integers(1, 5000))),
        b"\x16\x03\x01\x02\x00\x01",
        b"HTTP/1.1 200\r\n\r\n" + raw,
        http(raw) + http(raw),
    ]
    yield ways[int(rng.integers(len(ways)))]


def refused(rng: Rng, _: int) -> Chunks:
    """Refuse or send elsewhere, and repeat the key."""
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
    bodies = [
        f"bad key {KEY}".encode(),
        json.dumps({"error": {"message": f"x{KEY}" * 40}}).encode(),
        f'{{"detail": [{{"msg": "{escaped}"}}]}}'.encode(),
        KEY.encode() * 9000,
        b"",
    ]
    headers = [
        f"Location: http://{KEY}.example/{KEY}",
        f"Location: //{KEY.upper()}@{KEY}:1/",
        "Location: http://[",
        f"Retry-After: {rng.choice(['nan', '1e999', '-5', KEY, '99999'])}",
        f"X-Key: {KEY}",
        f"WWW-Authenticate: Bearer {KEY}",
        f"Set-Cookie: key={KEY}",
    ]
    status = int(rng.choice([300, 301, 302, 307, 308, 400, 401, 403, 404, 408, 413]))
    status = int(rng.choice([status, 422, 429, 500, 502, 503]))
    body = bodies[int(rng.integers(len(bodies)))]
    yield http(body, f"{status} {KEY}", headers[int(rng.integers(len(headers)))])


def damaged(rng: Rng, inputs: int) -> Chunks:
    """Change bytes of a right answer, or cut it off."""
    raw = bytearray(http(good(inputs)))
    at = int(rng.integers(len(raw)))
    if rng.random() < 0.5:
        raw[at : at + int(rng.integers(0, 5))] = rng.bytes(int(rng.integers(0, 5)))
    else:
        del raw[at:]
    step = int(rng.integers(1, 200))
    for start in range(0, len(raw), step):
        yield bytes(raw[start : start + step])


WAYS = (endless, wrong_answer, wrong_protocol, refused, damaged)


class Hostile:
    """A server whose answers come from the number of the fault."""

    def __init__(self, answer: Callable[[int], Chunks], reset: bool = False) -> None:
        self.answer, self.reset, self.stop = answer, reset, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.05)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.threads = [threading.Thread(target=self.accept)]

    def __enter__(self) -> "Hostile":
        self.threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.listener.close()

    def accept(self) -> None:
        while not self.stop.is_set():
            with contextlib.suppress(OSError):
                connection, _ = self.listener.accept()
                thread = threading.Thread(target=self.serve, args=(connection,))
                self.threads.append(thread)
                thread.start()

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(2)
            while not self.stop.is_set() and (inputs := self.read(connection)):
                for part in self.answer(inputs):
                    if self.stop.is_set():
                        break
                    if isinstance(part, bytes):
                        connection.sendall(part)
                    else:
                        self.stop.wait(part)
                else:
                    if self.reset:
                        now = struct.pack("ii", 1, 0)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                    return

    @staticmethod
    def read(connection: socket.socket) -> int:
        """Read a request; return how many inputs it has, 0 at the end."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65_536)):
                return 0
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(body) < length:
            body += connection.recv(65_536)
        return len(json.loads(body)["input"])


class Log(logging.Handler):
    """Keeps all that any library logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(record.getMessage())


def chain(error: BaseException) -> str:
    """Write an error as a traceback shows it, with what it refers to."""
    return "".join(traceback.format_exception(error)) + repr(error)


def one_fault(number: int) -> dict[str, Any]:
    """Ask a server that misbehaves once; say what went wrong, if anything."""
    rng = np.random.default_rng([number, 17])
    way = WAYS[number % len(WAYS)]
    seed = int(rng.integers(2**31))
    log = Log()
    root = logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    seen, found = "", {"way": way.__name__, "number": number}
    begun = time.monotonic()
    try:
        with Hostile(
            lambda inputs: way(np.random.default_rng(seed), inputs),
            reset=bool(rng.integers(2)),
        ) as server:
            encoder = OpenAICompatibleEncoder(
                "m", server.url, api_key_env=VARIABLE, timeout=DEADLINE, attempts=1
            )
            begun = time.monotonic()
            try:
                vectors = encoder.encode([("p", "r"), ("p", "s")])
                if vectors.shape != (2, DIM) or not np.isfinite(vectors).all():
                    found["fault"] = f"vectors of shape {vectors.shape}"
                seen += json.dumps(encoder.fingerprint.to_json()) + repr(encoder)
                found["outcome"] = "vectors"
            except EmbrmError as error:
                found["outcome"] = "typed error"
                seen += chain(error)
            except Exception as error:  # noqa: BLE001
                found["fault"] = f"untyped: {type(error).__name__}: {error}"[:200]
                seen += chain(error)
            found["seconds"] = time.monotonic() - begun
    finally:
        root.removeHandler(log)
        root.setLevel(level)
    seen += "\n".join(log.text)
    if KEY.lower() in seen.lower():
        found["fault"] = (
            "the key was shown: "
            + seen[max(0, seen.lower().index(KEY.lower()) - 90) :].replace(KEY, "KEY")[
                :200
            ]
        )
    # One request for the identity, one for the vectors.
    if found["seconds"] > 2 * DEADLINE + MARGIN:
        found["fault"] = f"{found['seconds']:.1f} s"
    return found


def faults(start: int, n: int) -> dict[str, Any]:
    """Count what comes of some of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [one_fault(number) for number in range(start, start + n)]
    wrong = [row for row in rows if "fault" in row]
    words = [row["fault"] for row in wrong]
    return {
        "trials": n,
        "vectors": sum(row.get("outcome") == "vectors" for row in rows),
        "typed_errors": sum(row.get("outcome") == "typed error" for row in rows),
        "untyped_errors": sum(word.startswith("untyped") for word in words),
        "keys_shown": sum(word.startswith("the key") for word in words),
        "too_late": sum(word.endswith(" s") for word in words),
        "slowest_seconds": max(row["seconds"] for row in rows),
        "faults": wrong,
    }


def growth_of_endless_answers() -> dict[str, float]:
    """Read eight answers without end at once; compare memory with the largest."""

    def answer(inputs: int) -> Chunks:
        if inputs == 2:  # The texts of the first contact.
            yield http(good(inputs))
        else:
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            yield from for_ever(head, b"10000\r\n" + b" " * 65_536 + b"\r\n", 0.0)

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    with Hostile(answer) as server:
        encoder = OpenAICompatibleEncoder(
            "m",
            server.url,
            timeout=20.0,
            attempts=1,
            batch_items=1,
            concurrency=N_AT_ONCE,
            max_body_bytes=LARGEST,
        )
        assert encoder.fingerprint.dim == DIM
        before = peak()
        with contextlib.suppress(EmbrmError):
            encoder.encode([(f"p{n}", "r") for n in range(N_AT_ONCE)])
        grown = peak() - before
    return {
        "requests_at_once": N_AT_ONCE,
        "largest_answer_megabytes": LARGEST / 2**20,
        "grown_megabytes": grown,
        "grown_over_largest": grown / (LARGEST / 2**20),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    os.environ[VARIABLE] = KEY
    memory = growth_of_endless_answers()
    until = time.monotonic() + 60 * given.minutes
    found = keep_counting(
        given.out,
        "misbehaviour",
        given.faults,
        until,
        lambda done: faults(done, min(BLOCK, given.faults - done)),
    )
    kept = json.loads(given.out.read_text()) | {"memory": memory}
    given.out.write_text(json.dumps(kept, indent=1) + "\n")
    print(json.dumps(memory))
    raise SystemExit(bool(found.get("faults")))


if __name__ == "__main__":
    main()
