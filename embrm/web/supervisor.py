"""Several worker processes: replaced when they die, unless they cannot start at all."""

import socket
import time

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from embrm.exceptions import EmbrmError, format_error

_LEAVING_SECONDS = 5
"""For commits and the like, once requests have had their time."""
_TRIES = 3


class Supervisor(Multiprocess):
    """Keeps workers running: uvicorn's, but it never waits, and it knows when to stop.

    uvicorn's own waits for each worker's answer in turn, deaf to SIGTERM meanwhile, and
    replaces for ever a worker whose app cannot be made.

    Parameters
    ----------
    config : uvicorn.Config
    sockets : list of socket
    stop_seconds : float
        From SIGTERM until workers are killed that have not finished.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        sockets: list[socket.socket],
        *,
        stop_seconds: float,
    ) -> None:
        super().__init__(config, sockets)
        self._stop_seconds = stop_seconds
        self._asked: dict[Process, float] = {}
        self._serving: set[Process] = set()
        self._n_killed_at_start = 0
        self._failure = ""

    def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises
        ------
        EmbrmError
            If a worker cannot start.
        """
        super().run()
        if self._failure:
            raise EmbrmError(self._failure)

    def keep_subprocess_alive(self) -> None:
        """Replace workers that are gone or silent, unless they could not start."""
        for at, worker in enumerate(self.processes):
            if worker.process.is_alive() and self._answers(worker):
                continue
            worker.kill()
            worker.join()
            if not self._may_be_replaced(worker):
                self._failure = format_error(
                    expected="workers that start",
                    got=f"one that ended before it served (exit code "
                    f"{worker.exitcode}), so that all were stopped",
                    fix="see the lines above; --workers 1 shows the error by itself",
                )
                self.should_exit.set()
                return
            self._asked.pop(worker, None)
            self._serving.discard(worker)
            self.processes[at] = Process(self.config, self.sockets)
            self.processes[at].start()

    def terminate_all(self) -> None:
        """Have workers finish; those that still load have nothing to finish."""
        # Else connections would be taken as long as this process lives.
        for sock in self.sockets:
            sock.close()
        for worker in self.processes:
            if worker in self._serving or self._serves_by_now(worker):
                worker.terminate()
            else:
                worker.kill()

    def join_all(self) -> None:
        """Wait for the workers, which keep to their deadline or are killed."""
        until = time.monotonic() + self._stop_seconds + _LEAVING_SECONDS
        for worker in self.processes:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.exitcode is None:
                worker.process.kill()
                worker.process.join()

    def _answers(self, worker: Process) -> bool:
        """Say whether a worker has answered, or still has time to."""
        now = time.monotonic()
        try:
            if worker not in self._asked:
                worker.parent_conn.send(b"ping")
                self._asked[worker] = now
            elif worker.parent_conn.poll():
                if worker.parent_conn.recv() and worker not in self._serving:
                    self._serving.add(worker)
                    self._n_killed_at_start = 0
                del self._asked[worker]
        except (OSError, EOFError):
            return False
        waited = now - self._asked.get(worker, now)
        return waited < self.config.timeout_worker_healthcheck

    def _serves_by_now(self, worker: Process) -> bool:
        """Ask a worker that did not serve when it answered last."""
        while worker.process.is_alive() and worker.parent_conn.poll():
            worker.parent_conn.recv()
        return worker.process.is_alive() and worker.is_ready(timeout=1)

    def _may_be_replaced(self, worker: Process) -> bool:
        """Say whether another might fare better than one that has ended.

        What ends with a code before it serves would do so again. What is killed then,
        as for want of memory, is tried again, but not for ever.
        """
        if worker in self._serving:
            return True
        if (worker.exitcode or 0) >= 0:
            return False
        self._n_killed_at_start += 1
        return self._n_killed_at_start < _TRIES
