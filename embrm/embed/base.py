"""Encoders: they turn texts into vectors and have an exact fingerprint.

The fingerprint decides which vectors may be mixed. Two encoders share one exactly
when the same text gives the same vector (up to rounding between machines): weights,
tokenizer, template, pooling, layer, normalisation, dtype and truncation all count.
`CombinedEncoder` puts the vectors of several encoders next to each other, as blocks.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Text
from embrm.blocks import blocks_of
from embrm.exceptions import FingerprintMismatchError, invalid_input

_SIDE_BY_SIDE = "side-by-side"
_POOLING_NAMES = MappingProxyType(
    {
        "last_content": "last token of the response",
        "mean_response": "mean over the response",
        "mean": "mean over prompt and response",
        "prompt": "last token before the response",
    }
)

COMBINED = "combined"
"""Kind of the fingerprint."""


@dataclass(frozen=True)
class Fingerprint:
    """The identity of an encoder.

    Parameters
    ----------
    fields : mapping of str to JSON value
        Everything that decides the numbers, by name: `kind`, `model`,
        `weights_sha256`, `template`, `pooling`, `max_tokens`, ...
    dim : int
        Length d of the vectors.
    dtype : str
        Dtype in which vectors are stored, `"float16"` or `"float32"`.

    Examples
    --------
    >>> a = Fingerprint({"kind": "hashing", "seed": 0}, dim=8, dtype="float32")
    >>> b = Fingerprint({"seed": 0, "kind": "hashing"}, dim=8, dtype="float32")
    >>> a.digest == b.digest, len(a.digest)
    (True, 32)
    """

    fields: Mapping[str, Any]
    dim: int
    dtype: str

    @cached_property
    def digest(self) -> str:
        """Hexadecimal blake2b-128 of the canonical JSON of everything above."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @classmethod
    def side_by_side(cls, parts: Sequence["Fingerprint"]) -> "Fingerprint":
        """Identify an encoder whose vectors are those of several, concatenated.

        Parameters
        ----------
        parts : sequence of Fingerprint
            In the order of the columns; of one dtype. A single one is returned as it
            is.

        Examples
        --------
        >>> one = Fingerprint({"kind": "hashing"}, dim=8, dtype="float32")
        >>> other = Fingerprint({"kind": "counts"}, dim=2, dtype="float32")
        >>> both = Fingerprint.side_by_side([one, other])
        >>> both.dim, both.parts == (one, other), both.parts[0].parts
        (10, True, ())
        """
        if len(parts) == 1:
            return parts[0]
        limits = {part.fields.get("max_tokens") for part in parts}
        fields = {
            "kind": _SIDE_BY_SIDE,
            **({"max_tokens": limits.pop()} if len(limits) == 1 else {}),
            "parts": [part.to_json() for part in parts],
        }
        return cls(fields, sum(part.dim for part in parts), parts[0].dtype)

    @cached_property
    def parts(self) -> tuple["Fingerprint", ...]:
        """The fingerprints of the columns where there are several, else none."""
        if self.fields.get("kind") != _SIDE_BY_SIDE:
            return ()
        return tuple(Fingerprint.from_json(part) for part in self.fields["parts"])

    def describe(self) -> str:
        """Name the encoder for messages: kind, model, layer and pooling, digest.

        Examples
        --------
        >>> Fingerprint({"kind": "hashing"}, dim=8, dtype="float32").describe()
        'hashing (9b1b1aa0)'
        >>> fields = {
        ...     "kind": "causal-lm",
        ...     "model": "SmolLM2",
        ...     "layer": 20,
        ...     "pooling": "mean_response",
        ... }
        >>> Fingerprint(fields, dim=8, dtype="float32").describe()
        'causal-lm SmolLM2, layer 20, mean over the response (49f60bf4)'
        """
        return f"{self._description()} ({self.digest[:8]})"

    def _description(self) -> str:
        if self.parts:
            first, *rest = (part._description() for part in self.parts)
            # What the columns have in common is said once.
            common = f"{first.partition(', ')[0]}, "
            return " and ".join([first, *(word.removeprefix(common) for word in rest)])
        name = str(self.fields.get("model", "")).rstrip("/").rpartition("/")[2]
        words = [f"{self.fields.get('kind', 'encoder')} {name}".rstrip()]
        layer, pooling = self.fields.get("layer"), self.fields.get("pooling")
        if isinstance(layer, int):
            words.append("last layer" if layer == -1 else f"layer {layer}")
        if isinstance(pooling, str) and pooling in _POOLING_NAMES:
            words.append(_POOLING_NAMES[pooling])
        return ", ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict with keys `fields`, `dim` and `dtype`."""
        return {"fields": dict(self.fields), "dim": self.dim, "dtype": self.dtype}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Fingerprint":
        """Rebuild a fingerprint from what `to_json` returned."""
        return cls(values["fields"], int(values["dim"]), str(values["dtype"]))


