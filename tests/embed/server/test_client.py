"""Asking a server that misbehaves on purpose: right vectors, or a good error."""

import contextlib
import gzip
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embrm.embed.server._answers import PassingError
from embrm.embed.server._client import (
    EmbeddingsClient,
    Server,
    request_waves,
    trust,
    wait_seconds,
)
from embrm.exceptions import EmbrmError, IntegrityError, InvalidInputError

INPUTS = ["one", "two", "three"]


@pytest.fixture
def client(embedding_server) -> Callable[..., EmbeddingsClient]:
    """Make a client of the server, without long waits."""

    def make(dim: int | None = 16, **options: Any) -> EmbeddingsClient:
        defaults: dict[str, Any] = {
            "url": embedding_server.url + "/embeddings",
            "fields": {"model": "toy", "encoding_format": "float"},
            "api_key_env": "EMBRM_API_KEY",
            "timeout": 5.0,
            "attempts": 3,
            "backoff": 0.0,
            "max_body_bytes": 100_000,
            "concurrency": 4,
        }
        return EmbeddingsClient(Server(**defaults | options), dim=dim)

    return make


def refuse(status: int, message: str = "", **headers: str) -> Any:
    def behave(server, handler, body):
        handler.reply(status, {"error": {"message": message}}, **headers)

    return behave


def spoil(change: Callable[[dict[str, Any]], Any]) -> Any:
    """Answer well, but for a change."""

    def behave(server, handler, body):
        answer = server.answer(body)
        change(answer)
        handler.reply(200, answer)

    return behave


def say(raw: bytes, **headers: str) -> Any:
    def behave(server, handler, body):
        handler.reply(200, raw, **headers)

    return behave


def reset(server, handler, body):
    """Break the connection off, hard."""
    linger = struct.pack("ii", 1, 0)
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.shutdown(socket.SHUT_RD)
    handler.close_connection = True
    handler.connection.close()


def hang_up(server, handler, body):
    """Close without an answer."""
    handler.close_connection = True


def cut_off(server, handler, body):
    """Promise more than there is."""
    handler.reply(200, b'{"data": [', Content_Length="1000")
    handler.close_connection = True


def stall(server, handler, body):
    """Never answer."""
    server.released.wait(5)


def stall_in_the_middle(server, handler, body):
    handler.reply(200, b'{"data": [', Content_Length="1000")
    server.released.wait(5)


def drip(server, handler, body):
    """Send a byte now and then, so that no read ever times out."""
    handler.reply(200, b"", Content_Length="1000000")
    with contextlib.suppress(OSError):
        while not server.released.wait(0.01):
            handler.wfile.write(b" ")
            handler.wfile.flush()


def shout(server, handler, body):
    """Send without end."""
    handler.reply(200, b"", Content_Length="1000000000000")
    with contextlib.suppress(OSError):
        while not server.released.is_set():
            handler.wfile.write(b" " * 65536)


def true_vectors(server: Any) -> np.ndarray:
    return np.array([server.vector(text) for text in INPUTS], dtype=np.float32)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(refuse(429, Retry_After="0.05"), id="429 with Retry-After"),
        pytest.param(refuse(429), id="429"),
        pytest.param(refuse(408), id="408"),
        pytest.param(refuse(500), id="500"),
        pytest.param(refuse(503, Retry_After="soon"), id="503"),
        reset,
        hang_up,
        cut_off,
        pytest.param(say(b""), id="empty"),
        pytest.param(say(b"<html>busy</html>"), id="html"),
        pytest.param(say(b'{"data": [{"index": 0, "emb'), id="half a body"),
    ],
)
def test_what_may_pass_is_asked_again(embedding_server, client, trouble):
    """Two failures, then the right vectors."""
    embedding_server.behaviours.extend([trouble, trouble])
    with client() as asked:
        answer = asked.embed(INPUTS)
    np.testing.assert_array_equal(answer.vectors, true_vectors(embedding_server))
    assert len(embedding_server.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "match"),
    [
        (refuse(429, "slow down"), "got status 429: slow down, in 3 attempts. Fix"),
        (refuse(500, "oops"), "got status 500: oops, in 3 attempts. Fix: wait"),
        (hang_up, "RemoteProtocolError at 127.0.0.1:.*3 attempts. Fix: check"),
        (cut_off, "RemoteProtocolError at 127.0.0.1:.*3 attempts. Fix: check"),
        (reset, "Error at 127.0.0.1:.*3 attempts. Fix: check"),
        (say(b"<html>"), "got a body that is no JSON, in 3 attempts. Fix: check"),
    ],
)
def test_what_does_not_pass_is_an_error_in_the_end(
    embedding_server, client, trouble, match
):
    """After as many attempts as were allowed."""
    embedding_server.behaviours.extend([trouble] * 9)
    with client() as asked, pytest.raises(EmbrmError, match=match):
        asked.embed(INPUTS)
    assert len(embedding_server.requests) == 3


