"""Steps: rows in place, reports, halved budgets, what is checked before storage."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed import steps as host_copies
from embrm.embed.steps import (
    HostCopies,
    PaddedStep,
    TokenBudget,
    padded_steps,
    run_steps,
    to_device,
)
from embrm.embed.truncation import FittedTokens
from embrm.exceptions import EmbrmError, IntegrityError, InvalidInputError


def tokens_of(lengths: list[int], **flags: bool) -> list[FittedTokens]:
    """Make texts of given lengths whose ids are their position in the list."""
    return [
        FittedTokens(np.full(n, i, dtype=np.int32), 0, 0, n - 1, **flags)
        for i, n in enumerate(lengths)
    ]


class Model:
    """Embeds a text as its first id, and can hold so many tokens."""

    def __init__(self, tokens: list[FittedTokens], memory: int = 10**6) -> None:
        self.tokens, self.memory = tokens, memory
        self.sizes: list[int] = []

    def __call__(self, step: PaddedStep) -> list[np.ndarray]:
        size = len(step.rows) * max(len(self.tokens[row]) for row in step.rows)
        if size > self.memory:
            raise torch.OutOfMemoryError
        self.sizes.append(size)
        ids = np.array([self.tokens[row].ids[0] for row in step.rows])
        return [np.stack([ids, ids], axis=1).astype(np.float32)]


def embed(lengths, budget, *, memory=10**6, dim=2, on_batch=None, **flags):
    tokens = tokens_of(lengths, **flags)
    vectors = np.full((len(tokens), dim), -1, dtype=np.float32)
    model, tokens_left = Model(tokens, memory), TokenBudget(budget)
    run_steps(
        tokens,
        partial(padded_steps, tokens),
        model,
        [vectors],
        budget=tokens_left,
        on_batch=on_batch,
    )
    return vectors, model, tokens_left


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(1, 9), max_size=20), budget=st.integers(1, 40))
def test_vectors_come_back_in_the_order_of_the_texts(lengths, budget):
    """Sorting by length does not show."""
    vectors, _, _ = embed(lengths, budget)
    assert vectors[:, 0].tolist() == list(range(len(lengths)))


@settings(max_examples=50)
@given(lengths=st.lists(st.integers(1, 9), min_size=1), memory=st.integers(9, 40))
def test_short_memory_changes_nothing_but_the_batches(lengths, memory):
    """What was done is kept, the rest is planned again."""
    vectors, model, _ = embed(lengths, 10_000, memory=memory)
    assert vectors[:, 0].tolist() == list(range(len(lengths)))
    assert max(model.sizes) <= memory


def test_a_halved_budget_stays_halved():
    """The next batch would fail in the same way."""
    _, model, budget = embed([4] * 8, 32, memory=8)
    assert budget.tokens == 8
    assert model.sizes == [8, 8, 8, 8]


def test_a_text_that_does_not_fit_by_itself_is_an_error():
    """Halving would never end."""
    with pytest.raises(EmbrmError, match=r"one text; got none left.*of 9 tokens"):
        embed([9], 32, memory=8)


def test_each_text_is_reported_once_when_memory_is_short():
    """Progress does not count what is repeated."""
    reports = []
    embed([4] * 8, 32, memory=8, on_batch=reports.append)
    assert sum(report.n_texts for report in reports) == 8


def test_each_batch_is_reported():
    """Texts, tokens and truncations add up."""
    reports = []
    embed([4, 1, 2], 4, on_batch=reports.append, prompt_cut=True, response_cut=True)
    sums = [
        sum(getattr(report, name) for report in reports)
        for name in ("n_texts", "n_tokens", "n_truncated", "n_response_truncated")
    ]
    assert (len(reports), sums) == (2, [3, 7, 3, 3])


def test_vectors_of_another_length_than_promised_are_refused():
    """The fingerprint's dim is what the cache stores."""
    with pytest.raises(IntegrityError, match=r"length 3.*got length 2"):
        embed([1], 4, dim=3)


def test_vectors_that_cannot_be_stored_are_refused():
    """NaN never reaches an output."""
    tokens = tokens_of([1])
    with pytest.raises(InvalidInputError, match="finite vectors"):
        run_steps(
            tokens,
            partial(padded_steps, tokens),
            lambda _step: [np.full((1, 2), np.nan, dtype=np.float32)],
            [np.empty((1, 2), dtype=np.float16)],
            budget=TokenBudget(4),
        )


def test_several_columns_are_written_side_by_side():
    """One pass fills an output for each."""
    tokens = tokens_of([1, 2])
    outputs = [np.empty((2, 1), dtype=np.float16), np.empty((2, 2), dtype=np.float16)]

    def run(step: PaddedStep) -> list[np.ndarray]:
        ids = np.array([[tokens[row].ids[0]] for row in step.rows], dtype=np.float32)
        return [ids, np.concatenate([ids, 10 * ids], axis=1)]

    run_steps(
        tokens, partial(padded_steps, tokens), run, outputs, budget=TokenBudget(2)
    )
    assert [output.tolist() for output in outputs] == [
        [[0.0], [1.0]],
        [[0.0, 0.0], [1.0, 10.0]],
    ]


def test_a_budget_is_never_less_than_one_token():
    """However often it is halved."""
    budget = TokenBudget(3)
    for _ in range(4):
        budget.halve()
    assert budget.tokens == 1


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
