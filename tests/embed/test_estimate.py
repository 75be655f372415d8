"""The estimate: what is missing, and how long it takes at the speed of a sample."""

import numpy as np
import pytest

from embrm.embed import Fingerprint, embed_items, estimate_embedding
from embrm.embed.estimate import format_duration


class Clock:
    """A clock that an encoder moves: so many seconds for each character."""

    fingerprint = Fingerprint({"kind": "clock"}, dim=1, dtype="float32")

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.n_texts = 0

    def encode(self, texts, *, on_batch=None):
        self.n_texts += len(texts)
        self.now += self.seconds * sum(len(p) + len(r) + 1 for p, r in texts)
        return np.ones((len(texts), 1), dtype=np.float32)


TEXTS = [(f"prompt {n // 4:04} " * 4, f"response {n:06}") for n in range(1000)]


def test_the_time_is_that_of_all_at_the_speed_of_the_sample(monkeypatch):
    """Counted by characters, tokens being unknown before they are made."""
    clock = Clock(1e-3)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    estimate = estimate_embedding(TEXTS, clock)
    n_characters = sum(len(p) + len(r) + 1 for p, r in TEXTS)
    assert estimate.n_texts == 1000
    assert estimate.seconds == pytest.approx(1e-3 * n_characters)


def test_what_the_cache_holds_takes_no_time(tmp_path):
    """Nor does the estimate put anything into it."""
    encoder = Clock()
    assert estimate_embedding(TEXTS, encoder, tmp_path).n_texts == 1000
    assert 0 < encoder.n_texts < 200
    encoder.n_texts = 0
    embed_items(TEXTS, encoder, tmp_path, progress=False)
    assert encoder.n_texts == 1000
    assert estimate_embedding(TEXTS, encoder, tmp_path) is None
    assert encoder.n_texts == 1000


def test_long_texts_make_a_short_sample():
    """A text of each run, however long it is."""
    encoder = Clock()
    estimate_embedding([("p", "x" * 50_000 + str(n)) for n in range(90)], encoder)
    assert encoder.n_texts == 3


@pytest.mark.parametrize("n", [0, 1, 3, 100])
def test_few_texts_are_not_estimated(n):
    """They are embedded sooner."""
    encoder = Clock()
    assert estimate_embedding(TEXTS[:n], encoder) is None
    assert encoder.n_texts == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "a second"), (5, "5 s"), (44, "40 s"), (3000, "50 min"), (8000, "2.2 h")],
)
def test_durations_are_said_to_the_precision_that_they_have(seconds, words):
    """No digits that an estimate does not know."""
    assert format_duration(seconds) == words