@pytest.mark.parametrize("trouble", [stall, stall_in_the_middle, drip])
def test_a_stalled_server_is_left(embedding_server, client, trouble):
    """Before an answer, in the middle of one, or by dripping."""
    embedding_server.behaviours.extend([trouble] * 9)
    with (
        client(timeout=0.05, attempts=2) as asked,
        pytest.raises(EmbrmError, match=r"none within 0.05 s, in 2 att.*raise timeout"),
    ):
        asked.embed(INPUTS)


def test_a_stall_that_passes_costs_nothing(embedding_server, client):
    """The second attempt is answered."""
    embedding_server.behaviours.append(stall)
    with client(timeout=0.3) as asked:
        answer = asked.embed(INPUTS)
    np.testing.assert_array_equal(answer.vectors, true_vectors(embedding_server))


def test_data_in_another_order_is_sorted(embedding_server, client):
    """By index, as OpenAI's interface has it."""
    embedding_server.behaviours.append(spoil(lambda answer: answer["data"].reverse()))
    with client() as asked:
        answer = asked.embed(INPUTS)
    np.testing.assert_array_equal(answer.vectors, true_vectors(embedding_server))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a: a["data"][1].update(embedding=[float("nan")] * 16), "index 1"),
        (lambda a: a["data"][1].update(embedding=[1.0] * 8), "length 16.*got length 8"),
        (lambda a: a["data"].pop(), "3 embeddings in 'data' from the server; got 2"),
        (lambda a: a["data"][2].update(index=0), "got one there twice"),
        (lambda a: a["data"][2].pop("index"), "each once.*got another or none"),
        (lambda a: a.pop("data"), "3 embeddings in 'data'.*got no list of them"),
        (lambda a: [row.update(embedding=[1.0]) for row in a["data"]], "got length 1 "),
    ],
)
def test_wrong_answers_are_errors_at_once(embedding_server, client, change, match):
    """Asked again, the server would say the same."""
    embedding_server.behaviours.append(spoil(change))
    with client() as asked, pytest.raises(IntegrityError, match=match):
        asked.embed(INPUTS)
    assert len(embedding_server.requests) == 1


@pytest.mark.parametrize(
    ("trouble", "match"),
    [
        (refuse(401, "who are you?"), "status 401: who are you.*EMBRM_API_KEY, which"),
        (refuse(404, "no model toy"), "status 404: no model toy. Fix: check the"),
        (refuse(400, "too long"), "status 400: too long. Fix: .*lower max_chars"),
        (refuse(413), "status 413. Fix: .*batch_items"),
        (refuse(302, Location="http://evil.example/x"), "redirect to evil.example"),
        (refuse(503, Retry_After="9999"), "it asks to wait 9999 s"),
        (refuse(204), "status 204"),
        (shout, "at most 100000 bytes; got a larger one.*raise max_body_bytes"),
        (say(gzip.compress(b"{}"), Content_Encoding="gzip"), "not compressed"),
    ],
)
def test_refusals_are_errors_at_once(embedding_server, client, trouble, match):
    """With the server's own words where it has some."""
    embedding_server.behaviours.append(trouble)
    with client() as asked, pytest.raises(EmbrmError, match=match):
        asked.embed(INPUTS)
    assert len(embedding_server.requests) == 1


