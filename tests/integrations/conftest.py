"""A reward server in a thread, and saved models."""

import pandas as pd
import pytest

from embrm import RewardModel, save_model
from embrm.integrations.scoring import opened
from embrm.serve.app import create_app
from embrm.serve.settings import Settings
from tests.serve.stubs import lengths_model


@pytest.fixture
def url(running):
    """URL of a server whose reward is a tenth of the response's length."""
    return running(create_app(lengths_model(), Settings({})))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    """A saved model on hashed words."""
    rows = [{"prompt": f"p{n}", "chosen": "good", "rejected": "bad"} for n in range(9)]
    model = RewardModel("hashing:64").fit(pd.DataFrame(rows))
    return save_model(model, tmp_path_factory.mktemp("plugin") / "model")


@pytest.fixture
def named_model(monkeypatch):
    """Name a model in the environment, as trainers' files read it."""

    def name(place):
        opened.cache_clear()
        monkeypatch.setenv("EMBRM_REWARD", str(place))

    yield name
    opened.cache_clear()
