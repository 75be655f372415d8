"""Copies to the host: everything arrives, in order."""

from typing import Any

import numpy as np
import pytest
import torch

from embrm.embed import host_copies
from embrm.embed.host_copies import HostCopies, to_device


class FakeEvent:
    """An event of a GPU that says when it was waited for."""

    log: list[str]

    def record(self) -> None:
        self.log.append("record")

    def synchronize(self) -> None:
        self.log.append("wait")


class FakeCudaTensor:
    """A tensor that says it lies on a GPU."""

    is_cuda = True
    dtype = torch.float32

    def __init__(self, values: torch.Tensor) -> None:
        self.values, self.shape = values, values.shape


class FakeTorch:
    """The part of torch that copies from a GPU."""

    def __init__(self, log: list[str]) -> None:
        event = type("Event", (FakeEvent,), {"log": log})
        self.cuda = type("cuda", (), {"Event": event})

    def empty(self, shape: Any, *, dtype: Any, pin_memory: bool) -> Any:
        assert pin_memory
        buffer = torch.empty(shape, dtype=dtype)

        class Buffer:
            def copy_(self, source: FakeCudaTensor, *, non_blocking: bool) -> Any:
                assert non_blocking
                return buffer.copy_(source.values)

        return Buffer()


def test_arrays_and_tensors_are_delivered_at_once():
    """On a CPU there is nothing to wait for."""
    got: list[Any] = []
    copies = HostCopies(lambda label, arrays: got.append((label, arrays)))
    copies.add("a", [np.ones(2, dtype=np.float32), torch.zeros(1)])
    assert got[0][0] == "a"
    assert [array.tolist() for array in got[0][1]] == [[1.0, 1.0], [0.0]]


def test_a_gpu_is_one_batch_ahead(monkeypatch):
    """A batch is waited for when the next one is on its way."""
    log: list[str] = []
    monkeypatch.setattr(host_copies, "import_optional", lambda *_, **__: FakeTorch(log))
    copies = HostCopies(lambda label, arrays: log.append(f"{label}{arrays[0][0]:.0f}"))
    for number in (1, 2):
        copies.add("batch", [FakeCudaTensor(torch.tensor([float(number)]))])
    copies.finish()
    assert log == ["record", "record", "wait", "batch1", "wait", "batch2"]


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_arrays_go_to_the_device_with_their_values(device):
    """Whatever their memory layout."""
    values = np.arange(6).reshape(2, 3).T
    assert to_device(values, device).tolist() == values.tolist()
