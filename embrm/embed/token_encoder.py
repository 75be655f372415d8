"""TokenEncoder: batches of similar length, each text in a row of its own."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from embrm.embed.base import OnBatch
from embrm.embed.sliced_encoder import Outputs, SlicedEncoder
from embrm.embed.steps import PaddedStep, padded_steps, run_steps
from embrm.embed.truncation import FittedTokens


class TokenEncoder(SlicedEncoder):
    """Base of encoders that embed each text by itself.

    A subclass is a frozen dataclass; besides what `SlicedEncoder` asks for, it says how
    a batch of tokens becomes vectors (`_forward`).
    """

    def _embed(
        self,
        tokens: Sequence[FittedTokens],
        outputs: Outputs,
        *,
        on_batch: OnBatch | None = None,
    ) -> None:
        """Embed tokens in batches of similar length."""

        def run(step: PaddedStep) -> list[NDArray[np.float32]]:
            return [self._forward([tokens[row] for row in step.rows])]

        run_steps(
            tokens,
            partial(padded_steps, tokens),
            run,
            outputs,
            budget=self._budget,
            on_batch=on_batch,
        )

    @abstractmethod
    def _forward(self, tokens: Sequence[FittedTokens]) -> NDArray[np.float32]:
        """Compute the vectors of a batch."""
