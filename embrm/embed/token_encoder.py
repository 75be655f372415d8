"""TokenEncoder: what encoders that tokenise texts and run a model have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import Field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Text
from embrm.embed.base import Fingerprint, OnBatch
from embrm.embed.batching import embed_tokens
from embrm.embed.truncation import FittedTokens, check_responses_fit
from embrm.embed.weights import ModelFiles, resolve_model


class TokenEncoder(ABC):
    """Base of encoders that load a model: tokenise, check lengths, embed in batches.

    A subclass is a frozen dataclass that has the fields below among its own. It says
    who it is (`fingerprint`), what its limit is (`_limit`), how texts become tokens
    (`_tokens`) and how a batch of tokens becomes vectors (`_forward`).
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    model: str
    revision: str | None
    store_dtype: str
    batch_tokens: int
    on_long_response: str

    @cached_property
    def files(self) -> ModelFiles:
        """The model's files; found, or fetched from the hub, at the first use."""
        return resolve_model(self.model, revision=self.revision)

    @property
    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; see `embrm.embed.base.Fingerprint`."""

    def encode(
        self, texts: Sequence[Text], *, on_batch: OnBatch | None = None
    ) -> NDArray[np.floating[Any]]:
        """Embed texts; see `embrm.embed.base.Encoder`.

        Returns
        -------
        ndarray of shape (n_texts, d)

        Raises
        ------
        InvalidInputError
            If a text is malformed or its chat template refuses it, a response is too
            long and that is to raise, or a vector is not finite or does not fit
            `store_dtype`.
        """
        fingerprint = self.fingerprint
        tokens = self._tokens(texts)
        check_responses_fit(
            tokens, limit=self._limit, on_long_response=self.on_long_response
        )
        return embed_tokens(
            tokens,
            self._forward,
            batch_tokens=self.batch_tokens,
            dim=fingerprint.dim,
            dtype=self.store_dtype,
            on_batch=on_batch,
        )

    @property
    @abstractmethod
    def _limit(self) -> int:
        """Largest number of tokens of a text."""

    @abstractmethod
    def _tokens(self, texts: Sequence[Text]) -> list[FittedTokens]:
        """Render, tokenise and truncate texts."""

    @abstractmethod
    def _forward(self, tokens: Sequence[FittedTokens]) -> NDArray[np.float32]:
        """Compute the vectors of a batch."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave the loaded model behind: other processes load their own."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __sklearn_clone__(self) -> Self:
        """Stay one object when an estimator that holds it is cloned: it is frozen."""
        return self
