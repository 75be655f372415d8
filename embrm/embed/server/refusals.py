"""What a server's refusal says: for how long, why, and what to do about it."""

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from embrm.exceptions import EmbrmError, InvalidInputError, three_parts

LONGEST_WAIT = 120.0
"""Seconds; a server that asks for more patience than that gets an error instead."""


class PassingError(EmbrmError):
    """A failure that may pass by itself.

    Parameters
    ----------
    got, cure : str
        Two parts of the message.
    wait : float, default=0
        Seconds that the server asked to wait.
    """

    def __init__(self, got: str, cure: str, wait: float = 0.0) -> None:
        super().__init__(got, cure, wait)
        self.got, self.cure, self.wait = got, cure, wait

    def final(self, attempts: int) -> EmbrmError:
        """Make the error that tells of it when patience is at its end."""
        got = f"{self.got}, in {attempts} attempts" if attempts > 1 else self.got
        return EmbrmError(three_parts(expected=_ANSWER, got=got, cure=self.cure))


def endpoint(url: str) -> str:
    """Check a server's address, and complete it.

    Parameters
    ----------
    url : str
        With or without `/embeddings` at its end, e.g. `"http://localhost:8000/v1"`.

    Raises
    ------
    InvalidInputError
        If it is not http or https, or holds a name, a password or a query: these
        would end up in messages and logs. The message does not show it.

    Examples
    --------
    >>> endpoint("http://localhost:8000/v1/")
    'http://localhost:8000/v1/embeddings'
    """
    try:
        parts = urlsplit(url)
        is_good = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and set("@?#\\ ").isdisjoint(url)
            and url.isprintable()
        )
    except (ValueError, AttributeError, TypeError):
        is_good = False
    if not is_good:
        raise InvalidInputError(
            three_parts(
                expected="a url like 'http://localhost:8000/v1', without name, "
                "password and query",
                got="something else",
                cure="put the key into an environment variable and name it with "
                "api_key_env",
            )
        )
    return url.rstrip("/").removesuffix("/embeddings") + "/embeddings"


def host(url: str) -> str:
    """Return host and port, all of an address that messages show.

    Examples
    --------
    >>> host("https://me:secret@example.org:8000/v1?key=1")
    'example.org:8000'
    """
    try:
        return urlsplit(url).netloc.rpartition("@")[2][:100]
    except ValueError:
        return ""


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, *, key: str, key_env: str
) -> EmbrmError:
    """Make the error for a status other than 200.

    Parameters
    ----------
    status : int
    headers : mapping
        Of the answer, with names in lower case.
    body : bytes
        The answer's beginning.
    key : str
        What must not be shown, even if the server repeats it; may be empty.
    key_env : str
        Environment variable that holds it.

    Returns
    -------
    EmbrmError
        A `PassingError` for 408, 429 and 5xx, unless the server asks to wait for
        more than `LONGEST_WAIT`.

    Examples
    --------
    >>> type(refusal(503, {}, b"", key="", key_env="KEY")).__name__
    'PassingError'
    """
    message = server_message(body)
    # Before it is cut: of a key, no half may stay.
    message = message.replace(key, "***") if key else message
    got = f"status {status}" + (f": {message[:_MESSAGE_CHARS]}" if message else "")
    wait = retry_after(headers.get("retry-after"))
    if status in (408, 429) or status >= 500:
        if wait <= LONGEST_WAIT:
            return PassingError(got, "wait, or lower concurrency", wait)
        got += f"; it asks to wait {wait:.0f} s"
    if 300 <= status < 400:
        target = host(headers.get("location", ""))
        got += f", a redirect to {target or 'elsewhere'}, which is not followed"
    cure = _CURES.get(status, "see the server's message, and check url and model")
    if status in (401, 403):
        state = "is set" if key else "is not set"
        cure += f" {key_env}, which {state}"
    return EmbrmError(three_parts(expected=_ANSWER, got=got, cure=cure))


def retry_after(value: str | None) -> float:
    """Read a Retry-After header: seconds or a date; 0 where it says nothing.

    Examples
    --------
    >>> retry_after("2.5"), retry_after(None), retry_after("soon")
    (2.5, 0.0, 0.0)
    """
    if not value:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def server_message(body: bytes) -> str:
    """Find the message in the body of a refusal, as one printable line.

    Examples
    --------
    >>> server_message(b'{"error": {"message": "no such model"}}')
    'no such model'
    """
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = text
    for _ in range(_MESSAGE_DEPTH):
        if isinstance(found, list) and found:
            found = found[0]
        if not isinstance(found, dict):
            break
        found = next((found[name] for name in _MESSAGE_NAMES if found.get(name)), "")
    words = found if isinstance(found, str) else ""
    printable = "".join(letter if letter.isprintable() else " " for letter in words)
    return " ".join(printable.split())


_ANSWER = "embeddings from the server"
_MESSAGE_CHARS = 300
_MESSAGE_DEPTH = 4
_MESSAGE_NAMES = ("error", "message", "detail", "msg")
_KEY = "put a key that is valid there into the environment variable"
_TOO_MUCH = (
    "see the server's message; if texts are too long for it, lower max_chars or "
    "max_tokens, if they are too many, batch_items"
)
_CURES = {
    400: _TOO_MUCH,
    401: _KEY,
    403: _KEY,
    404: "check the url, which mostly ends in /v1, and the model's name",
    413: _TOO_MUCH,
    422: _TOO_MUCH,
}
