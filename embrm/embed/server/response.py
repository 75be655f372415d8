"""Read the answer of an embeddings server: vectors in the order of the inputs.

The answer is data from outside. Whatever is in it, the result is one finite vector of
the right length for every input, or an error; nothing of it is run or trusted.
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm.exceptions import IntegrityError, three_parts


class NoJSONError(IntegrityError):
    """The answer is no JSON: cut off on the way, or not from such a server."""


@dataclass(frozen=True)
class Answer:
    """What a server answered to one request.

    Attributes
    ----------
    vectors : ndarray of float32 of shape (n_inputs, d)
        In the order of the inputs, all finite.
    n_tokens : int
        Tokens that the server counted, 0 where it does not say.
    model : str
        The model that the server says it is, at most 200 characters, or `""`.
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


_MODEL_CHARS = 200
_MANY = 2**40
_CURE = "check that the address is that of an OpenAI-compatible embeddings server"


def _parse(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoJSONError(
            three_parts(
                expected="JSON in the server's answer",
                got=f"none in {len(body)} bytes",
                cure=_CURE,
            )
        ) from error
    if not isinstance(values, dict):
        raise _wrong("a JSON object with 'data'", type(values).__name__, _CURE)
    return values


def _by_index(data: Any, n_inputs: int) -> list[Any]:
    """Return the embeddings in the order of the inputs."""
    if not isinstance(data, list) or len(data) != n_inputs:
        n_got = f"{len(data)}" if isinstance(data, list) else "no list of them"
        raise _wrong(f"{n_inputs} embeddings in 'data'", n_got, _CURE)
    rows: dict[int, Any] = {}
    for row in data:
        index = row.get("index") if isinstance(row, dict) else None
        index = index if type(index) is int and 0 <= index < n_inputs else -1
        if index < 0 or index in rows or "embedding" not in row:
            kind = "one there twice" if index in rows else "another or none"
            raise _wrong(
                f"the indices 0 to {n_inputs - 1}, each once with an embedding,",
                f"{kind} after {len(rows)} good ones",
                _CURE,
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


_HUGE = 1e300


def _wrong(expected: str, got: str, cure: str) -> IntegrityError:
    return IntegrityError(
        three_parts(expected=f"{expected} from the server", got=got, cure=cure)
    )
