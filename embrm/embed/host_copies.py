"""Vectors on their way from the GPU to arrays, while the next batch is computed."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._optional import import_optional

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
        """Start copying results, and deliver those of the batch before.

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
        """Deliver what is still on its way."""
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
