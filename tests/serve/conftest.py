"""Servers to ask: in this process, with models whose rewards are known."""

from contextlib import ExitStack

import pytest
from fastapi.testclient import TestClient

from embrm.serve.app import create_app
from embrm.serve.settings import Settings
from tests.serve.stubs import Lengths, lengths_model


@pytest.fixture
def encoder():
    """An encoder that remembers what it was given."""
    return Lengths()


@pytest.fixture
def serve():
    """Start an app on a model and return its client; all are stopped in the end."""
    with ExitStack() as stack:

        def start(models=None, **options):
            token = options.pop("token", None)
            settings = Settings({}, **options)
            app = create_app(models or lengths_model(), settings, token=token)
            client = TestClient(app, base_url="http://localhost")
            return stack.enter_context(client)

        yield start


@pytest.fixture
def client(serve, encoder):
    """A client of a server with one model."""
    return serve(lengths_model(encoder))
