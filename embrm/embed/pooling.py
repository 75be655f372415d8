"""From the hidden states of a forward pass to one vector for each text.

Every pooling is the mean over a span of a text's tokens, often a span of one. Where
a token's state stands is computed from the texts' own lengths, never from the end of
a padded row: under right padding the last entry is a pad token, whose state means
nothing (https://github.com/vgel/repeng/pull/38 is one of many such bugs).
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm._typing import IntArray
from embrm.embed.truncation import FittedTokens

LAST = -1
"""The layer after the model's final norm; others are numbered from 0."""


class Spans(NamedTuple):
    """The tokens of each text that are averaged: `begin` to `end`, exclusive."""

    begin: IntArray
    end: IntArray


class Placed(NamedTuple):
    """Positions of tokens of texts among the flattened states of a pass.

    Token j of text i, `first[i] <= j < stop[i]`, is at `slot[i] + j`. For a pass with
    only some tokens of a text, `first` and `stop` are their range.
    """

    slot: IntArray
    first: IntArray
    stop: IntArray


def span_last_content(tokens: Sequence[FittedTokens]) -> Spans:
    """Take the response's last token that is not white space."""
    last = np.array([fitted.last_content for fitted in tokens])
    return Spans(last, last + 1)


def span_mean_response(tokens: Sequence[FittedTokens]) -> Spans:
    """Take the response's tokens; without one, the last token before it."""
    first = [min(fitted.response_start, fitted.last_content) for fitted in tokens]
    return Spans(np.array(first), _lengths(tokens))


def span_mean(tokens: Sequence[FittedTokens]) -> Spans:
    """Take all tokens but BOS.

    BOS carries no text, and in many models its state is far larger than all others
    (Sun et al. 2024, arXiv:2402.17762).
    """
    first = [min(fitted.n_prefix, len(fitted) - 1) for fitted in tokens]
    return Spans(np.array(first), _lengths(tokens))


def span_prompt(tokens: Sequence[FittedTokens]) -> Spans:
    """Take the last token before the response: a representation of the prompt.

    In a chat this is the last token of the template's opening of the answer. Causal
    models have not seen the response there, so all responses to a prompt share it.
    """
    last = np.array([max(fitted.response_start - 1, 0) for fitted in tokens])
    return Spans(last, last + 1)


POOLINGS: MappingProxyType[str, Callable[[Sequence[FittedTokens]], Spans]] = (
    MappingProxyType(
        {
            "last_content": span_last_content,
            "mean_response": span_mean_response,
            "mean": span_mean,
            "prompt": span_prompt,
        }
    )
)
"""The poolings by name."""


def _lengths(tokens: Sequence[FittedTokens]) -> IntArray:
    return np.array([len(fitted) for fitted in tokens])


class Column(NamedTuple):
    """One kind of vector: which layer (`LAST`, or a block's number) and pooling."""

    layer: int
    pooling: str


class ColumnMeans:
    """Collects the vectors of texts from one or several forward passes.

    Parameters
    ----------
    columns : sequence of Column
    tokens : sequence of FittedTokens
        The texts.

    Examples
    --------
    >>> import torch
    >>> text = FittedTokens(np.arange(3, dtype=np.int32), 1, 2, 2)
    >>> means = ColumnMeans(
    ...     [Column(LAST, "last_content"), Column(LAST, "mean")], [text]
    ... )
    >>> placed = Placed(np.array([0]), np.array([0]), np.array([3]))
    >>> means.add({LAST: torch.tensor([[9.0], [1.0], [3.0]])}, placed, [0])
    >>> [vectors.tolist() for vectors in means.vectors()]
    [[[3.0]], [[2.0]]]
    """

    def __init__(
        self, columns: Sequence[Column], tokens: Sequence[FittedTokens]
    ) -> None:
        self._columns = list(columns)
        self._spans = {
            column.pooling: POOLINGS[column.pooling](tokens) for column in columns
        }
        self._n_texts = len(tokens)
        self._sums: list[Any] = [None] * len(self._columns)

    def wanted(self, placed: Placed, rows: Sequence[int]) -> NDArray[np.intp]:
        """Return the slots whose states of the last layer some column takes."""
        found: list[IntArray] = [np.zeros(0, dtype=np.intp)]
        for pooling in {c.pooling for c in self._columns if c.layer == LAST}:
            begin, end = self._cut(self._spans[pooling], placed, rows)
            found += [np.arange(b, e) for b, e in zip(begin, end, strict=True)]
        return np.unique(np.concatenate(found))

    def is_touched(self, placed: Placed, rows: Sequence[int]) -> bool:
        """Say whether any column takes a token of this pass."""
        cuts = [self._cut(spans, placed, rows) for spans in self._spans.values()]
        return any(bool((end > begin).any()) for begin, end in cuts)

    def add(
        self, states: Mapping[int, Any], placed: Placed, rows: Sequence[int]
    ) -> None:
        """Add what a pass holds.

        Parameters
        ----------
        states : mapping of layer to torch.Tensor of shape (n_slots, d)
        placed : Placed
            One entry for each of `rows`.
        rows : sequence of int
            Which of the texts the pass holds tokens of.
        """
        torch = import_optional("torch", extra="embed")
        for number, (layer, pooling) in enumerate(self._columns):
            hidden = states[layer]
            begin, end = self._cut(self._spans[pooling], placed, rows)
            part = _sums(hidden, begin, end)
            if self._sums[number] is None:
                self._sums[number] = part.new_zeros((self._n_texts, part.shape[1]))
            self._sums[number][torch.as_tensor(rows, device=hidden.device)] += part

    def vectors(self) -> list[Any]:
        """Return a torch.Tensor of shape (n_texts, d), float32, for each column."""
        torch = import_optional("torch", extra="embed")
        means = []
        for sums, column in zip(self._sums, self._columns, strict=True):
            begin, end = self._spans[column.pooling]
            counts = torch.as_tensor(end - begin, device=sums.device)
            means.append(sums / counts[:, None])
        return means

    @staticmethod
    def _cut(
        spans: Spans, placed: Placed, rows: Sequence[int]
    ) -> tuple[IntArray, IntArray]:
        """Return the slots, begin and end, of the spans' tokens that are here."""
        begin = np.maximum(spans.begin[rows], placed.first)
        end = np.maximum(np.minimum(spans.end[rows], placed.stop), begin)
        return placed.slot + begin, placed.slot + end


def _sums(hidden: Any, begin: IntArray, end: IntArray) -> Any:
    """Sum states over ranges of slots, in float32; an empty range gives zeros."""
    torch = import_optional("torch", extra="embed")
    first = torch.as_tensor(begin, device=hidden.device)[:, None]
    stop = torch.as_tensor(end, device=hidden.device)[:, None]
    if (end - begin).max(initial=0) <= 1:
        taken = hidden[first[:, 0].clamp(max=len(hidden) - 1)].float()
        return torch.where(stop > first, taken, 0.0)
    slots = torch.arange(len(hidden), device=hidden.device)
    chosen = (slots >= first) & (slots < stop)
    # Not a product alone: the state of a pad may be NaN, and NaN * 0 is NaN.
    clean = torch.where(chosen.any(dim=0)[:, None], hidden.float(), 0.0)
    return chosen.float() @ clean
