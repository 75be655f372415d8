r"""The identity of the model behind an address, by its vectors of fixed texts.

A server says which model it serves; whether that is so, how it pools and whether it
normalises shows in its vectors alone. Two golden texts are embedded at first contact.
What is kept of their vectors, the sketch, is part of the encoder's fingerprint.

A server that computes in bfloat16 gives slightly other vectors each time (up to 0.0065
of their length, by what else is in the batch), and any rounding has edges that such
noise crosses: no function of the noisy vectors alone gives the same digest each time
and still distinguishes models. So the first sketch that was seen is used,
as with ssh's known hosts. It lives where it matters, in the fingerprints that caches
and saved models keep anyway: an encoder is shown those, and if one of them differs
from what the server answers now by less than `TOLERANCE`, the encoder takes that one
for its own (its method `recognise`). Any other model, pooling or scaling is further
away, and is a new encoder with a store of its own.

A change below the tolerance, such as the same weights in float32 instead of bfloat16,
cannot be distinguished from noise and counts as the same.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Text
from embrm.embed.server._answers import Answer
from embrm.exceptions import IntegrityError, invalid_input

GOLDEN_TEXTS: tuple[Text, ...] = (
    (
        "Why is the sky blue?",
        "Because air scatters blue light more than red light.",
    ),
    (
        "Write three sentences about a harbour in winter, and end with a question.",
        (
            "The boats lay under snow, and the ropes were stiff with ice. A gull "
            "walked along the quay as if it owned the place. Who would sail today?"
        ),
    ),
)
"""The first texts sent to every server. Changing them makes every server a new one."""

TOLERANCE = 0.02
"""Largest relative distance of two sketches of the same server: three times the
largest difference measured between batches in bfloat16, 0.0065."""

_WIDTH = 64
_SAME = 1e-4
_TINY = 1e-300
# Of one length, so that truncation by characters keeps as much of the filler.
_ENDS = (
    "Yes, that is right, and it was a pleasure to read it.",
    "No, 4711 goats disagree: buy cheap thunder elsewhere!",
)


@dataclass(frozen=True)
class ServerIdentity:
    """What is kept of a server's answers to the golden texts.

    Attributes
    ----------
    model : str
        As reported by the server.
    dim : int
        Length d of the vectors.
    norms : tuple of float
        Euclidean lengths, to four digits.
    sketches : tuple of tuple of float
        Of each vector, scaled to unit length, at most 64 numbers with three decimals.
    """

    model: str
    dim: int
    norms: tuple[float, ...]
    sketches: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, answer: Answer) -> "ServerIdentity":
        """Sketch the answer to the golden texts.

        Raises
        ------
        IntegrityError
            If a vector is zero, or all are the same.
        """
        vectors = answer.vectors.astype(np.float64)
        norms = np.linalg.norm(vectors, axis=1)
        if not norms.all() or _distance(vectors[0], vectors[1]) < _SAME:
            raise IntegrityError.of(
                expected="two vectors for two texts",
                got="the same twice" if norms.all() else "a vector of zeros",
                fix="check the server's model: it does not see the texts",
            )
        units = vectors / norms[:, np.newaxis]
        return cls(
            model=answer.model,
            dim=vectors.shape[1],
            norms=tuple(float(f"{norm:.4g}") for norm in norms),
            sketches=tuple(
                tuple(np.round(row, 3).tolist()) for row in sketch(units) + 0.0
            ),
        )

    @property
    def is_normalised(self) -> bool:
        """Whether all vectors have unit length."""
        return bool(np.allclose(self.norms, 1.0, rtol=0, atol=0.01))

    def fields(self) -> dict[str, Any]:
        """Return the identity as fields of a fingerprint."""
        return {
            "server_model": self.model,
            "normalised": self.is_normalised,
            "golden_norms": list(self.norms),
            "golden_sketches": [list(row) for row in self.sketches],
        }

    def distance(self, fields: Mapping[str, Any]) -> float:
        """Measure how far a fingerprint's identity is from this one.

        Parameters
        ----------
        fields : mapping
            As `fields` returned them, perhaps of another server.

        Returns
        -------
        float
            The largest relative distance of a vector's length or sketch; infinity
            where the names or the forms differ.
        """
        own = self.fields()
        if fields.get("server_model") != own["server_model"]:
            return float("inf")
        with suppress(TypeError, ValueError):
            pairs = [
                (np.asarray(own[name], float), np.asarray(fields.get(name), float))
                for name in ("golden_norms", "golden_sketches")
            ]
            if all(one.shape == other.shape for one, other in pairs):
                (norms, other_norms), (rows, other_rows) = pairs
                lengths = np.abs(norms - other_norms) / norms
                moves = [_distance(*two) for two in zip(rows, other_rows, strict=True)]
                largest = float(np.max([*lengths, *moves]))
                return largest if np.isfinite(largest) else float("inf")
        return float("inf")


def sketch(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shorten vectors to 64 numbers such that distances stay about the same.

    Column j is added to number `j mod 64` with a sign from a fixed hash, a count
    sketch: squared distances are kept on average, within about a sixth.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)

    Returns
    -------
    ndarray of shape (n, min(d, 64))

    References
    ----------
    Charikar, Chen and Farach-Colton 2002, "Finding frequent items in data streams".

    Examples
    --------
    >>> import numpy as np
    >>> sketch(np.ones((2, 100))).shape
    (2, 64)
    """
    columns = np.arange(vectors.shape[1], dtype=np.uint64)
    # Fibonacci hashing; the product wraps, its highest bit is the sign.
    hashed = columns * np.uint64(0x9E3779B97F4A7C15)
    signs = np.where(hashed >> np.uint64(63), 1.0, -1.0)
    width = min(vectors.shape[1], _WIDTH)
    short = np.zeros((width, len(vectors)))
    np.add.at(short, columns.astype(np.intp) % width, (vectors * signs).T)
    return short.T


def end_texts(n_chars: int) -> tuple[Text, Text]:
    """Make two texts that are longer than a limit and differ only at their ends.

    Parameters
    ----------
    n_chars : int
        Characters of the prompt, which client-side truncation will shorten.

    Returns
    -------
    tuple of (prompt, response)

    Examples
    --------
    >>> one, other = end_texts(1000)
    >>> one[0] == other[0], one[1] == other[1]
    (True, False)
    """
    # A token for two characters is denser than prose; and since all are the same, the
    # two texts begin alike even where their ends have other numbers of tokens.
    filler = "a " * (n_chars // 2 + 1)
    return (filler, _ENDS[0]), (filler, _ENDS[1])


def check_ends_are_read(answer: Answer, limit: str) -> None:
    """Check that a server did not cut the ends of the longest texts it will be sent.

    Some do so in silence; the response would be lost, and chosen and rejected would
    have the same vector.

    Parameters
    ----------
    answer : Answer
        To the `end_texts`, cut to the limit.
    limit : str
        The option that sets it, and its value, for the message.

    Raises
    ------
    InvalidInputError
        If the two vectors are the same.
    """
    if _distance(*answer.vectors.astype(np.float64)) < _SAME:
        raise invalid_input(
            expected="a server that reads texts to their ends",
            got=f"the same vector for two texts of {limit} with other ends",
            fix="lower it to what the server's model takes, or pass tokenizer= "
            "and max_tokens=, which count exactly",
        )


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the distance of two vectors in lengths of the first."""
    return float(np.linalg.norm(one - other)) / max(float(np.linalg.norm(one)), _TINY)