def test_a_redirect_to_itself_is_not_followed_either(embedding_server, client):
    """The address is to be right."""
    target = embedding_server.url + "/embeddings/"
    embedding_server.behaviours.append(refuse(307, Location=target))
    with client() as asked, pytest.raises(EmbrmError, match="is not followed"):
        asked.embed(INPUTS)


def test_a_long_refusal_is_read_in_part(embedding_server, client):
    """A page of a proxy may be endless."""

    def lecture(server, handler, body):
        handler.reply(400, b"", Content_Length="1000000000000")
        with contextlib.suppress(OSError):
            while not server.released.is_set():
                handler.wfile.write(b"no " * 20_000)

    embedding_server.behaviours.append(lecture)
    with client() as asked, pytest.raises(EmbrmError, match="no no no") as caught:
        asked.embed(INPUTS)
    assert len(str(caught.value)) < 600


def test_a_server_that_is_not_there_is_an_error(client):
    """With the host, and what to check."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1/embeddings"
    with (
        client(url=url) as asked,
        pytest.raises(EmbrmError, match=r"ConnectError at 127.*check that an"),
    ):
        asked.embed(INPUTS)


def test_all_requests_are_answered_whatever_the_order(embedding_server, client):
    """Each answer comes with the number of its request."""
    requests = [[f"text {n}"] for n in range(20)]
    with client() as asked:
        answers = dict(asked.embed_all(requests))
    got = np.concatenate([answers[n].vectors for n in range(20)])
    expected = [embedding_server.vector(text) for (text,) in requests]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_as_many_requests_as_allowed_are_under_way(embedding_server, client):
    """Each waits until there are four: with fewer, none would be answered."""
    together = threading.Barrier(4, timeout=5)

    def meet(server, handler, body):
        together.wait()
        handler.reply(200, server.answer(body))

    embedding_server.behaviours.extend([meet] * 12)
    with client() as asked:
        assert len(list(asked.embed_all([["text"]] * 12))) == 12
    assert embedding_server.most_at_once == 4


def test_the_first_failure_stops_the_rest(embedding_server, client):
    """What is not sent yet is not sent then, and nobody goes on trying."""
    embedding_server.behaviours.append(refuse(400))
    with (
        client(concurrency=1) as asked,
        pytest.raises(EmbrmError, match="status 400"),
    ):
        list(asked.embed_all([["text"]] * 50))
    assert len(embedding_server.requests) < 50


@pytest.mark.timeout(30)
def test_waiting_ends_when_another_request_has_failed(embedding_server, client):
    """Nobody sits out a long wait for nothing."""
    both = threading.Barrier(2, timeout=5)

    def meet(then: Any) -> Any:
        def behave(server, handler, body):
            both.wait()
            then(server, handler, body)

        return behave

    embedding_server.behaviours.extend(
        [meet(refuse(429, Retry_After="100")), meet(refuse(400))]
    )
    with client() as asked, pytest.raises(EmbrmError, match="status 400"):
        list(asked.embed_all([["a"], ["b"]]))


def test_the_key_goes_along(embedding_server, client, monkeypatch):
    """As a bearer token, read when it is needed."""
    monkeypatch.setenv("MY_KEY", " sk-secret\n")
    with client(api_key_env="MY_KEY") as asked:
        asked.embed(INPUTS)
    assert embedding_server.keys == ["Bearer sk-secret"]


def test_without_a_key_none_goes_along(embedding_server, client):
    """A server of one's own mostly has none."""
    with client() as asked:
        asked.embed(INPUTS)
    assert embedding_server.keys == [None]


