"""A server's processes end together, and are replaced where that may help."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

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


WORKERS = """
import os, sys, time
from embrm.web.bounds import Bounds
from embrm.web.serving import listen, serve

def app():
    os.write(1, b"worker\\n")
    {body}

if __name__ == "__main__":
    serve("workers:app", [listen("127.0.0.1", 0)], Bounds(), workers=2)
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def supervised(tmp_path):
    """Start two workers whose app is made by a line of code."""
    started = []

    def start(body):
        script = tmp_path / "workers.py"
        script.write_text(WORKERS.format(body=body))
        paths = os.pathsep.join([str(ROOT), str(tmp_path)])
        process = subprocess.Popen(
            [sys.executable, script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            for one in psutil.Process(process.pid).children():
                one.kill()
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("body", "most"),
    [("raise RuntimeError", 2), ("sys.exit(3)", 2), ("os.kill(os.getpid(), 9)", 4)],
)
def test_workers_that_cannot_start_are_not_replaced_for_ever(supervised, body, most):
    """The server ends with an error: at once, or after three that were killed."""
    process = supervised(body)
    said, errors = process.communicate(timeout=15)
    assert process.returncode == 1
    assert "expected workers that start; got one that ended before it served" in errors
    assert 1 <= said.count("worker") <= most


def test_sigterm_ends_workers_that_are_still_loading(supervised):
    """They have nothing to finish: nobody waits for a model to be loaded."""
    process = supervised("time.sleep(60)")
    assert process.stdout.readline() == "worker\n"
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert time.monotonic() - started < 5
