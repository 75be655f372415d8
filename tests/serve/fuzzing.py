"""Requests that no client should send: bytes, JSON, types, sizes and headers at random.

`fuzz` sends them to a server in another process, and counts what must not happen.
"""

import json
import random
import socket
import time
from collections import Counter

GOOD_HEADERS = {"host": "localhost", "content-type": "application/json"}
VALUES = (
    *(None, True, 0, -1, 10**400, 1e308, float("nan"), float("inf")),
    *("", " ", "\x00", "\ud800", "\u202e", "😀" * 50, "a" * 5000, "<|im_start|>" * 99),
    *([], {}, [[]], [1, 2, 3], [None], [""], ["a"] * 1500, {"text": 1}, [{"role": 1}]),
    *({"role": "assistant", "content": "x"}, [{"role": "assistant", "content": None}]),
)
METHODS = ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "post", "X")


def examples(port):
    """The example of every POST route, as its OpenAPI description has it."""
    raw = exchange(port, write("GET", "/openapi.json", GOOD_HEADERS, b""), 20)[1]
    paths = json.loads(raw)["paths"]
    return {
        path: op["post"]["requestBody"]["content"]["application/json"]["example"]
        for path, op in paths.items()
        if "post" in op
    } | {path: {} for path, op in paths.items() if "get" in op}


def write(method, path, headers, body):
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if not {"content-length", "transfer-encoding"} & {name.lower() for name in headers}:
        lines.append(f"content-length: {len(body)}")
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
    return head.encode("utf-8", "surrogatepass") + body


def exchange(port, request, seconds=10.0):
    """Send a request and read one answer; status 0 is a close, -1 silence."""
    raw = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sock:
            until = time.monotonic() + seconds
            sock.sendall(request)
            while not is_whole(raw, bodiless=request[:5] == b"HEAD "):
                sock.settimeout(max(0.01, until - time.monotonic()))
                part = sock.recv(65536)
                if not part:
                    break
                raw += part
                if raw.startswith(b"HTTP/1.1 100 "):
                    raw = raw.partition(b"\r\n\r\n")[2]
    except TimeoutError:
        return -1, raw
    except OSError:
        pass
    head, _, body = raw.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head[:5] == b"HTTP/" else 0), body


def is_whole(raw, *, bodiless=False):
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found or bodiless:
        return bool(found)
    length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
    return length.isdigit() and len(body) >= int(length)


def mutate(rng, value, depth=0):
    """Replace, remove, add or repeat something inside a JSON value."""
    if (
        depth > 4
        or rng.random() < 0.25
        or not isinstance(value, dict | list)
        or not value
    ):
        return rng.choice(VALUES)
    if isinstance(value, dict):
        key = rng.choice(list(value))
        changed = dict(value)
        kind = rng.randrange(4)
        if kind == 0:
            del changed[key]
        elif kind == 1:
            changed[rng.choice(["", "x" * 100, "model", key + "_"])] = changed[key]
        else:
            changed[key] = mutate(rng, value[key], depth + 1)
        return changed
    at = rng.randrange(len(value))
    if rng.random() < 0.2:
        return value * rng.randrange(5)
    return [*value[:at], mutate(rng, value[at], depth + 1), *value[at + 1 :]]


def as_bytes(rng, value):
    """Write JSON, seldom well: cut, flipped, nested, or no JSON at all."""
    body = json.dumps(value, ensure_ascii=rng.random() < 0.9)
    raw = bytearray(body.encode("utf-8", "surrogatepass"))
    kind = rng.randrange(12)
    if kind == 0:
        return bytes(raw[: rng.randrange(len(raw) + 1)])
    if kind == 1 and raw:
        for _ in range(rng.randrange(1, 9)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
    elif kind == 2:
        return rng.randbytes(rng.randrange(300))
    elif kind == 3:
        return rng.choice([b"[", b'{"a":', b"-", b"[[],"]) * rng.randrange(1, 20_000)
    elif kind == 4 and rng.random() < 0.2:
        return b'{"query": ["' + b"a" * 1_200_000 + b'"]}'
    return bytes(raw)


def odd_headers(rng, headers, body):
    """Change headers: hosts, lengths, types, sizes, encodings."""
    changed = dict(headers)
    kind = rng.randrange(12)
    if kind == 0:
        changed["host"] = rng.choice(["evil.example", "", "a b", "[", "localhost:x"])
    elif kind == 1:
        changed["origin"] = rng.choice(["null", "http://evil.example", "x" * 500])
    elif kind == 2:
        changed["content-length"] = rng.choice([0, len(body) + 5, -1, "x", 10**30])
    elif kind == 3:
        changed["content-type"] = rng.choice(["", "text/plain", "application/xml", "é"])
    elif kind == 4:
        changed["transfer-encoding"] = rng.choice(["chunked", "gzip", "chunked, x"])
    elif kind == 5:
        changed["x"] = "y" * rng.randrange(100_000)
    elif kind == 6:
        changed["expect"] = "100-continue"
    elif kind == 7:
        changed["content-encoding"] = "gzip"
    elif kind == 8:
        changed["upgrade"], changed["connection"] = "websocket", "upgrade"
    elif kind == 9:
        changed["connection"] = rng.choice(["close", "keep-alive, close", "\x00"])
    elif kind == 10:
        changed["authorization"] = "Bearer " + "k" * rng.randrange(1000)
    else:
        changed |= {f"x{n}": "y" for n in range(rng.randrange(300))}
    return changed


def make(rng, known):
    """Make one request."""
    path = rng.choice(list(known))
    method, headers = "POST", GOOD_HEADERS
    body = as_bytes(rng, mutate(rng, known[path]))
    if rng.random() < 0.25:
        headers = odd_headers(rng, headers, body)
    if rng.random() < 0.05:
        method = rng.choice(METHODS)
    if rng.random() < 0.05:
        last = rng.choice([0x7F, 0x17F])
        path = "/" + "".join(chr(rng.randrange(33, last)) for _ in range(20))
    request = write(method, path, headers, body)
    return rng.randbytes(200) if rng.random() < 0.01 else request


def is_typed(path_answer):
    """Say whether an error is JSON that says what is wrong."""
    try:
        answer = json.loads(path_answer)
    except ValueError:
        return False
    return isinstance(answer, dict) and bool(answer.get("error"))


def fuzz(port, n, seed=0):
    """Send `n` requests; count statuses, silences, untyped errors, failed health."""
    rng, known = random.Random(seed), examples(port)
    counts = Counter()
    found = Counter(five_hundreds=0, hangs=0, untyped_errors=0, unhealthy=0)
    for number in range(n):
        request = make(rng, known)
        status, answer = exchange(port, request)
        counts[str(status)] += 1
        found["hangs"] += status == -1
        found["five_hundreds"] += status >= 500
        head = request[:5] == b"HEAD "
        found["untyped_errors"] += status >= 400 and not (head or is_typed(answer))
        if number % 50 == 0:
            health = write("GET", "/health", {"host": "localhost"}, b"")
            found["unhealthy"] += exchange(port, health, 2.0)[0] != 200
    return {"n": n, "statuses": dict(sorted(counts.items())), **found}