@pytest.mark.parametrize("key", ["sk-\u00e4", "sk-1\nX-Evil: 1"])
def test_a_key_that_no_header_holds_is_refused(client, monkeypatch, key):
    """Without being shown."""
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(InvalidInputError, match="printable ASCII in MY_KEY") as caught:
        client(api_key_env="MY_KEY")
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("trouble", [refuse(401, "bad sk-secret"), hang_up, cut_off])
def test_the_key_is_in_no_error_and_in_no_log(
    embedding_server, client, monkeypatch, caplog, trouble
):
    """Neither in messages, nor in what errors refer to, nor at the debug level."""
    monkeypatch.setenv("MY_KEY", "sk-secret")
    embedding_server.behaviours.extend([trouble] * 3)
    caplog.set_level("DEBUG")
    with client(api_key_env="MY_KEY") as asked, pytest.raises(EmbrmError) as caught:
        asked.embed(INPUTS)
    assert "sk-secret" not in repr(caught.value) + caplog.text
    assert caught.value.__cause__ is None
    assert not hasattr(caught.value.__context__, "request")


def test_certificates_are_verified():
    """And the names in them."""
    assert trust().verify_mode == ssl.CERT_REQUIRED
    assert trust().check_hostname


def test_a_wrong_certificate_is_not_asked_again(client):
    """It does not pass by itself."""
    refused = ssl.SSLCertVerificationError("bad")
    refused.verify_message = "self-signed certificate"
    error = ConnectionError("broken")
    error.__cause__ = refused
    with client() as asked:
        failure = asked._broken(error)
    assert not isinstance(failure, PassingError)
    assert "got self-signed certificate. Fix: check" in str(failure)


def test_plain_http_under_https_is_an_error(embedding_server, client):
    """A mistyped scheme."""
    url = embedding_server.url.replace("http:", "https:") + "/embeddings"
    with client(url=url) as asked, pytest.raises(EmbrmError, match="ConnectError at"):
        asked.embed(INPUTS)


def test_waits_are_at_least_what_was_asked_for():
    """And a little more, so that not all come back at once."""
    assert wait_seconds(PassingError("busy", "wait", 2.0), 0.5) == 2.5
    assert wait_seconds(None, 0.5) == 0.5


plans = given(
    st.lists(st.integers(0, 5), max_size=60), st.integers(1, 9), st.integers(1, 9)
)


@plans
def test_every_text_is_sent_once(groups, batch_items, concurrency):
    """Nothing is lost or doubled."""
    waves = request_waves(groups, batch_items=batch_items, concurrency=concurrency)
    rows = [row for wave in waves for request in wave for row in request]
    assert sorted(rows) == list(range(len(groups)))


@plans
def test_the_first_wave_holds_one_text_of_each_prompt(groups, batch_items, concurrency):
    """It fills the prefix cache."""
    waves = request_waves(groups, batch_items=batch_items, concurrency=concurrency)
    first = [groups[row] for request in (waves or [[]])[0] for row in request]
    assert sorted(first) == sorted(set(groups))


@plans
def test_the_rest_stays_together_by_prompt(groups, batch_items, concurrency):
    """A prompt's cached prefix is used before others push it out."""
    waves = request_waves(groups, batch_items=batch_items, concurrency=concurrency)
    rest = [groups[row] for wave in waves[1:] for request in wave for row in request]
    changes = sum(one != other for one, other in itertools.pairwise(rest))
    assert changes <= max(0, len(set(rest)) - 1)


@plans
def test_requests_are_bounded_and_never_empty(groups, batch_items, concurrency):
    """As many texts as the server takes at most."""
    waves = request_waves(groups, batch_items=batch_items, concurrency=concurrency)
    sizes = [len(request) for wave in waves for request in wave]
    assert all(1 <= size <= batch_items for size in sizes)


def test_a_short_wave_uses_all_connections():
    """Four texts over two connections are two requests, not one."""
    assert request_waves("aaaaa", batch_items=32, concurrency=2) == [
        [[0]],
        [[1, 2], [3, 4]],
    ]
