"""Texts of many clients are gathered, embedded once, and refused when too many."""

import asyncio

import numpy as np
import pandas as pd
import pytest

from embrm import RewardModel
from embrm.exceptions import EmbrmError
from embrm.serve.gathering import Gatherer
from embrm.serve.metrics import Metrics
from embrm.serve.rewards import RewardSource
from embrm.serve.settings import Gathering
from embrm.serve.vectors import ServingCache
from embrm.web.answers import Refusal
from tests.serve.stubs import Blocking, Lengths, lengths_model


def gathered(work, encoder, cache=None, **bounds):
    """Run `work(gatherer)` on a new gatherer."""
    source = RewardSource(lengths_model(encoder), cache)

    async def run():
        async with Gatherer(source, Gathering(**bounds), Metrics()) as gatherer:
            return await work(gatherer)

    return asyncio.run(run())


def test_requests_of_many_clients_are_embedded_as_one_batch(encoder):
    """Within the window, each different text once."""

    async def ask(gatherer):
        asked = [[("Hi", f"{n % 20}")] for n in range(100)]
        return await asyncio.gather(*map(gatherer.rewards, asked))

    scores = gathered(ask, encoder, window_seconds=0.2)
    assert [row[0].reward for row in scores] == [
        len(f"{n % 20}") / 10 for n in range(100)
    ]
    assert len(encoder.batches) == 1
    assert len(encoder.texts) == 20


def test_a_full_batch_does_not_wait_for_the_window(encoder):
    """Sixty seconds would be noticed."""

    async def ask(gatherer):
        texts = [("Hi", f"{n}") for n in range(8)]
        async with asyncio.timeout(5):
            return await gatherer.rewards(texts)

    assert len(gathered(ask, encoder, window_seconds=60, batch_items=8)) == 8


def test_texts_with_kept_vectors_skip_the_window(encoder, tmp_path):
    """They are answered while the window is open, from memory and from disk."""
    texts = [("Hi", f"{n}") for n in range(8)]

    async def ask(gatherer):
        async with asyncio.timeout(5):
            return await gatherer.rewards(texts)

    first = gathered(ask, encoder, ServingCache(tmp_path))
    again = gathered(ask, encoder, ServingCache(tmp_path), window_seconds=60)
    assert (first, len(encoder.batches)) == (again, 1)


def test_equal_texts_get_the_same_bits_whatever_comes_with_them():
    """A reward does not depend on the other items of its batch."""
    rng = np.random.default_rng(0)
    rows = {
        "prompt": [f"p{n % 9}" for n in range(60)],
        "chosen": [f"good {n}" for n in range(60)],
        "rejected": [f"bad {n}" for n in range(60)],
    }

    source = RewardSource(RewardModel("hashing").fit(pd.DataFrame(rows)))
    texts = [("p", f"text {n} " * int(rng.integers(1, 9))) for n in range(64)]
    together = source.score(texts)
    for size in (1, 3, 17):
        parts = [source.score(texts[at : at + size]) for at in range(0, 64, size)]
        assert [one for part in parts for one in part] == together


def test_a_queue_that_is_full_refuses_whole_requests():
    """503 with a time to wait; what was taken is answered."""
    encoder = Blocking()

    async def ask(gatherer):
        running = asyncio.create_task(gatherer.rewards([("Hi", "in the encoder")]))
        await asyncio.to_thread(encoder.started.wait, 10)
        waiting = asyncio.create_task(gatherer.rewards([("Hi", "a"), ("Hi", "b")]))
        await asyncio.sleep(0.05)
        with pytest.raises(Refusal) as refused:
            await gatherer.rewards([("Hi", "c"), ("Hi", "d")])
        encoder.go.set()
        return refused.value, await running, await waiting

    refusal, *answers = gathered(ask, encoder, queue_items=3, window_seconds=0)
    assert (refusal.status, refusal.retry_after) == (503, 1)
    assert [len(answer) for answer in answers] == [1, 2]
    assert ("Hi", "c") not in encoder.texts


