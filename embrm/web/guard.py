"""The outermost layer of an app: who may ask, how much, and for how long.

Its pages load nothing from elsewhere: their headers have browsers enforce it.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

from embrm.exceptions import invalid_input
from embrm.web.answers import Refusal, as_json, error_content
from embrm.web.bounds import Bounds

Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/@\s]+)(:\d{1,5})?")
_DRAINED_BODIES = 8
_log = logging.getLogger("embrm.web")


class Guard:
    """Checks every request before the app sees it, and bounds the time it takes.

    A web page that someone opens in a browser can send requests to this machine: by a
    name that resolves to it (DNS rebinding: a foreign `Host`), or from its own origin
    (a foreign `Origin`). Both get 403. Bodies are read here, whole, within the bounds.

    Parameters
    ----------
    app : ASGI app
    bounds : Bounds
    hosts : iterable of str
        Names by which clients may call the server; "*" for any, "IP" for any address.
    token : str, optional
        Bearer token that every path needs but the open ones.
    open_paths : iterable of str
        Paths that need no token: health checks.
    """

    def __init__(
        self,
        app: App,
        bounds: Bounds,
        *,
        hosts: Iterable[str] = LOOPBACK,
        token: str | None = None,
        open_paths: Iterable[str] = (),
    ) -> None:
        self.app, self.bounds = app, bounds
        self._hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self._token = None if token is None else token.encode()
        self._open_paths = frozenset(open_paths)
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass the lifespan on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        try:
            self._admit(scope)
            body = await self._body(scope, receive)
        except Refusal as refusal:
            await answer.refuse(scope, refusal, close=True)
            return
        except _GoneError:
            return
        try:
            await self._run(scope, body, receive, answer)
        finally:
            self._held -= len(body)

    async def _run(
        self, scope: Scope, body: bytes, receive: Receive, answer: "_Answer"
    ) -> None:
        """Let the app answer, in time; whatever it raises becomes a short answer."""
        try:
            async with asyncio.timeout(self.bounds.request_seconds):
                await self.app(scope, _replay(body, receive), answer.send)
        except TimeoutError:
            message = f"no answer within {self.bounds.request_seconds:g} s; "
            refusal = Refusal(504, message + "send fewer items, or try again")
            await answer.refuse(scope, refusal, close=True)
        except asyncio.CancelledError:
            # By uvicorn, which stops and has waited long enough. It would answer 500.
            refusal = Refusal(503, "the server stops; ask again", retry_after=1)
            await answer.refuse(scope, refusal, close=True)
        except Exception as error:  # noqa: BLE001
            # Neither its message nor its traceback is logged: they may hold texts.
            place = _where(error)
            _log.error("%s at %s, %s", type(error).__name__, place, scope["path"][:80])
            await answer.refuse(scope, Refusal(500, "internal error"), close=True)

    def _admit(self, scope: Scope) -> None:
        """Check names, origin and token."""
        headers = _first_values(scope["headers"])
        if [name for name, _ in scope["headers"]].count(b"host") > 1:
            # Which of them counts is for others to choose: proxies, and applications.
            raise Refusal(400, "expected one Host header; got several")
        host = headers.get(b"host", b"").decode("latin-1").lower()
        if not self._is_allowed(host):
            raise Refusal(
                403, "this host name is not served; allow it with --allow-host NAME"
            )
        origin = headers.get(b"origin")
        if origin is not None and _netloc(origin) != host:
            raise Refusal(403, "requests from other origins are refused")
        if self._token is not None and scope["path"] not in self._open_paths:
            scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
            same = hmac.compare_digest(given.strip(), self._token)
            if scheme.lower() != b"bearer" or not same:
                raise Refusal(401, "send the header Authorization: Bearer KEY")

    def _is_allowed(self, host: str) -> bool:
        if "*" in self._hosts:
            return True
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]")
        return name in self._hosts or ("ip" in self._hosts and _is_address(name))

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read the body; it counts as held until its request is answered."""
        parts: list[bytes] = []
        try:
            await self._read(scope, receive, parts)
        except BaseException:
            self._held -= sum(map(len, parts))
            raise
        return b"".join(parts)

    async def _read(self, scope: Scope, receive: Receive, parts: list[bytes]) -> None:
        """Read the body's parts within the bounds of size and time."""
        length = _first_values(scope["headers"]).get(b"content-length", b"0")
        announced = int(length) if length.isdigit() else 0
        too_large = announced > self.bounds.body_bytes
        self._check_held(min(announced, self.bounds.body_bytes))
        size, until = 0, time.monotonic() + self.bounds.body_seconds
        more = True
        while more:
            event = await _within(receive, until)
            if event["type"] == "http.disconnect":
                raise _GoneError
            part, more = event.get("body", b""), event.get("more_body", False)
            size += len(part)
            too_large = too_large or size > self.bounds.body_bytes
            # Read on for a while, without keeping it, or the client sees a broken
            # connection in place of the answer.
            if size > _DRAINED_BODIES * self.bounds.body_bytes:
                break
            if not too_large:
                # Slow clients hold what they have sent so far.
                self._check_held(len(part))
                self._held += len(part)
                parts.append(part)
        if too_large:
            raise Refusal(
                413,
                f"expected a body of at most {self.bounds.body_bytes} bytes; "
                "send fewer items in each request",
            )

    def _check_held(self, more: int) -> None:
        """Refuse to hold more than all bodies together may have."""
        if self._held + more > self.bounds.held_bytes:
            raise Refusal(503, "too many large requests at once", retry_after=1)


