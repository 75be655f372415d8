"""What is known from the judgements: order consistency held out, errors, pace.

The head behind it is fitted again in the background, every few labels; each fit is a
point of the budget curve, from which the labels left are forecast.
"""

import copy
import logging
import threading
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from embrm.active import LabelLoop
from embrm.evaluate import prompt_bootstrap
from embrm.exceptions import EmbrmError
from embrm.heads.base import order_consistency
from embrm.label.queue import LabelQueue
from embrm.label.tasks import WINNERS

_HALF_WIDTH = 0.02
FEWEST_PROMPTS = 5
"""Of held-out labels: with fewer, no interval over prompts keeps its level."""


def progress_of(queue: LabelQueue, annotator: str) -> dict[str, Any]:
    """Sum up a session for the side panel of one annotator.

    Returns
    -------
    dict
        `labels` (all), `mine`, `seconds` (median of mine), `annotators`, `repeats`
        (`n` and the share answered alike), `error_rate` (of the annotator's labels, by
        the repeats), `agreement` with other annotators, `held_out` (as `measure` had
        it at the last fit), and `labels_left` (as `labels_left` forecasts them).
    """
    with queue.lock:
        events = queue.labels(repeats=True)
        curve, held_out = list(queue.curve), queue.measured
        n_pairs = queue.n_pairs_left()
    mine = [event for event in events if event["annotator"] == annotator]
    seconds = [event["seconds"] for event in mine if event.get("seconds")]
    alike = _repeats(mine)
    labels = [event for event in events if event["kind"] != "attention"]
    return {
        "labels": len(labels),
        "mine": sum(event["annotator"] == annotator for event in labels),
        "annotators": len({event["annotator"] for event in labels}),
        "seconds": median(seconds) if seconds else None,
        "repeats": {"n": len(alike), "alike": _share(alike)},
        "error_rate": _error_rate(alike),
        "agreement": _agreement(labels, annotator),
        "held_out": held_out,
        "labels_left": labels_left(curve, len(labels), n_pairs),
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


def measure(loop: LabelLoop) -> dict[str, Any]:
    """Evaluate the current head on the held-out labels that are no ties.

    Returns
    -------
    dict
        A point of the budget curve: `n_labels` (all, so far), `n` and `n_prompts` of
        the held-out ones, `order_consistency`, and its interval over prompts from `low`
        to `high`. None stands for what cannot be said yet, as of fewer than
        `FEWEST_PROMPTS` prompts.
    """
    rows = np.flatnonzero(loop.held_out & (loop.y != WINNERS["tie"]))
    prompts = loop.pool.prompt_ids[loop.ids[rows]]
    found: dict[str, Any] = {
        "n_labels": loop.n_labels,
        "n": len(rows),
        "n_prompts": len(np.unique(prompts)),
        **dict.fromkeys(("order_consistency", "low", "high")),
    }
    if loop.head_ is None or not len(rows):
        return found
    delta = loop.posterior.delta(loop.ids[rows])
    found["order_consistency"] = order_consistency(delta, loop.y[rows])
    if found["n_prompts"] >= FEWEST_PROMPTS:
        right = (1 + np.sign(delta) * np.sign(loop.y[rows] - 0.5)) / 2
        interval = prompt_bootstrap(right, prompts, n_resamples=1000)
        found |= {"low": interval.low, "high": interval.high}
    return found


def labels_left(
    curve: Sequence[Mapping[str, Any]], n_labels: int, n_pairs: int
) -> dict[str, Any] | None:
    """Forecast the labels until the interval is 2 points wide to either side.

    Half of the interval's width falls as a power of the number of labels: as its
    square root where the head stays as good as it is and every label is of a prompt of
    its own, faster as the head becomes better, slower as prompts come again. Which
    power, the measured curve tells: a straight line through the logarithms of its last
    nine tenths goes on.

    Parameters
    ----------
    curve : sequence of mapping
        Points as `measure` makes them.
    n_labels : int
        So far.
    n_pairs : int
        Of the pool, that have no label yet.

    Returns
    -------
    dict or None
        `n`, the labels, 0 once it is reached, and `pairs_left`; where that is less than
        `n`, more are needed than the pool holds. None while the curve is too short.
    """
    measured = [p for p in curve if p["low"] is not None and p["n_labels"] <= n_labels]
    n = np.array([p["n_labels"] for p in measured], dtype=float)
    half = np.array([(p["high"] - p["low"]) / 2 for p in measured])
    if len(half) and half[-1] <= _HALF_WIDTH:
        return {"n": 0, "pairs_left": n_pairs}
    recent = (n >= n[-1] / 10) & (half > 0) if len(n) else np.zeros(0, dtype=bool)
    if len(np.unique(n[recent])) < _FEWEST_POINTS:
        return None
    x, y = np.log(n[recent]), np.log(half[recent])
    away = x - x.mean()
    power = float(np.clip(-(away @ y) / (away @ away), *_POWERS))
    needed = np.exp(x.mean() + (y.mean() - np.log(_HALF_WIDTH)) / power)
    # At least one more: the interval is still too wide.
    return {"n": max(1, int(np.ceil(needed - n_labels - 1e-6))), "pairs_left": n_pairs}


_FEWEST_POINTS = 4
_POWERS = (0.3, 0.9)
"""Within which a slope is believed: a few points by chance have steeper ones."""


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
        """Fit now, measure, and forget the proposals of the belief before."""
        with self._queue.lock:
            # Labels are replaced and never changed in place: the twin keeps its own.
            twin = copy.copy(self._queue.loop)
        try:
            twin.refit()
            point = measure(twin)
        except EmbrmError as error:
            _log.warning("not refitted: %s", type(error).__name__)
            return
        with self._queue.lock:
            loop = self._queue.loop
            loop.head_, loop.posterior = twin.head_, twin.posterior
            self._queue.note_measured(point)
            self._queue.drop_waiting()

    def wait(self) -> None:
        """Wait for a fit that is under way."""
        if self._thread is not None:
            self._thread.join()
