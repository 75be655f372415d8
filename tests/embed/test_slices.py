"""Slices are written in order, one at a time, beside the work."""

import threading

import numpy as np
import pytest

from embrm.embed.keys import item_keys
from embrm.embed.slices import Slices
from embrm.exceptions import EmbrmError

KEYS = item_keys([("p", str(n)) for n in range(8)])
VECTORS = np.arange(8, dtype="float32")[:, None]


class Store:
    """Notes what is appended; may be made to wait or to fail."""

    def __init__(self):
        self.written, self.threads = [], set()
        self.go_on = threading.Event()
        self.go_on.set()
        self.error = None

    def append(self, keys, vectors):
        self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        self.threads.add(threading.current_thread())
        self.written.append(vectors[:, 0].tolist())


@pytest.fixture
def store():
    """A store that keeps lists."""
    return Store()


def add(slices, *rows):
    for row in rows:
        slices.add(KEYS[row : row + 1], VECTORS[row : row + 1])


def test_slices_keep_their_order_and_the_rest_comes_last(store):
    """Claim: vectors arrive in the order in which they were added."""
    slices = Slices(store, n_items=3, seconds=60)
    add(slices, *range(8))
    slices.close()
    assert store.written == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_the_caller_does_not_wait_for_the_first_slice(store):
    """Claim: more is taken while a slice is being written, by one other thread."""
    store.go_on.clear()
    slices = Slices(store, n_items=2, seconds=60)
    add(slices, 0, 1, 2)
    assert store.written == []
    store.go_on.set()
    slices.close()
    assert store.written == [[0, 1], [2]]
    assert len(store.threads) == 1
    assert threading.current_thread() not in store.threads


def test_one_slice_at_most_is_in_flight(store):
    """Claim: the second slice waits for the first."""
    store.go_on.clear()
    slices = Slices(store, n_items=1, seconds=60)
    add(slices, 0)
    second = threading.Thread(target=add, args=(slices, 1))
    second.start()
    second.join(0.05)
    assert second.is_alive()
    store.go_on.set()
    second.join()
    slices.close()
    assert store.written == [[0], [1]]


def test_an_error_is_raised_once_by_the_next_slice(store):
    """Claim: what waits is given up, and close has nothing left to complain of."""
    slices = Slices(store, n_items=1, seconds=60)
    store.error = EmbrmError("full")
    add(slices, 0)
    with pytest.raises(EmbrmError, match="full"):
        add(slices, 1)
    slices.close()
    assert store.written == []


def test_close_raises_the_error_of_the_last_slice(store):
    """Claim: no slice fails in silence."""
    slices = Slices(store, n_items=9, seconds=60)
    add(slices, 0)
    store.error = EmbrmError("full")
    with pytest.raises(EmbrmError, match="full"):
        slices.close()


def test_an_interrupt_while_waiting_loses_nothing(store, monkeypatch):
    """Claim: Ctrl-C during the wait leaves both slices to be written by close."""
    slices = Slices(store, n_items=2, seconds=60)
    add(slices, 0, 1)
    in_flight = slices._in_flight

    class Interrupted:
        def result(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(slices, "_in_flight", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        add(slices, 2, 3)
    monkeypatch.setattr(slices, "_in_flight", in_flight)
    slices.close()
    assert store.written == [[0, 1], [2, 3]]


def test_close_ends_the_thread(store):
    """Claim: no thread outlives its slices."""
    slices = Slices(store, n_items=1, seconds=60)
    add(slices, 0)
    slices.close()
    assert not any(thread.is_alive() for thread in store.threads)
