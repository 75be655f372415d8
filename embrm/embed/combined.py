"""CombinedEncoder: the vectors of several encoders next to each other, as blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Text
from embrm.blocks import blocks_of
from embrm.embed.base import BatchReport, Encoder, Fingerprint, OnBatch
from embrm.exceptions import invalid_input

COMBINED = "combined"
"""Kind of the fingerprint."""


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


def combine(named: Mapping[str, Encoder]) -> Encoder:
    """Combine encoders; a single one is returned as it is."""
    if len(named) == 1:
        return next(iter(named.values()))
    return CombinedEncoder(tuple(named), tuple(named.values()))


def block_name(encoder: Encoder) -> str:
    """Name the block of an encoder that has no name: its model, or its kind."""
    model = getattr(encoder, "model", None)
    if isinstance(model, str):
        return model.rstrip("/").rpartition("/")[2]
    return type(encoder).__name__.removesuffix("Encoder").lower()
