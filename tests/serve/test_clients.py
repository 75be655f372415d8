"""The clients that people have installed work against a running server."""

from contextlib import ExitStack

import cohere
import openai
import pytest

from embrm.serve.app import create_app
from tests.serve.stubs import lengths_model


@pytest.fixture
def url(running):
    return running(create_app(lengths_model(), token="k3y"))  # noqa: S106


@pytest.fixture
def asked():
    """Make an OpenAI client; all are closed in the end."""
    with ExitStack() as stack:

        def client(url, key):
            made = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
            return stack.enter_context(made)

        yield client


def test_the_openai_client_gets_vectors(url, asked):
    """It asks for base64, and decodes float32."""
    client = asked(url, "k3y")
    answer = client.embeddings.create(model="model", input=["abc", "a"])
    assert [row.embedding for row in answer.data] == [[3.0, 0.0], [1.0, 0.0]]
    plain = client.embeddings.create(model="m", input="abc", encoding_format="float")
    assert plain.data[0].embedding == [3.0, 0.0]
    assert client.models.list().data[0].id == "model"


def test_the_openai_client_reads_why_it_was_refused(url, asked):
    """Its exception holds our words."""
    client = asked(url, "k3y")
    with pytest.raises(openai.UnprocessableEntityError, match="an empty one"):
        client.embeddings.create(model="model", input=[""])
    other = asked(url, "other")
    with pytest.raises(openai.AuthenticationError, match="Authorization"):
        other.embeddings.create(model="model", input=["abc"])


def test_the_cohere_client_reranks(url):
    """Version 2 of its interface, sorted, with scores in (0, 1)."""
    with cohere.ClientV2(api_key="k3y", base_url=url) as client:
        answer = client.rerank(
            model="model", query="Hi", documents=["ab", "abcd", "abc"], top_n=2
        )
    assert [result.index for result in answer.results] == [1, 2]
    assert 1 > answer.results[0].relevance_score > answer.results[1].relevance_score > 0
