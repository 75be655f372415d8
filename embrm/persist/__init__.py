"""Reward models on disk: JSON, safetensors and native model files, checksummed.

Nothing here can execute code on load, and damage is found before anything is parsed.
"""

from embrm.persist.bundle import (
    load_model,
    load_ranking,
    read_manifest,
    save_model,
    save_ranking,
)
from embrm.persist.files import check_destination

__all__ = [
    "check_destination",
    "load_model",
    "load_ranking",
    "read_manifest",
    "save_model",
    "save_ranking",
]
