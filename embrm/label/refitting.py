"""Refits the head in the background, every few labels."""

import copy
import logging
import threading

from embrm.exceptions import EmbrmError
from embrm.label.queue import LabelQueue

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