def test_work_that_no_one_waits_for_is_dropped():
    """A request that was given up in the queue is not embedded."""
    encoder = Blocking()

    async def ask(gatherer):
        running = asyncio.create_task(gatherer.rewards([("Hi", "in the encoder")]))
        await asyncio.to_thread(encoder.started.wait, 10)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await gatherer.rewards([("Hi", "too late")])
        # At once: what no one waits for must not keep others out.
        assert gatherer.n_queued == 0
        encoder.go.set()
        await running
        return await gatherer.rewards([("Hi", "next")])

    gathered(ask, encoder, window_seconds=0)
    assert encoder.texts == [("Hi", "in the encoder"), ("Hi", "next")]


def test_one_text_that_the_encoder_refuses_spoils_no_other():
    """Only its own request fails."""

    async def ask(gatherer):
        asked = [[("Hi", "good")], [("Hi", "odd one")], [("Hi", "fine")]]
        return await asyncio.gather(
            *map(gatherer.rewards, asked), return_exceptions=True
        )

    good, odd, fine = gathered(ask, Lengths(refuses=["odd"]), window_seconds=0.1)
    assert (good[0].reward, fine[0].reward) == (0.4, 0.4)
    assert "does not take" in str(odd)


@pytest.mark.parametrize("kind", [RuntimeError, EmbrmError])
def test_an_encoder_that_breaks_gives_502_and_the_next_request_works(kind):
    """Nothing hangs, and its message is not shown: it may hold texts, or paths."""

    class Breaking(Lengths):
        def encode(self, texts, *, on_batch=None):
            if any(response == "break" for _, response in texts):
                raise kind("secret text")
            return super().encode(texts, on_batch=on_batch)

    async def ask(gatherer):
        with pytest.raises(Refusal) as refused:
            await gatherer.rewards([("Hi", "break")])
        return refused.value, await gatherer.rewards([("Hi", "Hello")])

    refusal, answer = gathered(ask, Breaking())
    assert refusal.status == 502
    assert "secret" not in refusal.message
    assert answer[0].reward == 0.5


def test_a_reward_changes_to_that_of_the_vector_committed_first(tmp_path):
    """What was remembered of the other vector is forgotten."""
    text = [("Hi", "Hello")]
    other = ServingCache(tmp_path)
    RewardSource(lengths_model(Lengths()), other).score(text)

    async def ask(gatherer):
        before = (await gatherer.rewards(text))[0].reward
        other.commit()
        async with asyncio.timeout(10):
            while (await gatherer.rewards(text))[0].reward == before:
                await asyncio.sleep(0.05)
        return before, (await gatherer.rewards(text))[0].reward

    cache = ServingCache(tmp_path)
    before, after = gathered(ask, Lengths(noise=0.5), cache)
    assert (before, after) == (0.55, 0.5)


def test_vectors_are_committed_when_a_gatherer_ends(encoder, tmp_path):
    """A later server finds them."""

    async def ask(gatherer):
        return await gatherer.rewards([("Hi", "Hello")])

    gathered(ask, encoder, ServingCache(tmp_path))
    gathered(ask, encoder, ServingCache(tmp_path))
    assert len(encoder.texts) == 1


def test_memory_for_rewards_is_bounded(encoder):
    """Those used last stay."""

    async def ask(gatherer):
        for n in range(20):
            await gatherer.rewards([("Hi", "x" * (n + 1))])
        return len(gatherer._remembered)

    assert gathered(ask, encoder, remembered_items=5) == 5


def test_vectors_are_those_that_the_encoder_made(encoder):
    """In the order of the texts."""

    async def ask(gatherer):
        return await gatherer.vectors([("Hi", "abc"), ("Hello", "d")])

    assert gathered(ask, encoder).tolist() == [[3.0, 2.0], [1.0, 5.0]]


def test_no_model_is_refused():
    """With what to pass."""
    with pytest.raises(ValueError, match="at least one model"):
        RewardSource({})
