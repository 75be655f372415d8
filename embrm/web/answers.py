"""Errors as JSON: they say what to do, and never repeat what was sent."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "method_not_allowed",
    408: "timeout_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "overloaded_error",
    502: "encoder_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_TEI_TYPES = {413: "Validation", 422: "Validation", 429: "Overloaded"}
_TEI_TYPES |= {400: "Validation", 503: "Overloaded", 504: "Overloaded"}
TEI_PREFIX = "/tei/"
"""Routes under it answer errors as text-embeddings-inference does."""


_write = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Refusal(Exception):  # noqa: N818
    """A request that is refused, with its status.

    Parameters
    ----------
    status : int
    message : str
        Without anything that the client sent.
    retry_after : int, optional
        Seconds, for the header of that name.
    """

    def __init__(
        self, status: int, message: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(status, message)
        self.status, self.message, self.retry_after = status, message, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer."""
        if self.status == 401:
            return {"www-authenticate": "Bearer"}
        return (
            {} if self.retry_after is None else {"retry-after": f"{self.retry_after}"}
        )


def error_content(path: str, status: int, message: str) -> dict[str, Any]:
    """Write an error in the shape that clients of a route read.

    OpenAI's and vLLM's clients read `error.message`, Cohere's `message`, those of
    text-embeddings-inference `error` and `error_type`.

    Examples
    --------
    >>> error_content("/tei/predict", 422, "too long")
    {'error': 'too long', 'error_type': 'Validation'}
    >>> error_content("/classify", 422, "too long")["error"]["type"]
    'invalid_request_error'
    """
    if path.startswith(TEI_PREFIX):
        return {"error": message, "error_type": _TEI_TYPES.get(status, "Backend")}
    kind = _TYPES.get(status, "server_error")
    error = {"message": message, "type": kind, "param": None, "code": status}
    return {"error": error, "message": message}


def printable(text: object, limit: int = 200) -> str:
    r"""Write foreign text so that it can stand in a log or a message, on one line.

    Examples
    --------
    >>> printable("a\x1b[2Jb\n\u202ec")
    'a\\x1b[2Jb\\n\\u202ec'
    """
    words = str(text)[:limit]
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)


def describe_validation(errors: Iterable[Mapping[str, Any]]) -> str:
    """Say where a body is wrong, and how, without its values.

    Parameters
    ----------
    errors : iterable of mapping
        As pydantic gives them: `loc` and `msg`.

    Examples
    --------
    >>> describe_validation(
    ...     [{"loc": ("body", "query", 0), "msg": "Input should be a valid string"}]
    ... )
    'query.0: Input should be a valid string'
    """
    found = []
    for error in list(errors)[:3]:
        # pydantic also names the branches of a union, as "list[str]".
        place = [str(part) for part in error.get("loc", ()) if _is_name(part)]
        message = printable(error.get("msg", "not valid"), 300)
        where = printable(".".join(place) or "body", 80)
        found.append(f"{where}: {message.removeprefix('Value error, ')}")
    return "; ".join(found)


def _is_name(part: object) -> bool:
    if isinstance(part, int):
        return True
    return str(part).isidentifier() and part not in ("body", "str")


def as_json(content: Any) -> bytes:
    """Write an answer's body: compact, ASCII, without NaN."""
    return _write(content).encode()
