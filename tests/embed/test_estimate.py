"""The estimate: what is missing, and how long it takes at the speed of a sample."""

import time

import numpy as np
import pytest

from embrm.embed.base import Fingerprint
from embrm.embed.estimate import estimate_embedding, format_duration
from embrm.embed.run import embed_items


class Sleeper:
    """Takes a while for every character."""

    fingerprint = Fingerprint({"kind": "sleeper"}, dim=1, dtype="float32")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.n_texts = 0

    def encode(self, texts, *, on_batch=None):
        self.n_texts += len(texts)
        time.sleep(self.seconds * sum(len(p) + len(r) + 1 for p, r in texts))
        return np.ones((len(texts), 1), dtype=np.float32)


TEXTS = [(f"prompt {n // 4:04} " * 4, f"response {n:06}") for n in range(1000)]


def test_the_time_is_that_of_the_rest_at_the_speed_of_the_sample():
    """Half as many texts take half as long, within the clock's noise."""
    whole = estimate_embedding(TEXTS, Sleeper(5e-6))
    n_characters = sum(len(p) + len(r) + 1 for p, r in TEXTS)
    assert whole.n_texts == 1000
    assert 0.5 < whole.seconds / (5e-6 * n_characters) < 3


def test_what_the_cache_holds_takes_no_time(tmp_path):
    """Nor does the estimate put anything into it."""
    encoder = Sleeper(0)
    assert estimate_embedding(TEXTS, encoder, tmp_path).n_texts == 1000
    assert 0 < encoder.n_texts < 200
    encoder.n_texts = 0
    embed_items(TEXTS, encoder, tmp_path, progress=False)
    assert encoder.n_texts == 1000
    assert estimate_embedding(TEXTS, encoder, tmp_path) is None
    assert encoder.n_texts == 1000


def test_long_texts_make_a_short_sample():
    """A text of each run, however long it is."""
    encoder = Sleeper(0)
    estimate_embedding([("p", "x" * 50_000 + str(n)) for n in range(90)], encoder)
    assert encoder.n_texts == 3


@pytest.mark.parametrize("n", [0, 1, 3, 100])
def test_few_texts_are_not_estimated(n):
    """They are embedded sooner."""
    encoder = Sleeper(0)
    assert estimate_embedding(TEXTS[:n], encoder) is None
    assert encoder.n_texts == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "a second"), (5, "5 s"), (44, "40 s"), (3000, "50 min"), (8000, "2.2 h")],
)
def test_durations_are_said_to_the_precision_that_they_have(seconds, words):
    """No digits that an estimate does not know."""
    assert format_duration(seconds) == words
