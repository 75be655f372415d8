"""Carry out a plan step by step: retry when memory is short, write rows in place."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional
from embrm.embed.base import BatchReport, OnBatch
from embrm.embed.batching import as_stored, token_batches
from embrm.embed.truncation import FittedTokens
from embrm.exceptions import EmbrmError, IntegrityError

Deliver = Callable[[Any, list[NDArray[np.float32]]], None]
"""Takes what was passed with some tensors, and the tensors as arrays."""


class HostCopies:
    """Copies results to the host; on a GPU one batch behind the computation.

    A copy into pinned memory runs beside the next batch's kernels. Waiting for the
    copy at once would leave the GPU idle while Python prepares that batch.

    Parameters
    ----------
    deliver : callable
        Called with each label and its arrays, in the order of `add`.

    Examples
    --------
    >>> import torch
    >>> copies = HostCopies(lambda label, arrays: print(label, arrays[0].tolist()))
    >>> copies.add("a", [torch.ones(2)])
    a [1.0, 1.0]
    >>> copies.finish()
    """

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._waiting: deque[tuple[Any, list[Any], Any]] = deque()

    def add(self, label: Any, results: Sequence[Any]) -> None:
        """Start copying results, and return those of the previous batch.

        Parameters
        ----------
        label : object
        results : sequence of torch.Tensor or ndarray, float32
        """
        if not any(getattr(result, "is_cuda", False) for result in results):
            self._deliver(label, [np.asarray(result) for result in results])
            return
        torch = import_optional("torch", extra="embed")
        buffers = [
            torch.empty(result.shape, dtype=result.dtype, pin_memory=True).copy_(
                result, non_blocking=True
            )
            for result in results
        ]
        copied = torch.cuda.Event()
        copied.record()
        self._waiting.append((label, buffers, copied))
        if len(self._waiting) > 1:
            self._deliver_first()

    def finish(self) -> None:
        """Return the results that are still being copied."""
        while self._waiting:
            self._deliver_first()

    def _deliver_first(self) -> None:
        label, buffers, copied = self._waiting.popleft()
        copied.synchronize()
        self._deliver(label, [buffer.numpy() for buffer in buffers])


def to_device(values: NDArray[Any], device: Any) -> Any:
    """Copy an array to the model's device; to a GPU without waiting for it."""
    torch = import_optional("torch", extra="embed")
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Step(Protocol):
    """What is computed, reported, and on lack of memory repeated, as a whole."""

    @property
    def rows(self) -> Sequence[int]:
        """Positions of the texts."""
        ...

    @property
    def n_processed(self) -> int:
        """Tokens processed, padding left out; a shared token counts once."""
        ...


@dataclass(frozen=True)
class PaddedStep:
    """A batch of texts, each in its own row.

    Attributes
    ----------
    rows : list of int
        The longest text first.
    n_processed : int
        See `Step`.
    cost : float
        See `embrm.embed.causal.sharing_plan`; 0 where there is no choice.
    """

    rows: list[int]
    n_processed: int
    cost: float = 0.0


def padded_steps(
    tokens: Sequence[FittedTokens], rows: Sequence[int], budget: int
) -> list[PaddedStep]:
    """Put texts of similar length into batches of at most `budget` tokens.

    Examples
    --------
    >>> texts = [
    ...     FittedTokens(np.zeros(n, dtype=np.int32), 0, 0, n - 1) for n in (3, 9, 4)
    ... ]
    >>> padded_steps(texts, [0, 1, 2], 9)
    [PaddedStep(rows=[1], n_processed=9, cost=0.0), PaddedStep(rows=[2, 0], n_processed=7, cost=0.0)]
    """  # noqa: E501
    lengths = [len(tokens[row]) for row in rows]
    return [
        PaddedStep([rows[n] for n in batch], sum(lengths[n] for n in batch))
        for batch in token_batches(lengths, batch_tokens=budget)
    ]


class TokenBudget:
    """How many tokens go through the model at once; halved when memory is short.

    It stays halved: the next batch would fail as well.

    Parameters
    ----------
    tokens : int

    Examples
    --------
    >>> budget = TokenBudget(8)
    >>> budget.halve()
    >>> budget.tokens
    4
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    def halve(self) -> None:
        """Go on with half of it, 1 at least."""
        self.tokens = max(self.tokens // 2, 1)


Plan = Callable[[Sequence[int], int], Sequence[Any]]
"""Takes positions of texts and a budget, returns steps that cover them."""

RunStep = Callable[[Any], Sequence[Any]]
"""Takes a step, returns an array or tensor of shape (n_rows, d) for each column."""


def run_steps(
    tokens: Sequence[FittedTokens],
    plan: Plan,
    run: RunStep,
    outputs: Sequence[NDArray[np.floating[Any]]],
    *,
    budget: TokenBudget,
    on_batch: OnBatch | None = None,
) -> None:
    """Compute vectors of texts and write them where they belong.

    Parameters
    ----------
    tokens : sequence of FittedTokens
    plan : callable
        See `Plan`; called again with what is left when memory is short.
    run : callable
        See `RunStep`.
    outputs : sequence of ndarray of shape (n_texts, d)
        One for each column, in the dtype of storage; filled in the order of `tokens`.
    budget : TokenBudget
    on_batch : callable, optional
        Called with a `BatchReport` after each step.

    Raises
    ------
    EmbrmError
        If a single text does not fit into memory.
    IntegrityError
        If the model's vectors are not of the length in the fingerprint.
    InvalidInputError
        See `embrm.embed.batching.as_stored`.
    """
    torch = import_optional("torch", extra="embed")

    def deliver(step: Step, arrays: list[NDArray[np.float32]]) -> None:
        for output, computed in zip(outputs, arrays, strict=True):
            _check_dim(computed, output.shape[1])
            output[step.rows] = as_stored(computed, str(output.dtype))
        if on_batch is not None:
            on_batch(_report(step, tokens))

    copies = HostCopies(deliver)
    steps = deque(plan(range(len(tokens)), budget.tokens))
    while steps:
        try:
            results = run(steps[0])
        except torch.OutOfMemoryError as error:
            if budget.tokens == 1 or len(steps[0].rows) == 1:
                raise _no_memory(steps[0], tokens) from error
            results = None
        if results is None:
            # Outside the handler: its traceback holds the tensors that were too many.
            _free_memory()
            budget.halve()
            left = [row for step in steps for row in step.rows]
            steps = deque(plan(left, budget.tokens))
        else:
            copies.add(steps.popleft(), results)
    copies.finish()


def _report(step: Step, tokens: Sequence[FittedTokens]) -> BatchReport:
    return BatchReport(
        n_texts=len(step.rows),
        n_tokens=step.n_processed,
        n_truncated=sum(tokens[row].prompt_cut for row in step.rows),
        n_response_truncated=sum(tokens[row].response_cut for row in step.rows),
    )


def _check_dim(computed: NDArray[np.float32], dim: int) -> None:
    if computed.shape[1] != dim:
        raise IntegrityError.of(
            expected=f"vectors of length {dim}, as in the model's files",
            got=f"length {computed.shape[1]}",
            fix="fetch the model again; its config belongs to another model",
        )


def _free_memory() -> None:
    """Give memory that torch keeps for itself back to the GPU."""
    torch = import_optional("torch", extra="embed")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _no_memory(step: Step, tokens: Sequence[FittedTokens]) -> EmbrmError:
    longest = max(len(tokens[row]) for row in step.rows)
    return EmbrmError.of(
        expected="memory for the model and one text",
        got=f"none left for a text of {longest} tokens",
        fix="lower max_tokens, free the device, or take a smaller model",
    )
