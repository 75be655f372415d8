"""Equal seeds give equal bits, for every head, on one thread and on two."""

import json
import os
import subprocess
import sys

import pytest

# Rewards of every head as text, from a process of its own: in another one, memory lies
# elsewhere, and whatever follows addresses or hashes of texts goes another way.
_SCRIPT = """
import hashlib, json, warnings
import numpy as np
from embrm import RewardModel
from embrm.heads import known_heads, make_head
warnings.simplefilter("ignore")
words = ["bad", "poor", "fair", "good"]
rated = [
    {"prompt": f"q {n}", "response": f"{word} answer {n * 7 % 31}", "score": score}
    for n in range(40)
    for score, word in enumerate(words)
]
pairs = [
    {"prompt": f"q {n // 3}", "chosen": f"good {n * 7 % 31}", "rejected": f"bad {n}"}
    for n in range(150)
]
RATED = ("regression", "multi-objective")
FEW = {"ensemble": {"n_members": 2, "n_jobs": 2}, "length-debiased": {"cv": None}}
FEW |= {"siamese": {"max_epochs": 2}, "general": {"max_iter": 20}}
items = [{"prompt": f"q {n}", "response": f"{words[n % 4]} {n}"} for n in range(50)]
rewards = {}
for name in known_heads():
    head = make_head(name, random_state=7, **FEW.get(name, {}))
    model = RewardModel("hashing:96", head).fit(rated if name in RATED else pairs)
    bits = np.asarray(model.reward(items)).tobytes()
    rewards[name] = hashlib.sha256(bits).hexdigest()[:12]
print(json.dumps(rewards))
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("n_threads", [1, 2])
def test_two_processes_with_equal_seeds_give_equal_bits(n_threads):
    """All heads of the registry."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _SCRIPT],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(names, str(n_threads)),
        )
        for _ in range(2)
    ]
    answers = [child.communicate() for child in children]
    assert all(child.returncode == 0 for child in children), answers[0][1]
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in answers)
    assert len(first) > 15
    assert first == second
