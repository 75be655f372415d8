"""Ask an embeddings server: bounded requests, patience with what passes, clear errors.

One deadline holds for a whole attempt, whatever the server does meanwhile: dripped
headers, interim responses and chunk extensions keep a connection busy for ever, but not
a task that is cancelled. So requests run in an event loop on a thread of its own.

Transient errors are retried with growing random waits: 408, 429 (after the time that
the server asks for), 5xx, timeouts, broken connections, bodies that were cut
off. What will not pass is an error at once: other refusals, redirects, bodies that are
too large, answers that are wrong.
"""

import asyncio
import json
import logging
import os
import ssl
import threading
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

from embrm._optional import import_optional
from embrm.embed.server._answers import (
    LONGEST_WAIT,
    Answer,
    NoJSONError,
    PassingError,
    host,
    read_answer,
    refusal,
    without_key,
)
from embrm.exceptions import EmbrmError, invalid_input

Content: TypeAlias = str | list[int]
"""One input: a text, or the ids of its tokens."""

_Read = TypeVar("_Read")

_LOGGERS = (
    "httpx2",
    *(
        f"httpcore2.{part}"
        for part in ("connection", "http11", "http2", "proxy", "socks")
    ),
)
_REFUSAL_BYTES = 65_536
_SHORTEST_SECRET = 8
_POLL = 0.05  # seconds between looks whether to stop
_CLOSING = 5.0
_CHECK = "check that an embeddings server runs there, and the address"


@dataclass(frozen=True)
class Server:
    """Address of a server, and how requests are sent to it.

    Attributes
    ----------
    url : str
        As `embrm.embed.server._answers.endpoint` returned it.
    fields : mapping
        Fields of every request besides its input: `model`, `encoding_format`, ...
    api_key_env : str
        Environment variable with the key; none is sent where it is not set.
    timeout : float
        Seconds of one attempt, from the connection to the end of the answer.
    attempts : int
        How often one request is tried.
    backoff : float
        Seconds; the wait after attempt n is random up to `backoff * 2**(n - 1)`.
    max_body_bytes : int
        Largest answer that is read; all that are read at once take twice as much.
    concurrency : int
        Concurrent requests.
    """

    url: str
    fields: Mapping[str, Any]
    api_key_env: str
    timeout: float
    attempts: int
    backoff: float
    max_body_bytes: int
    concurrency: int


