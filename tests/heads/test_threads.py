"""No head starts more threads than it was asked for, nor more than there are cores."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Threads of this process besides those that were there, at most, during a fit.
_SCRIPT = """
import functools, importlib, json, os, sys, threading, time, warnings
for library in sys.argv[2:]:
    importlib.import_module(library)
from embrm import RewardModel
from embrm.heads import known_heads, make_head
from embrm.heads.wrappers.ensemble import RewardEnsemble
warnings.simplefilter("ignore")
pairs = [
    {"prompt": f"q {n}", "chosen": f"good {n * 7 % 31}", "rejected": f"bad {n % 5}"}
    for n in range(60)
]
rated = [
    {"prompt": f"q {n}", "response": f"{word} answer {n * 7 % 31}", "score": score}
    for n in range(30)
    for score, word in enumerate(["bad", "poor", "fair", "good"])
]

def count():
    return len(os.listdir("/proc/self/task"))

go = threading.Event()

class Watch(threading.Thread):
    most, done = 0, False
    def run(self):
        go.wait()
        while not self.done:
            self.most = max(self.most, count())
            threading.Event().wait(0.001)

def most_of(head, rows):
    # The head's own fit alone: embedding reads ahead in a thread.
    watch, fit, begun = Watch(daemon=True), type(head).fit, []
    @functools.wraps(fit)
    def watched(self, *args, **kwargs):
        if begun:
            return fit(self, *args, **kwargs)
        go.clear()
        watch.start()
        # Threads that just ended are counted for a moment more.
        begun.append(min(count() for _ in range(20) if not time.sleep(0.005)))
        go.set()
        try:
            return fit(self, *args, **kwargs)
        finally:
            watch.done = True
            watch.join()
    type(head).fit = watched
    RewardModel("hashing:64", head).fit(rows)
    type(head).fit = fit
    return watch.most - begun[0]

RATED = ("regression", "multi-objective")
FEW = {"ensemble": {"n_members": 2}, "length-debiased": {"cv": None}}
FEW |= {"siamese": {"max_epochs": 3}, "general": {"max_iter": 20}}
most = {}
if sys.argv[1] == "every":
    for name in known_heads():
        head = make_head(name, random_state=0, **FEW.get(name, {}))
        most[name] = most_of(head, rated if name in RATED else pairs)
else:
    few = make_head(sys.argv[1], **FEW.get(sys.argv[1], {}))
    most[2] = most_of(RewardEnsemble(few, 4, n_jobs=2, random_state=0), pairs)
print(json.dumps(most))
"""


def most_threads(what, n_threads, *libraries):
    """Fit in a process that may use so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, what, *libraries],
        capture_output=True,
        text=True,
        env=os.environ | dict.fromkeys(names, str(n_threads)),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts in /proc")
def test_one_thread_is_one_thread_for_every_head():
    """BLAS, OpenMP, LightGBM, XGBoost and torch start none where one is asked for."""
    most = most_threads("every", 1, "lightgbm", "xgboost", "torch")
    assert len(most) > 15
    assert max(most.values()) <= 0, most


@pytest.mark.skipif(os.cpu_count() != 2, reason="counts for two cores")
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts in /proc")
@pytest.mark.parametrize(
    ("member", "library"),
    [("lightgbm", "lightgbm"), ("xgboost", "xgboost"), ("siamese", "torch")],
)
def test_members_of_an_ensemble_share_the_cores(member, library):
    """With as many at a time as there are cores, a member has one thread alone."""
    # joblib's threads: the members', and three that look after them.
    assert most_threads(member, 2, library)["2"] <= 2 + 3
