"""What an embeddings server answers: vectors in the order of the inputs, or a refusal.

The answer is data from outside. Whatever is in it, the result is one finite vector of
the right length for every input, or an error that says for how long it holds and what
to do; nothing of it is run or trusted.
"""

import base64
import binascii
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from embrm.exceptions import EmbrmError, IntegrityError, invalid_input

_MODEL_CHARS = 200
_MANY = 2**40
_OTHER_SERVER = (
    "check that the address is that of an OpenAI-compatible embeddings server"
)
_HUGE = 1e300
LONGEST_WAIT = 120.0
"""Seconds; an error is raised if a server asks to wait longer."""

_ANSWER = "embeddings from the server"
_MESSAGE_CHARS = 300
_MESSAGE_DEPTH = 4
_MESSAGE_NAMES = ("error", "message", "detail", "msg")
_KEY = "set a valid key in the environment variable"
_TOO_MUCH = (
    "see the server's message; if texts are too long for it, lower max_chars or "
    "max_tokens, if they are too many, batch_items"
)
_FIXES = {
    400: _TOO_MUCH,
    401: _KEY,
    403: _KEY,
    404: "check the url, which mostly ends in /v1, and the model's name",
    413: _TOO_MUCH,
    422: _TOO_MUCH,
}


class NoJSONError(IntegrityError):
    """The answer is no JSON: truncated in transit, or not from such a server."""


@dataclass(frozen=True)
class Answer:
    """What a server answered to one request.

    Attributes
    ----------
    vectors : ndarray of float32 of shape (n_inputs, d)
        In the order of the inputs, all finite.
    n_tokens : int
        Tokens counted by the server, 0 if not reported.
    model : str
        The model reported by the server, at most 200 characters, or `""`.
    """

    vectors: NDArray[np.float32]
    n_tokens: int
    model: str


def read_answer(body: bytes, n_inputs: int, *, dim: int | None = None) -> Answer:
    """Read and check the body of an answer.

    Parameters
    ----------
    body : bytes
        JSON with a list `data` of objects with `index` and `embedding`, a list of
        numbers or the base64 of little-endian float32.
    n_inputs : int
        Inputs that were sent; the indices must be 0 to `n_inputs - 1`, each once, in
        any order.
    dim : int, optional
        Length that the vectors must have. None takes any, the same for all.

    Returns
    -------
    Answer

    Raises
    ------
    NoJSONError
        If the body is no JSON.
    IntegrityError
        If it is another JSON, an index is missing, unknown or there twice, or a
        vector has another length or is not finite.

    Examples
    --------
    >>> body = b'{"data": [{"index": 1, "embedding": [3]}, '
    >>> body += b'{"index": 0, "embedding": [2]}], "usage": {"prompt_tokens": 7}}'
    >>> answer = read_answer(body, 2)
    >>> answer.vectors.tolist(), answer.n_tokens
    ([[2.0], [3.0]], 7)
    """
    values = _parse(body)
    rows = _by_index(values.get("data"), n_inputs)
    vectors = [_vector(row, place) for place, row in enumerate(rows)]
    wanted = len(vectors[0]) if dim is None else dim
    for place, vector in enumerate(vectors):
        if len(vector) != wanted or not wanted:
            raise _wrong(
                f"vectors of length {dim or '>= 1, the same for all'}",
                f"length {len(vector)} at index {place}",
                "check that the server still serves the same model",
            )
        if not np.isfinite(vector).all():
            raise _wrong(
                "finite vectors",
                f"NaN or infinity at index {place}",
                "run the server's model in bfloat16 or float32, or leave the text out",
            )
    usage, model = values.get("usage"), values.get("model")
    counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return Answer(
        vectors=np.stack(vectors),
        n_tokens=counted if type(counted) is int and 0 <= counted < _MANY else 0,
        model=model[:_MODEL_CHARS] if isinstance(model, str) else "",
    )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoJSONError.of(
            expected="JSON in the server's answer",
            got=f"none in {len(body)} bytes",
            fix=_OTHER_SERVER,
        ) from error
    if not isinstance(values, dict):
        raise _wrong("a JSON object with 'data'", type(values).__name__, _OTHER_SERVER)
    return values