@dataclass(frozen=True)
class BatchReport:
    """What an encoder reports after each batch, for progress bars and reports.

    Attributes
    ----------
    n_texts, n_tokens : int
        Texts in the batch, and tokens processed by the model without padding.
    n_truncated : int
        Texts whose prompt lost its beginning to the length limit.
    n_response_truncated : int
        Texts whose response alone exceeded the limit and lost its beginning.
    """

    n_texts: int
    n_tokens: int = 0
    n_truncated: int = 0
    n_response_truncated: int = 0


OnBatch = Callable[[BatchReport], None]


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into vectors; every encoder in `embrm.embed` follows it."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; may load the model the first time."""
        ...

    def encode(
        self, texts: Sequence[Text], *, on_batch: OnBatch | None = None
    ) -> NDArray[np.floating[Any]]:
        """Embed texts.

        Parameters
        ----------
        texts : sequence of (prompt, response)
            Prompts are `str` or messages; see `embrm.messages`.
        on_batch : callable, optional
            Called with a `BatchReport` after each batch.

        Returns
        -------
        ndarray of shape (n_texts, d)
            In the order of `texts`, in the fingerprint's dtype, all finite.
        """
        ...


@runtime_checkable
class RecognisingEncoder(Protocol):
    """An encoder that recognises its own earlier fingerprints."""

    def recognise(self, known: Iterable[Fingerprint]) -> bool:
        """Adopt a matching one of `known` as the fingerprint; return if one did."""
        ...


def recognise(encoder: Encoder, known: Iterable[Fingerprint]) -> None:
    """Show fingerprints to an encoder that may recognise its own among them.

    Encoders that know from their files who they are are left alone.
    """
    if isinstance(encoder, RecognisingEncoder):
        encoder.recognise(known)


def check_same_encoder(fitted: Fingerprint, offered: Fingerprint) -> None:
    """Refuse vectors of another encoder than a head was fitted on."""
    if fitted.digest != offered.digest:
        raise FingerprintMismatchError.of(
            expected=f"vectors of the encoder {fitted.describe()}",
            got=f"the encoder {offered.describe()}",
            fix="score with the encoder the head was fitted with, or fit again",
        )


@dataclass(frozen=True)
class CombinedEncoder:
    """Several encoders as one, whose columns are a block of each.

    `embed_items` runs every encoder by itself, with a store of its own in the cache: to
    add a block embeds only what is new.

    Parameters
    ----------
    names : tuple of str
        Of the blocks, all different.
    encoders : tuple of Encoder
        As many.

    Examples
    --------
    >>> from embrm.embed import HashingEncoder, StyleEncoder
    >>> both = CombinedEncoder(("words", "style"), (HashingEncoder(64), StyleEncoder()))
    >>> both.encode([("Why?", "Because.")]).shape
    (1, 80)
    >>> both.blocks
    {'words': slice(0, 64, None), 'style': slice(64, 80, None)}
    """

    names: tuple[str, ...]
    encoders: tuple[Encoder, ...]

    def __post_init__(self) -> None:
        distinct = len(set(self.names)) == len(self.names) == len(self.encoders)
        if not distinct or not self.names:
            raise invalid_input(
                expected="one or more encoders, each with a name of its own",
                got=f"{len(self.encoders)} encoders named {', '.join(self.names)}",
                fix="pass every encoder once",
            )

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; see `embrm.embed.base.Fingerprint`."""
        parts = [encoder.fingerprint for encoder in self.encoders]
        named = zip(self.names, parts, strict=True)
        dtype = np.result_type(*(np.dtype(part.dtype) for part in parts))
        return Fingerprint(
            {
                "kind": COMBINED,
                "model": " + ".join(self.names),
                "blocks": [[name, part.to_json()] for name, part in named],
            },
            dim=sum(part.dim for part in parts),
            dtype=str(dtype),
        )

    @property
    def blocks(self) -> dict[str, slice]:
        """Which columns are whose."""
        dims = [encoder.fingerprint.dim for encoder in self.encoders]
        return blocks_of(self.names, dims)

    def encode(
        self, texts: Sequence[Text], *, on_batch: OnBatch | None = None
    ) -> NDArray[np.floating[Any]]:
        """Embed texts with each encoder; see `embrm.embed.base.Encoder`.

        Returns
        -------
        ndarray of shape (n_texts, d)
        """
        parts = [encoder.encode(texts) for encoder in self.encoders]
        if on_batch is not None:
            on_batch(BatchReport(n_texts=len(texts)))
        return np.hstack(parts).astype(self.fingerprint.dtype, copy=False)

    def __sklearn_clone__(self) -> "CombinedEncoder":
        """Stay one object when an estimator that holds it is cloned: it is frozen."""
        return self


def block_name(encoder: Encoder) -> str:
    """Name the block of an encoder that has no name: its model, or its kind."""
    model = getattr(encoder, "model", None)
    if isinstance(model, str):
        return model.rstrip("/").rpartition("/")[2]
    return type(encoder).__name__.removesuffix("Encoder").lower()
