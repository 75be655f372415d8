"""Run with one thread: sums in another order have other last bits."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from joblib import cpu_count
from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread, libraries loaded inside the block included.

    Numbers then do not depend on how many cells run beside each other. At the end
    everything is as it was; a library first loaded inside gets all processors, as it
    would have had.

    Examples
    --------
    >>> with one_thread():
    ...     threads = os.environ["OMP_NUM_THREADS"]
    >>> threads
    '1'
    """
    before = {name: os.environ.get(name) for name in _VARIABLES}
    n_modules = len(sys.modules)
    controller = _controller(n_modules)
    try:
        # What is loaded later reads the environment when it is.
        os.environ.update(dict.fromkeys(_VARIABLES, "1"))
        with controller.limit(limits=1):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if len(sys.modules) != n_modules and not any(before.values()):
            _release(controller)


@lru_cache(maxsize=1)
def _controller(n_modules: int) -> ThreadpoolController:
    """Find the thread pools: it takes 3 ms, and again only after an import."""
    del n_modules
    return ThreadpoolController()


def _release(known: ThreadpoolController) -> None:
    """Give the libraries that are not among the known ones all processors."""
    paths = {library.filepath for library in known.lib_controllers}
    for library in ThreadpoolController().lib_controllers:
        if library.filepath not in paths:
            library.set_num_threads(cpu_count())


_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