def _by_index(data: Any, n_inputs: int) -> list[Any]:
    """Return the embeddings in the order of the inputs."""
    if not isinstance(data, list) or len(data) != n_inputs:
        n_got = f"{len(data)}" if isinstance(data, list) else "no list of them"
        raise _wrong(f"{n_inputs} embeddings in 'data'", n_got, _OTHER_SERVER)
    rows: dict[int, Any] = {}
    for row in data:
        index = row.get("index") if isinstance(row, dict) else None
        index = index if type(index) is int and 0 <= index < n_inputs else -1
        if index < 0 or index in rows or "embedding" not in row:
            kind = "one there twice" if index in rows else "another or none"
            raise _wrong(
                f"the indices 0 to {n_inputs - 1}, each once with an embedding,",
                f"{kind} after {len(rows)} good ones",
                _OTHER_SERVER,
            )
        rows[index] = row["embedding"]
    return [rows[index] for index in range(n_inputs)]


def _vector(value: Any, place: int) -> NDArray[np.float32]:
    """Read one embedding, in either of the two encodings."""
    vector = None
    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raw = b"?"
        if len(raw) % 4 == 0:
            vector = np.frombuffer(raw, dtype="<f4").astype(np.float32)
    elif isinstance(value, list) and {float, int}.issuperset(map(type, value)):
        # What float32 cannot hold becomes infinite here, and is refused as such.
        with np.errstate(over="ignore"):
            numbers = [number if abs(number) < _HUGE else np.inf for number in value]
            vector = np.array(numbers, dtype=np.float64).astype(np.float32)
    if vector is None:
        raise _wrong(
            "embeddings that are lists of numbers or base64 of float32",
            f"another {type(value).__name__} at index {place}",
            "try another encoding_format, 'float' or 'base64'",
        )
    return vector


def _wrong(expected: str, got: str, fix: str) -> IntegrityError:
    return IntegrityError.of(expected=f"{expected} from the server", got=got, fix=fix)


class PassingError(EmbrmError):
    """A failure that may pass by itself.

    Parameters
    ----------
    got, fix : str
        Two parts of the message.
    wait : float, default=0
        Seconds that the server asked to wait.
    """

    def __init__(self, got: str, fix: str, wait: float = 0.0) -> None:
        super().__init__(got, fix, wait)
        self.got, self.fix, self.wait = got, fix, wait

    def final(self, attempts: int) -> EmbrmError:
        """Make the error that is raised when retries are used up."""
        got = f"{self.got}, in {attempts} attempts" if attempts > 1 else self.got
        return EmbrmError.of(expected=_ANSWER, got=got, fix=self.fix)


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
        raise invalid_input(
            expected="a url like 'http://localhost:8000/v1', without name, "
            "password and query",
            got="something else",
            fix="put the key into an environment variable and name it with api_key_env",
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
    message = without_key(message, key)
    got = f"status {status}" + (f": {message[:_MESSAGE_CHARS]}" if message else "")
    wait = retry_after(headers.get("retry-after"))
    if status in (408, 429) or status >= 500:
        if wait <= LONGEST_WAIT:
            return PassingError(got, "wait, or lower concurrency", wait)
        got += f"; it asks to wait {wait:.0f} s"
    if 300 <= status < 400:
        target = host(without_key(headers.get("location", ""), key))
        got += f", a redirect to {target or 'elsewhere'}, which is not followed"
    fix = _FIXES.get(status, "see the server's message, and check url and model")
    if status in (401, 403):
        state = "is set" if key else "is not set"
        fix += f" {key_env}, which {state}"
    return EmbrmError.of(expected=_ANSWER, got=got, fix=fix)


def without_key(text: str, key: str) -> str:
    """Blank out the key where a server repeats it, in any case: hosts have none.

    Examples
    --------
    >>> without_key("no such key: SK-1", "sk-1"), without_key("as it is", "")
    ('no such key: ***', 'as it is')
    """
    return re.sub(re.escape(key), "***", text, flags=re.IGNORECASE) if key else text


def retry_after(value: str | None) -> float:
    """Read a Retry-After header: seconds or a date; 0 if there is none.

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
