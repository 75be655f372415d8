"""From the hidden states of a padded batch to one vector for each text.

Positions come from the texts' own lengths, never from the end of the padded row:
under right padding the last row entry is a pad token, whose state means nothing
(https://github.com/vgel/repeng/pull/38 is one of many such bugs).
"""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm.embed.batching import PaddedBatch
from embrm.embed.truncation import FittedTokens


def pool_last_content(
    hidden: Any, batch: PaddedBatch, tokens: Sequence[FittedTokens]
) -> Any:
    """Take the state at the response's last token that is not white space.

    Parameters
    ----------
    hidden : torch.Tensor of shape (n_texts, n_columns, d)
    batch : PaddedBatch
    tokens : sequence of FittedTokens

    Returns
    -------
    torch.Tensor of shape (n_texts, d), float32
    """
    torch = import_optional("torch", extra="embed")
    columns = batch.shift + np.array([fitted.last_content for fitted in tokens])
    index = torch.as_tensor(columns, device=hidden.device)
    rows = torch.arange(len(tokens), device=hidden.device)
    return hidden[rows, index].float()


def pool_mean_response(
    hidden: Any, batch: PaddedBatch, tokens: Sequence[FittedTokens]
) -> Any:
    """Average the states of the response's tokens; see `pool_last_content`."""
    first = np.array([fitted.response_start for fitted in tokens])
    return _masked_mean(hidden, _from(first, batch))


def pool_mean(hidden: Any, batch: PaddedBatch, tokens: Sequence[FittedTokens]) -> Any:
    """Average the states of all tokens but BOS; see `pool_last_content`.

    BOS carries no text, and in many models its state is far larger than all others
    (Sun et al. 2024, arXiv:2402.17762).
    """
    first = np.array([min(t.n_prefix, len(t) - 1) for t in tokens])
    return _masked_mean(hidden, _from(first, batch))


POOLINGS: MappingProxyType[str, Callable[..., Any]] = MappingProxyType(
    {
        "last_content": pool_last_content,
        "mean_response": pool_mean_response,
        "mean": pool_mean,
    }
)
"""The poolings by name."""


def _from(first: NDArray[np.intp], batch: PaddedBatch) -> NDArray[np.bool_]:
    """Mask the real tokens from position `first` of each text on."""
    columns = np.arange(batch.mask.shape[1])
    return batch.mask & (columns >= (batch.shift + first)[:, None])


def _masked_mean(hidden: Any, chosen: NDArray[np.bool_]) -> Any:
    """Average over the chosen positions in float32."""
    torch = import_optional("torch", extra="embed")
    mask = torch.as_tensor(chosen, device=hidden.device)[:, :, None]
    # Not a product: the state of a pad position may be NaN, and NaN * 0 is NaN.
    total = torch.where(mask, hidden.float(), 0.0).sum(dim=1)
    return total / mask.sum(dim=1)
