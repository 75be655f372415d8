"""embrm: reward models on frozen embeddings.

Embed each (prompt, response) once with a frozen language model, keep the vector for
ever, and do all reward-model work on the vectors.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Read when an OpenMP library is loaded, so it stands before all imports that may load
# one. Threads that wait for each other by spinning burn the time of the thread they
# wait for where cores are shared: ten times the CPU seconds of one thread were seen.
# GNU's library spins 40 microseconds first: two threads are then 1.66 times as fast as
# one, without it 1.33 times.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
# OpenBLAS, under numpy and scipy, spins 2^26 cycles by default: small fits with every
# head took 36 CPU seconds on two threads beside a load of 12, 10 with 2^17, which
# are 50 microseconds, and 5 on one thread. It is read when numpy is loaded first.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "17")

from embrm.pairs import Pairs
from embrm.pool import CandidatePool

if TYPE_CHECKING:
    from embrm.integrations import RemoteRewardModel
    from embrm.model import RewardModel
    from embrm.persist import load_model, save_model

__version__ = "0.2.0"

__all__ = [
    "CandidatePool",
    "Pairs",
    "RemoteRewardModel",
    "RewardModel",
    "__version__",
    "load_model",
    "save_model",
]

# Loaded on first use: importing embrm stays under half a second.
_LAZY = {
    "RemoteRewardModel": "embrm.integrations",
    "RewardModel": "embrm.model",
    "load_model": "embrm.persist",
    "save_model": "embrm.persist",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'embrm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
