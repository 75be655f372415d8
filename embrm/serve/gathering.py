"""Requests of many clients gathered into batches, each text once.

A text goes through up to three stages: the rewards that are remembered, the vectors
that are kept, and the encoder. Only the last has a window in which others may join it.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from embrm._typing import FloatArray, Text
from embrm.embed.keys import item_keys
from embrm.exceptions import EmbrmError
from embrm.serve.metrics import Metrics
from embrm.serve.rewards import RewardSource, Scored
from embrm.serve.settings import Gathering
from embrm.serve.vectors import as_names
from embrm.web.answers import Refusal, printable

T = TypeVar("T")
_BATCH_SECONDS = 0.5
"""A batch takes about so long: then others get their turn, and dropped work ends."""
_COMMIT_SECONDS = 1.0
_COMMIT_ITEMS = 4096


@dataclass(eq=False)
class _Waiting:
    """A text whose reward some requests wait for."""

    name: bytes
    text: Text
    done: "asyncio.Future[Scored]"
    n_waiters: int = 0


@dataclass
class _Request:
    """The texts of one request that are to be looked up: admitted all or none."""

    waiting: list[_Waiting] = field(default_factory=list)


class Gatherer:
    """Rewards for many clients at once, from one thread that embeds.

    Parameters
    ----------
    source : RewardSource
    bounds : Gathering
    metrics : Metrics

    Examples
    --------
    >>> import pandas as pd
    >>> from embrm import RewardModel
    >>> rows = {"prompt": ["a", "b"], "chosen": ["yes", "so"], "rejected": ["no", "x"]}
    >>> source = RewardSource(RewardModel("hashing:16").fit(pd.DataFrame(rows)))
    >>> async def ask():
    ...     async with Gatherer(source, Gathering(), Metrics()) as gatherer:
    ...         return await gatherer.rewards([("a", "yes"), ("a", "yes")])
    >>> first, second = asyncio.run(ask())
    >>> first == second
    True
    """

    def __init__(
        self, source: RewardSource, bounds: Gathering, metrics: Metrics
    ) -> None:
        self.source, self.bounds, self.metrics = source, bounds, metrics
        self._remembered: OrderedDict[bytes, Scored] = OrderedDict()
        self._waiting: dict[bytes, _Waiting] = {}
        self._requests: list[_Request] = []
        self._queue: deque[_Waiting] = deque()
        self._n_in_batch, self._batch_started = 0, 0.0
        self._item_seconds = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Gatherer":
        self._loop = asyncio.get_running_loop()
        self._asked, self._queued = asyncio.Event(), asyncio.Event()
        self._full = asyncio.Event()
        # One thread for each kind of work: looking up never waits for the encoder.
        self._threads = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"embrm-{name}")
            for name in ("look-up", "embed", "commit")
        }
        self.source.cache.on_change = self._forget_soon
        self._tasks = [
            asyncio.create_task(work())
            for work in (self._look_up, self._embed, self._commit)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._waiting.values():
            waiting.done.cancel()
        try:
            await self._run("commit", self.source.cache.commit)
        finally:
            for thread in self._threads.values():
                thread.shutdown(wait=False, cancel_futures=True)

    @property
    def is_running(self) -> bool:
        """Whether requests are being worked on."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def n_queued(self) -> int:
        """Texts that wait for the encoder, the batch it works on left out."""
        return len(self._queue)

    def is_full_for(self, n: int) -> bool:
        """Whether a request with n new texts would be refused now."""
        queued = len(self._queue)
        too_many = queued > 0 and queued + n > self.bounds.queue_items
        return too_many or self._expected_wait() > self.bounds.wait_seconds

    def refuse(self) -> Refusal:
        """Count a request that finds the queue full; return what it is told."""
        self.metrics.refused()
        wait = min(60, max(1, math.ceil(self._expected_wait())))
        return Refusal(
            503, "too many texts wait to be embedded; try later", retry_after=wait
        )

    async def rewards(self, texts: Sequence[Text]) -> list[Scored]:
        """Reward texts, in their order.

        Raises
        ------
        Refusal
            503 if more would wait than is admitted, 502 if the encoder fails.
        EmbrmError
            Of a text that the encoder refuses.
        """
        names = as_names(item_keys(texts))
        found = [self._recall(name) for name in names]
        n_missing = found.count(None)
        self.metrics.items("remembered", len(names) - n_missing)
        if n_missing:
            await self._wait_for(texts, names, found)
        return found  # type: ignore[return-value]

    async def vectors(self, texts: Sequence[Text]) -> FloatArray:
        """Return vectors of texts, (n, d); embedded with those of others."""
        await self.rewards(texts)
        return await self._run("look-up", self.source.vectors, list(texts))

    async def _wait_for(
        self,
        texts: Sequence[Text],
        names: list[bytes],
        found: list[Scored | None],
    ) -> None:
        """Fill in what is not remembered, or raise what kept it from coming."""
        request, mine = _Request(), {}
        for name, text, scored in zip(names, texts, found, strict=True):
            if scored is None and name not in mine:
                waiting = self._waiting.get(name)
                if waiting is None:
                    waiting = _Waiting(name, text, self._loop.create_future())
                    self._waiting[name] = waiting
                    request.waiting.append(waiting)
                waiting.n_waiters += 1
                mine[name] = waiting
        if request.waiting:
            self._requests.append(request)
            self._asked.set()
        try:
            futures = [waiting.done for waiting in mine.values()]
            await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for waiting in mine.values():
                waiting.n_waiters -= 1
            if any(not one.n_waiters and not one.done.done() for one in mine.values()):
                # The client is gone: what it alone waited for must not fill the queue.
                self._drop_abandoned()
        for row, name in enumerate(names):
            if found[row] is None:
                found[row] = await _outcome(mine[name].done)

    async def _look_up(self) -> None:
        """Find what has a vector, and queue the rest for the encoder."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            requests, self._requests = self._requests, []
            batch = [one for request in requests for one in request.waiting]
            try:
                known = await self._run("look-up", self._find, batch)
            except Exception as error:  # noqa: BLE001
                self._fail(batch, error)
                continue
            self.metrics.items("kept", len(known))
            for one in batch:
                if one.name in known:
                    self._deliver(one, known[one.name])
            for request in requests:
                self._admit([one for one in request.waiting if one.name not in known])

    def _find(self, batch: list[_Waiting]) -> dict[bytes, Scored | EmbrmError]:
        """Reward those whose vectors are kept; runs in a thread."""
        known = self.source.knows([one.text for one in batch])
        kept = [one for one, yes in zip(batch, known, strict=True) if yes]
        if not kept:
            return {}
        scored = self.source.score_each([one.text for one in kept])
        return {one.name: got for one, got in zip(kept, scored, strict=True)}

    def _admit(self, missing: list[_Waiting]) -> None:
        """Queue the texts of a request, all or none."""
        if not missing:
            return
        self._drop_abandoned()
        if self.is_full_for(len(missing)):
            self._fail(missing, self.refuse())
            return
        self._queue.extend(missing)
        self._queued.set()
        if len(self._queue) >= self.bounds.batch_items:
            self._full.set()

    def _expected_wait(self) -> float:
        """Say how long the batch in work and the queue will take, in seconds."""
        batch = 0.0
        if self._n_in_batch:
            elapsed = time.monotonic() - self._batch_started
            batch = max(0.0, self._n_in_batch * self._item_seconds - elapsed)
        return batch + len(self._queue) * self._item_seconds

    def _drop_abandoned(self) -> None:
        """Take texts off the queue that no request waits for any more."""
        if any(not one.n_waiters for one in self._queue):
            for one in self._queue:
                if not one.n_waiters:
                    self._waiting.pop(one.name, None)
                    one.done.cancel()
            self._queue = deque(one for one in self._queue if one.n_waiters)

    async def _embed(self) -> None:
        """Embed what is queued, in batches of about the same time."""
        while True:
            if not self._queue:
                self._queued.clear()
                self._full.clear()
                await self._queued.wait()
                # The encoder was idle: others may join within the window.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.bounds.window_seconds):
                        await self._full.wait()
            self._drop_abandoned()
            batch = [self._queue.popleft() for _ in range(self._batch_size())]
            if not batch:
                continue
            self._n_in_batch, self._batch_started = len(batch), time.monotonic()
            try:
                texts = [one.text for one in batch]
                scored = await self._run("embed", self.source.score_each, texts)
            except Exception as error:  # noqa: BLE001
                self._fail(batch, error)
            else:
                self._note(len(batch), time.monotonic() - self._batch_started)
                for one, got in zip(batch, scored, strict=True):
                    self._deliver(one, got)
            self._n_in_batch = 0

    def _batch_size(self) -> int:
        size = self.bounds.batch_items
        if self._item_seconds:
            size = min(size, max(8, int(_BATCH_SECONDS / self._item_seconds)))
        return min(size, len(self._queue))

    def _note(self, n: int, seconds: float) -> None:
        """Learn how long a text takes."""
        one = seconds / n
        self._item_seconds += (one - self._item_seconds) * (
            0.3 if self._item_seconds else 1.0
        )
        counts = self.source.counts
        self.metrics.items("embedded", n)
        self.metrics.batch(n, counts.n_truncated)

    async def _commit(self) -> None:
        """Commit vectors from time to time."""
        while True:
            until = time.monotonic() + _COMMIT_SECONDS
            while time.monotonic() < until:
                await asyncio.sleep(0.1)
                if self.source.cache.n_pending >= _COMMIT_ITEMS:
                    break
            try:
                await self._run("commit", self.source.cache.commit)
            except EmbrmError as error:
                self.metrics.commit_failed(printable(error))

    def _recall(self, name: bytes) -> Scored | None:
        scored = self._remembered.get(name)
        if scored is not None:
            self._remembered.move_to_end(name)
        return scored

    def _deliver(self, one: _Waiting, got: Scored | Exception) -> None:
        """Answer those who wait for a text."""
        self._waiting.pop(one.name, None)
        if isinstance(got, Exception):
            if not one.done.done():
                one.done.set_exception(got)
                one.done.exception()  # seen, even where no one waits any more
            return
        self._remembered[one.name] = got
        if len(self._remembered) > self.bounds.remembered_items:
            self._remembered.popitem(last=False)
        if not one.done.done():
            one.done.set_result(got)

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        if not isinstance(error, Refusal):
            # Messages may hold paths and addresses: they are the operator's to read.
            known = isinstance(error, EmbrmError)
            words = printable(error) if known else type(error).__name__
            self.metrics.encoder_failed(words)
            error = Refusal(502, "the encoder failed; the log says how")
        for one in batch:
            self._deliver(one, error)

    def _forget_soon(self, names: list[bytes]) -> None:
        """Forget rewards whose vectors another process committed first."""
        self._loop.call_soon_threadsafe(self._forget, names)

    def _forget(self, names: list[bytes]) -> None:
        for name in names:
            self._remembered.pop(name, None)

    async def _run(self, thread: str, work: Callable[..., T], *arguments: Any) -> T:
        return await self._loop.run_in_executor(self._threads[thread], work, *arguments)


async def _outcome(done: "asyncio.Future[Scored]") -> Scored:
    """Return a finished reward; one that was dropped counts as too late."""
    if done.cancelled():
        raise Refusal(503, "the text was dropped; try again", retry_after=1)
    return await done
