"""Counters of a server, as Prometheus reads them."""

import logging
import os
from typing import Any, Literal

from embrm._optional import import_optional

_log = logging.getLogger("embrm.serve")
Stage = Literal["remembered", "kept", "embedded"]
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """What a server counts.

    With several workers, each writes to the directory that the environment variable
    PROMETHEUS_MULTIPROC_DIR names, and any of them answers for all.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.items("embedded", 3)
    >>> b'embrm_items_total{stage="embedded"} 3.0' in metrics.text()[0]
    True
    """

    def __init__(self) -> None:
        self._client = client = import_optional("prometheus_client", extra="serve")
        self._registry = registry = client.CollectorRegistry()
        requests = client.Histogram(
            "embrm_request_seconds",
            "Time of requests, by route and status.",
            ["route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        items = client.Counter(
            "embrm_items",
            "Items rewarded: remembered, from kept vectors, or embedded.",
            ["stage"],
            registry=registry,
        )
        self._requests, self._series = requests, dict[tuple[str, int], Any]()
        self._items = {
            stage: items.labels(stage) for stage in ("remembered", "kept", "embedded")
        }
        self._batches = client.Histogram(
            "embrm_batch_items",
            "Texts embedded together.",
            buckets=_SIZES,
            registry=registry,
        )
        self._events = client.Counter(
            "embrm_events",
            "plain_text: no chat template recognised; fallback: mean reward given; "
            "refused: queue full; truncated; encoder_failed; commit_failed.",
            ["kind"],
            registry=registry,
        )
        self._queue = client.Gauge(
            "embrm_queued_items",
            "Texts that wait for the encoder.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        series = self._series.get((route, status))
        if series is None:
            series = self._requests.labels(route, str(status))
            self._series[route, status] = series
        series.observe(seconds)

    def items(self, stage: Stage, n: int) -> None:
        """Count items by where their reward came from."""
        if n:
            self._items[stage].inc(n)

    def batch(self, n: int, n_truncated: int) -> None:
        """Count a batch."""
        self._batches.observe(n)
        if n_truncated:
            self.event("truncated", n_truncated)

    def event(self, kind: str, n: int = 1) -> None:
        """Count something that should be seldom."""
        self._events.labels(kind).inc(n)

    def refused(self) -> None:
        """Count a request that found the queue full."""
        self.event("refused")

    def commit_failed(self, words: str) -> None:
        """Count a commit that failed, and log why."""
        self.event("commit_failed")
        _log.warning("vectors were not committed: %s", words)

    def encoder_failed(self, words: str) -> None:
        """Count a batch that failed, and log why."""
        self.event("encoder_failed")
        _log.warning("a batch failed: %s", words)

    def queued(self, n: int) -> None:
        """State how many texts wait."""
        self._queue.set(n)

    def text(self) -> tuple[bytes, str]:
        """Return all counters as text, and its content type."""
        registry = self._registry
        if MULTIPROCESS in os.environ:
            from prometheus_client import multiprocess

            registry = self._client.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return self._client.generate_latest(registry), self._client.CONTENT_TYPE_LATEST
