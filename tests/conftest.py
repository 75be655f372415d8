"""Fixtures that all rooms share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Directory of real data: EMBRM_SHARED_DATA, or ../shared/data beside us."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    directory = Path(os.environ.get("EMBRM_SHARED_DATA", default))
    assert directory.is_dir(), f"the real data should be in {directory}"
    return directory
