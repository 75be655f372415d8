"""The former name of `embrm.experiment`, kept for one version."""

import importlib
from typing import Any

from embrm.exceptions import warn

_MOVED = ("SECONDS", "AtErrorRate", "Experiment", "GridConfig", "read_grid")


def __getattr__(name: str) -> Any:
    """Take a name from where it is now, with a warning."""
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn(
        f"embrm.simulate.experiment.{name} has moved; import it from embrm.experiment",
        FutureWarning,
    )
    # By name: rooms below experiment do not import it.
    return getattr(importlib.import_module("embrm.experiment"), name)
