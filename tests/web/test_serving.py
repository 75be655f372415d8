"""A server's processes end together."""

import signal
import subprocess
import sys
import time

import psutil

SUPERVISOR = """
import multiprocessing, os, signal, sys, time
from embrm.web.serving import end_with_parent

def work():
    print(os.getpid(), flush=True)
    time.sleep(1)  # still importing when the supervisor is killed
    end_with_parent(0.1)
    time.sleep(60)

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work).start()
    time.sleep(60)
"""


def test_a_worker_ends_whose_supervisor_died_before_it_had_started(tmp_path):
    """It knows whose child it was, though init has taken it over."""
    script = tmp_path / "supervisor.py"
    script.write_text(SUPERVISOR)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as process:
        worker = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        process.wait()
        until = time.monotonic() + 15
        while worker.is_running() and time.monotonic() < until:
            time.sleep(0.1)
        running = worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE
        if running:
            worker.kill()
    assert not running