class _HiddenKey(logging.Filter):
    """Blanks the key out of what is logged: servers repeat it in their headers."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_key(record.getMessage(), self._key), ()
        return True


class _Raw(NamedTuple):
    """What came: `is_large` if nothing else large is read until it is done with."""

    status: int
    headers: Any
    body: bytes
    is_whole: bool
    is_large: bool


class EmbeddingsClient:
    """Connections to one server; a context manager, used from many threads.

    Parameters
    ----------
    server : Server
    dim : int, optional
        Length that the vectors must have.

    Raises
    ------
    MissingDependencyError
        If the extra `http` is not installed.
    InvalidInputError
        If the key holds what no header can.
    """

    def __init__(self, server: Server, *, dim: int | None = None) -> None:
        self._server, self._dim = server, dim
        self._httpx = import_optional("httpx2", extra="http")
        self._tenacity = import_optional("tenacity", extra="http")
        self._stopped = threading.Event()
        self._key = _read_key(server.api_key_env)
        self._hide = _HiddenKey(self._key)
        self._loop = asyncio.new_event_loop()
        self._turn = asyncio.Lock()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="embrm-requests", daemon=True
        )
        self._thread.start()
        self._http = self._httpx.AsyncClient(
            headers=_headers(self._key),
            timeout=server.timeout,
            follow_redirects=False,
            verify=trust(),
            limits=self._httpx.Limits(max_connections=server.concurrency),
        )

    def __enter__(self) -> Self:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._hide)
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._hide)
        closing = asyncio.run_coroutine_threadsafe(self._http.aclose(), self._loop)
        with suppress(Exception):
            closing.result(_CLOSING)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSING)
        if not self._thread.is_alive():
            self._loop.close()

    def embed(self, inputs: Sequence[Content]) -> Answer:
        """Send one request, again where that may help.

        Raises
        ------
        EmbrmError
            If the server refuses, or fails in every attempt.
        IntegrityError
            If it answers something else than finite vectors, one for each input.
        """
        body = json.dumps({**self._server.fields, "input": list(inputs)}).encode()
        answer = self.post(
            body, lambda raw: read_answer(raw, len(inputs), dim=self._dim)
        )
        return replace(answer, model=self.without_key(answer.model))

    def without_key(self, text: str) -> str:
        """Blank out the key in what is kept of an answer.

        A short one, which a local server takes for a key, may be part of any word.
        """
        key = self._key if len(self._key) >= _SHORTEST_SECRET else ""
        return without_key(text, key)

    def post(self, body: bytes, read: Callable[[bytes], _Read]) -> _Read:
        """Send one request, again where that may help, and read its answer.

        Parameters
        ----------
        body : bytes
        read : callable
            Makes something of the answer's body; may raise `NoJSONError`, which is
            taken as a failure that passes, or `PassingError`.

        Raises
        ------
        EmbrmError
            If the server refuses, or fails in every attempt; what `read` raises.
        """
        attempts, tenacity = self._server.attempts, self._tenacity
        jitter = tenacity.wait_random_exponential(self._server.backoff, LONGEST_WAIT)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(PassingError),
            stop=tenacity.stop_after_attempt(attempts)
            | tenacity.stop_when_event_set(self._stopped),
            wait=lambda state: wait_seconds(state.outcome.exception(), jitter(state)),
            sleep=tenacity.sleep_using_event(self._stopped),
            reraise=True,
        )
        try:
            answer: _Read = retrying(self._ask, body, read)
        except PassingError as error:
            failure = error.final(attempts)
        else:
            return answer
        raise failure

    def embed_all(
        self, requests: Sequence[Sequence[Content]]
    ) -> Generator[tuple[int, Answer], None, None]:
        """Send requests concurrently, and yield (number, answer) as they arrive.

        Raises
        ------
        EmbrmError, IntegrityError
            The first failure, see `embed`. What is not sent yet is not sent then.
        """
        pool = ThreadPoolExecutor(min(self._server.concurrency, len(requests)))
        try:
            waiting = {pool.submit(self.embed, r): n for n, r in enumerate(requests)}
            for done in as_completed(waiting):
                yield waiting.pop(done), done.result()
        except BaseException:
            self._stopped.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _ask(self, body: bytes, read: Callable[[bytes], _Read]) -> _Read:
        """Send one request once."""
        httpx = self._httpx
        # Raised outside: an error of httpx refers to the request, with its key.
        try:
            answer = self._exchange(body)
            try:
                return read(self._checked(answer))
            finally:
                if answer.is_large:
                    self._loop.call_soon_threadsafe(self._turn.release)
        except httpx.TimeoutException:
            waited = f"none within {self._server.timeout:g} s"
            failure: EmbrmError = PassingError(waited, "raise timeout")
        except httpx.TransportError as error:
            failure = self._broken(error)
        except NoJSONError:
            failure = PassingError("a body that is no JSON", _CHECK)
        raise failure

    def _exchange(self, body: bytes) -> "_Raw":
        """Post, and return what came; give up when told to stop."""
        answer = asyncio.run_coroutine_threadsafe(self._post(body), self._loop)
        while True:
            try:
                return answer.result(_POLL)
            except TimeoutError:
                if self._stopped.is_set():
                    answer.cancel()
                    raise self._httpx.ReadTimeout("stopped") from None

    async def _post(self, body: bytes) -> "_Raw":
        """Post and read within the deadline.

        A large answer, beyond its share of `max_body_bytes`, is read and parsed while
        no other is. So all that are read at once take little more than the largest.
        """
        server, read, is_large = self._server, bytearray(), False
        share = server.max_body_bytes // server.concurrency
        try:
            async with (
                asyncio.timeout(server.timeout),
                self._http.stream("POST", server.url, content=body) as response,
            ):
                status = response.status_code
                limit = server.max_body_bytes if status == 200 else _REFUSAL_BYTES
                async for part in response.aiter_raw():
                    if len(read) + len(part) > share and not is_large:
                        await self._turn.acquire()
                        is_large = True
                    read += part
                    if len(read) > limit:
                        break
            is_whole = len(read) <= limit
            # Of a refusal the beginning is enough.
            begun = b"" if status == 200 else bytes(read[:limit])
            whole = bytes(read) if is_whole else begun
            return _Raw(status, response.headers, whole, is_whole, is_large)
        except BaseException as error:
            if is_large:
                self._turn.release()
            if isinstance(error, TimeoutError):
                raise self._httpx.ReadTimeout("too slow") from None
            raise

    def _checked(self, answer: "_Raw") -> bytes:
        """Return the body of a good answer."""
        status, headers, raw = answer.status, answer.headers, answer.body
        limit = self._server.max_body_bytes
        if status != 200:
            raise refusal(
                status, headers, raw, key=self._key, key_env=self._server.api_key_env
            )
        if not answer.is_whole:
            raise EmbrmError.of(
                expected=f"an answer of at most {limit} bytes",
                got="a larger one",
                fix="lower batch_items, or raise max_body_bytes",
            )
        # A compressed body may grow without bound.
        if headers.get("content-encoding", "identity") != "identity":
            raise EmbrmError.of(
                expected="an answer that is not compressed, as requested",
                got="a compressed one",
                fix="switch compression off in the server or its proxy",
            )
        return raw

    def _broken(self, error: Exception) -> EmbrmError:
        """Make the error for a connection that failed."""
        where = host(self._server.url)
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return EmbrmError.of(
                    expected=f"a trusted certificate of {where}",
                    got=cause.verify_message or "another",
                    fix="check the address; if the certificate is your own, "
                    "name it in SSL_CERT_FILE",
                )
            cause = cause.__cause__ or cause.__context__
        return PassingError(f"{type(error).__name__} at {where}", _CHECK)


@lru_cache(maxsize=1)
def trust() -> ssl.SSLContext:
    """Load the certificates that are trusted, once: it takes 50 ms.

    Returns
    -------
    ssl.SSLContext
        Verifies certificates and the names of hosts.
    """
    httpx = import_optional("httpx2", extra="http")
    context: ssl.SSLContext = httpx.create_ssl_context()
    return context


def wait_seconds(error: BaseException | None, jitter: float) -> float:
    """Return how long to wait after a failure: the requested time and some jitter.

    Clients that were refused together shall not come back together.

    Examples
    --------
    >>> wait_seconds(PassingError("busy", "wait", 3.0), 0.25)
    3.25
    """
    return float(getattr(error, "wait", 0.0)) + jitter


def _read_key(name: str) -> str:
    """Read the key; refuse one that no header can hold, without showing it."""
    key = os.environ.get(name, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise invalid_input(
            expected=f"a key of printable ASCII in {name}",
            got="other characters",
            fix="set the variable again",
        )
    return key


def _headers(key: str) -> dict[str, str]:
    common = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    return common | ({"Authorization": f"Bearer {key}"} if key else {})


def request_waves(
    groups: Sequence[Hashable], *, batch_items: int, concurrency: int
) -> list[list[list[int]]]:
    """Plan requests: one text of every prompt first, then the rest prompt by prompt.

    Parameters
    ----------
    groups : sequence of hashable
        The prompt of each text.
    batch_items : int
        Texts of a request at most, >= 1.
    concurrency : int
        Concurrent requests, >= 1. A wave that would be fewer requests is cut
        into that many.

    Returns
    -------
    list of list of list of int
        At most two waves; each is a list of requests, each a list of positions. A
        wave is sent when the one before it is answered.

    Examples
    --------
    >>> request_waves("aabaab", batch_items=2, concurrency=1)
    [[[0, 2]], [[1, 3], [4, 5]]]
    >>> request_waves("abcd", batch_items=32, concurrency=2)
    [[[0, 1], [2, 3]]]
    """
    members: dict[Hashable, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    first = [rows[0] for rows in members.values()]
    rest = [row for rows in members.values() for row in rows[1:]]
    return [
        _cut(wave, min(batch_items, -(-len(wave) // concurrency)))
        for wave in (first, rest)
        if wave
    ]


def _cut(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
