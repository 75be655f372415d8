"""What is known from the judgements: order consistency held out, errors, pace.

The head behind it is fitted again in the background, every few labels.
"""

import copy
import logging
import threading
from statistics import median
from typing import Any

import numpy as np

from embrm.active import LabelLoop
from embrm.evaluate.resampling import wilson_bounds
from embrm.exceptions import EmbrmError
from embrm.heads.base import order_consistency
from embrm.label.queue import LabelQueue
from embrm.label.tasks import WINNERS

_HALF_WIDTH = 0.02
_NORMAL_QUANTILE = 1.96


def progress_of(queue: LabelQueue, annotator: str) -> dict[str, Any]:
    """Sum up a session for the side panel of one annotator.

    Returns
    -------
    dict
        `labels` (all), `mine`, `seconds` (median of mine), `annotators`, `repeats`
        (`n` and the share answered alike), `error_rate` (of the annotator's labels, by
        the repeats), `agreement` with other annotators, `held_out` (order consistency
        of the head with held-out labels, its interval, `n`), and `labels_left` until
        that interval is 2 points to either side.
    """
    events = queue.labels(repeats=True)
    mine = [event for event in events if event["annotator"] == annotator]
    seconds = [event["seconds"] for event in mine if event.get("seconds")]
    alike = _repeats(mine)
    labels = [event for event in events if event["kind"] != "attention"]
    held_out = _held_out(queue.loop)
    return {
        "labels": len(labels),
        "mine": sum(event["annotator"] == annotator for event in labels),
        "annotators": len({event["annotator"] for event in labels}),
        "seconds": median(seconds) if seconds else None,
        "repeats": {"n": len(alike), "alike": _share(alike)},
        "error_rate": _error_rate(alike),
        "agreement": _agreement(labels, annotator),
        "held_out": held_out,
        "labels_left": _labels_left(held_out, queue.loop.held_out_share),
    }


def _repeats(mine: list[dict[str, Any]]) -> list[bool]:
    """Say of each pair that was shown again whether it was answered alike."""
    first = {event["key"]: event["winner"] for event in mine}
    return [
        event["winner"] == first[event["key"].partition("~")[0]]
        for event in mine
        if event["kind"] == "attention" and event["key"].partition("~")[0] in first
    ]


def _error_rate(alike: list[bool]) -> float | None:
    r"""Estimate how often a label errs, from how often two of them agree.

    Two labels that err independently at rate e agree at :math:`c = 1 - 2 e (1 - e)`.
    """
    share = _share(alike)
    if share is None:
        return None
    return float((1 - np.sqrt(max(0.0, 2 * share - 1))) / 2)


def _agreement(labels: list[dict[str, Any]], annotator: str) -> dict[str, Any]:
    """Compare an annotator's labels with others' of the same pairs."""
    mine = {e["key"]: e["winner"] for e in labels if e["annotator"] == annotator}
    same = [
        event["winner"] == mine[event["key"]]
        for event in labels
        if event["annotator"] != annotator and event["key"] in mine
    ]
    return {"n": len(same), "share": _share(same)}


def _held_out(loop: LabelLoop) -> dict[str, Any]:
    """Evaluate the current head on the held-out labels that are no ties."""
    rows = np.flatnonzero(loop.held_out & (loop.y != WINNERS["tie"]))
    found: dict[str, Any] = {"n": len(rows), "order_consistency": None}
    if loop.head_ is None or not len(rows):
        return found
    delta = loop.posterior.delta(loop.ids[rows])
    share = order_consistency(delta, loop.y[rows])
    low, high = wilson_bounds(share, 0.0, len(rows))
    return found | {"order_consistency": share, "low": low, "high": high}


def _labels_left(held_out: dict[str, Any], share_held_out: float) -> int | None:
    """Count the labels until the interval is 2 points wide to either side."""
    share = held_out["order_consistency"]
    if share is None or not share_held_out:
        return None
    # One label more on either side: no share of few labels is certain.
    n = held_out["n"]
    smoothed = (share * n + 1) / (n + 2)
    wanted = smoothed * (1 - smoothed) * (_NORMAL_QUANTILE / _HALF_WIDTH) ** 2
    return max(0, int(np.ceil((wanted - n) / share_held_out)))


def _share(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None


_log = logging.getLogger("embrm.label")


class Refitter:
    """Fits on the labels so far in a thread of its own, and swaps the new belief in.

    Labelling goes on meanwhile, by the belief before.

    Parameters
    ----------
    queue : LabelQueue
    every : int, default=8
        New labels after which to fit again.
    """

    def __init__(self, queue: LabelQueue, every: int = 8) -> None:
        self._queue, self._every = queue, every
        self._fitted_at = 0
        self._thread: threading.Thread | None = None

    def notice(self) -> None:
        """Start a fit if there are enough new labels, and none is under way."""
        with self._queue.lock:
            n = self._queue.loop.n_labels
            busy = self._thread is not None and self._thread.is_alive()
            if busy or abs(n - self._fitted_at) < self._every:
                return
            self._fitted_at = n
            self._thread = threading.Thread(target=self.refit, daemon=True)
            self._thread.start()

    def refit(self) -> None:
        """Fit now, and forget the proposals of the belief before."""
        with self._queue.lock:
            # Labels are replaced and never changed in place: the twin keeps its own.
            twin = copy.copy(self._queue.loop)
        try:
            twin.refit()
        except EmbrmError as error:
            _log.warning("not refitted: %s", type(error).__name__)
            return
        with self._queue.lock:
            loop = self._queue.loop
            loop.head_, loop.posterior = twin.head_, twin.posterior
            self._queue.drop_waiting()

    def wait(self) -> None:
        """Wait for a fit that is under way."""
        if self._thread is not None:
            self._thread.join()
