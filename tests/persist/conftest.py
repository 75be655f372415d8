"""A small fitted model for the tests of bundles."""

import pandas as pd
import pytest

from embrm import RewardModel


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    """Twelve preferences over six prompts: the right answer against a wrong one."""
    rows = [
        {
            "prompt": f"What is {n} plus {n}?",
            "chosen": f"{word} {2 * n}, correct.",
            "rejected": f"{word} {2 * n + 1}, wrong.",
        }
        for n in range(1, 7)
        for word in ("It is", "The sum is")
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def model(frame) -> RewardModel:
    """A linear head on hashed words; do not refit."""
    return RewardModel(encoder="hashing:64", head="linear").fit(frame)
