"""threads: one thread inside, everything as it was outside."""

import json
import os
import subprocess
import sys

import pytest
from joblib import cpu_count
from threadpoolctl import threadpool_info

from embrm.simulate.experiment.threads import one_thread


def test_every_library_has_one_thread_inside():
    """BLAS and OpenMP alike."""
    with one_thread():
        threads = {library["num_threads"] for library in threadpool_info()}
    assert threads == {1}


def _fail_in_one_thread():
    with one_thread():
        raise KeyError(os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"])


def test_the_environment_is_put_back(monkeypatch):
    """Set variables get their value, others vanish, even after an error."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with pytest.raises(KeyError, match="'1', '1'"):
        _fail_in_one_thread()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in os.environ


def test_a_library_loaded_inside_has_one_thread_there_alone():
    """It runs with one thread inside, and gets all processors when the block ends."""
    script = """
import json
from threadpoolctl import threadpool_info
from embrm.simulate.experiment.threads import one_thread
def threads():
    found = threadpool_info()
    return [f["num_threads"] for f in found if "lightgbm" in f["filepath"]
            or f["user_api"] == "openmp"]
with one_thread():
    import lightgbm
    inside = threads()
print(json.dumps([inside, threads()]))
"""
    environment = {k: v for k, v in os.environ.items() if "NUM_THREADS" not in k}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    inside, after = json.loads(done.stdout)
    assert set(inside) == {1}
    assert set(after) == {cpu_count()}