class _GoneError(Exception):
    """The client is gone."""


class _Answer:
    """Sends, and remembers whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send, self._begun, self._done = send, False, False

    async def send(self, event: Event) -> None:
        """Send one event of the app's answer."""
        self._begun = True
        await self._send(event)
        is_body = event["type"] == "http.response.body"
        self._done = is_body and not event.get("more_body", False)

    async def refuse(self, scope: Scope, refusal: Refusal, *, close: bool) -> None:
        """Answer with an error, unless an answer has begun: then break it off."""
        if self._done:
            return
        if self._begun:
            raise ConnectionAbortedError
        await send_refusal(scope, self.send, refusal, close=close)


async def send_refusal(
    scope: Scope, send: Send, refusal: Refusal, *, close: bool = False
) -> None:
    """Answer with an error in the form that the path's callers read."""
    body = as_json(error_content(scope["path"], refusal.status, refusal.message))
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **refusal.headers,
        **({"connection": "close"} if close else {}),
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    start = {"type": "http.response.start", "status": refusal.status}
    await send({**start, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def allowed_hosts(host: str, extra: Iterable[str] = ()) -> tuple[str, ...]:
    """List the names by which a server bound to `host` may be called.

    Loopback names always; with another address that address, with all addresses any
    address: a name that was rebound shows as a name.

    Examples
    --------
    >>> allowed_hosts("127.0.0.1")
    ('localhost', '127.0.0.1', '::1')
    >>> allowed_hosts("0.0.0.0", ["reward.internal"])
    ('localhost', '127.0.0.1', '::1', 'ip', 'reward.internal')
    """
    named = host.strip("[]").lower()
    if named in ("0.0.0.0", "::", ""):  # noqa: S104
        named = "ip"
    return tuple(dict.fromkeys([*LOOPBACK, named, *extra]))


def read_token(path: Path) -> str:
    """Read a bearer token from a file, without line ends around it.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or holds no token of printable ASCII.
    """
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        token, reason = "", type(error).__name__
    else:
        reason = "another content"
    if not token or not token.isprintable() or " " in token:
        raise invalid_input(
            expected="a file with one token of printable ASCII, without blanks",
            got=f"{reason} in {path}",
            fix="write one: python -c 'import secrets; "
            "print(secrets.token_urlsafe())' > FILE",
        )
    return token


async def _within(receive: Receive, until: float) -> Event:
    try:
        async with asyncio.timeout(until - time.monotonic()):
            return await receive()
    except TimeoutError:
        raise Refusal(408, "the body did not arrive in time") from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the app the body in one piece; then it hears of the client's leaving."""
    given = False

    async def events() -> Event:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return events


def _first_values(headers: Iterable[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        found.setdefault(name, value)
    return found


def _netloc(origin: bytes) -> str:
    return origin.decode("latin-1").lower().partition("://")[2]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _where(error: BaseException) -> str:
    """Name the innermost line of a traceback."""
    trace, place = error.__traceback__, "?"
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{Path(code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def page_headers(html: str) -> dict[str, str]:
    """Let the browser run this page's own script and style, and nothing else.

    Parameters
    ----------
    html : str
        With one `<script>` and one `<style>`.

    Examples
    --------
    >>> html = "<style>p{}</style><script>let a</script>"
    >>> page_headers(html)["content-security-policy"][:42]
    "default-src 'none'; script-src 'sha256-IfE"
    """
    script, style = (_hash_of(html, tag) for tag in ("script", "style"))
    policy = (
        f"default-src 'none'; script-src {script}; style-src {style}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }


def _hash_of(html: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    content = found[1] if found else ""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
