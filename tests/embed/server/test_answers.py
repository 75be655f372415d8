"""Whatever a server answers, there are good vectors or an error that helps."""

import base64
import json
import time
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embrm.embed.server._answers import (
    LONGEST_WAIT,
    NoJSONError,
    PassingError,
    endpoint,
    host,
    read_answer,
    refusal,
    retry_after,
    server_message,
)
from embrm.exceptions import EmbrmError, IntegrityError, InvalidInputError

finite = arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 5)),
    elements=st.floats(-(2.0**99), 2.0**99, width=32),
)


def body(rows: Any, **more: Any) -> bytes:
    return json.dumps({"data": rows, **more}).encode()


def row(index: Any, embedding: Any) -> dict[str, Any]:
    return {"index": index, "embedding": embedding}


@settings(max_examples=60)
@given(finite, st.randoms(), st.booleans())
def test_any_order_and_either_encoding_give_the_same_vectors(vectors, random, packed):
    """Rows are put where their index says, bit for bit."""
    rows = [
        row(n, base64.b64encode(v.tobytes()).decode() if packed else v.tolist())
        for n, v in enumerate(vectors)
    ]
    random.shuffle(rows)
    answer = read_answer(body(rows), len(vectors))
    np.testing.assert_array_equal(answer.vectors, vectors)
    assert answer.vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([row(0, [1.0])], "2 embeddings in 'data' from the server; got 1"),
        ([row(0, [1.0])] * 2, "each once.*got one there twice after 1 good"),
        ([row(0, [1.0]), row(2, [1.0])], "indices 0 to 1.*got another or none"),
        ([row(0, [1.0]), row(-1, [1.0])], "got another or none after 1"),
        ([row(0, [1.0]), row(True, [1.0])], "got another or none after 1"),
        ([row(0, [1.0]), row("1", [1.0])], "got another or none after 1"),
        ([row(0, [1.0]), {"embedding": [1.0]}], "got another or none after 1"),
        ([row(0, [1.0]), {"index": 1}], "got another or none after 1"),
        ([row(0, [1.0]), 7], "got another or none after 1"),
        ({"0": [1.0]}, "2 embeddings.*got no list of them"),
        (None, "2 embeddings.*got no list of them"),
        ([row(0, [1.0]), row(1, [1.0, 2.0])], "got length 2 at index 1"),
        ([row(0, []), row(1, [])], "got length 0 at index 0"),
        ([row(0, [1.0]), row(1, [float("nan")])], "finite.*index 1.*Fix: run"),
        ([row(0, [1.0]), row(1, [float("inf")])], "got NaN or infinity at index 1"),
        ([row(0, [1.0]), row(1, [1e39])], "got NaN or infinity at index 1"),
        ([row(0, [1.0]), row(1, [10**400])], "got NaN or infinity at index 1"),
        ([row(0, [1.0]), row(1, ["1.0"])], "lists of numbers or base64.*index 1"),
        ([row(0, [1.0]), row(1, [True])], "lists of numbers or base64.*index 1"),
        ([row(0, [1.0]), row(1, [[1.0]])], "another list at index 1"),
        ([row(0, [1.0]), row(1, None)], "another NoneType at index 1"),
        ([row(0, [1.0]), row(1, "AAA")], "another str at index 1"),
        ([row(0, [1.0]), row(1, "AAAAAAA=")], "another str at index 1"),
        ([row(0, [1.0]), row(1, "\u00e4\u00e4\u00e4\u00e4")], "another str at index 1"),
    ],
)
def test_wrong_answers_are_refused(rows, match):
    """One finite vector of the same length for each index, or an error."""
    with pytest.raises(IntegrityError, match=match):
        read_answer(body(rows), 2)


def test_another_length_than_promised_is_refused():
    """The store's vectors have the length of the first contact."""
    with pytest.raises(IntegrityError, match=r"vectors of length 3.*got length 2"):
        read_answer(body([row(0, [1.0, 2.0])]), 1, dim=3)


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b'{"data": [', b"\xff\xfe\x00", b"[" * 100_000]
)
def test_what_is_no_json_is_told_apart(raw):
    """It may be a good answer that was cut off."""
    with pytest.raises(NoJSONError, match="JSON in the server's answer; got"):
        read_answer(raw, 1)


@pytest.mark.parametrize("raw", [b"[]", b"3", b'"data"', b"true"])
def test_another_json_is_refused(raw):
    """An answer is an object."""
    with pytest.raises(IntegrityError, match="a JSON object with 'data'"):
        read_answer(raw, 1)


@settings(max_examples=100)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["data", "index", "embedding", "usage"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_gives_vectors_or_an_error_of_ours(value):
    """Nothing that a server can send breaks the reader."""
    try:
        answer = read_answer(json.dumps(value).encode(), 1)
    except EmbrmError:
        return
    assert np.isfinite(answer.vectors).all()
    assert answer.vectors.shape[0] == 1


@pytest.mark.parametrize(
    ("usage", "n"),
    [
        ({"prompt_tokens": 7}, 7),
        ({"prompt_tokens": -7}, 0),
        ({"prompt_tokens": True}, 0),
        ({"prompt_tokens": "7"}, 0),
        ({"prompt_tokens": 10**30}, 0),
        ({}, 0),
        ("7", 0),
        (None, 0),
    ],
)
def test_tokens_are_counted_where_the_server_says(usage, n):
    """Anything that is no count is none."""
    assert read_answer(body([row(0, [1])], usage=usage), 1).n_tokens == n


@pytest.mark.parametrize(
    ("name", "expected"), [("toy", "toy"), ("x" * 999, "x" * 200), (None, ""), ([], "")]
)
def test_the_servers_name_is_bounded(name, expected):
    """It ends up in the fingerprint."""
    assert read_answer(body([row(0, [1])], model=name), 1).model == expected


KEY = "sk-very-secret"


def refuse(status: int, body: bytes = b"", **headers: str) -> EmbrmError:
    return refusal(status, headers, body, key=KEY, key_env="MY_KEY")


@pytest.mark.parametrize(
    "url", ["http://h/v1", "http://h/v1/", "http://h/v1/embeddings"]
)
def test_addresses_are_completed(url):
    """With or without the last part."""
    assert endpoint(url) == "http://h/v1/embeddings"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h/v1",
        "ftp://h/v1",
        "file:///etc/passwd",
        "http://",
        "http://me:sk-very-secret@h/v1",
        "http://h/v1?key=sk-very-secret",
        "http://h/v1#sk-very-secret",
        "http://h:0/v1",
        "http://h:999999/v1",
        "http://h /v1",
        "http://h\n/v1",
        "http://[h/v1",
        None,
    ],
)
def test_other_addresses_are_refused(url):
    """Only http and https, and nothing secret in them."""
    with pytest.raises(InvalidInputError, match="url like 'http") as caught:
        endpoint(url)
    assert KEY not in str(caught.value)


def test_only_the_host_is_shown():
    """An address may hold more than messages should."""
    assert host("https://me:pw@example.org/path?x") == "example.org"
    assert host("http://[broken") == ""


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_some_refusals_may_pass(status):
    """They are worth another attempt."""
    assert isinstance(refuse(status), PassingError)


@pytest.mark.parametrize("status", [201, 204, 301, 307, 400, 401, 403, 404, 413, 422])
def test_other_refusals_stay(status):
    """Asking again would get the same."""
    assert not isinstance(refuse(status), PassingError)


def test_a_refusal_takes_the_time_that_the_server_asks_for():
    """From the Retry-After header."""
    refused = refusal(429, {"retry-after": "3"}, b"", key="", key_env="K")
    assert isinstance(refused, PassingError)
    assert refused.wait == 3


def test_too_long_a_wait_is_an_error_at_once():
    """Nobody waits an hour in silence."""
    headers = {"retry-after": str(LONGEST_WAIT + 1)}
    refused = refusal(429, headers, b"", key="", key_env="K")
    assert not isinstance(refused, PassingError)
    assert "it asks to wait 121 s" in str(refused)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0.25", 0.25),
        ("-3", 0),
        ("nan", 0),
        ("inf", 0),
        ("", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 99 Oct 9999999 07:28:00 GMT", 0),
    ],
)
def test_the_wait_is_read(value, seconds):
    """Anything strange is no wait."""
    assert retry_after(value) == seconds


def test_the_wait_may_be_a_date():
    """As HTTP allows."""
    assert 50 < retry_after(formatdate(time.time() + 60, usegmt=True)) <= 60


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "no", "type": "x"}}', "no"),
        (b'{"error": "no"}', "no"),
        (b'{"message": "no"}', "no"),
        (b'{"detail": [{"loc": ["body"], "msg": "no", "input": "text"}]}', "no"),
        (b"plain\n\x1b[31mtext", "plain [31mtext"),
        (b"\xff", "\ufffd"),
        (b'{"error": {"error": {"error": {"error": {"error": 1}}}}}', ""),
        (b"[]", ""),
        (b"", ""),
        (b"[" * 60_000, "[" * 60_000),
    ],
)
def test_the_message_is_found_and_printable(body, message):
    """In the forms of OpenAI, TEI, vLLM and FastAPI, or as plain text."""
    assert server_message(body) == message


def test_the_message_is_shown_in_part():
    """It may repeat what was sent, at length."""
    assert len(str(refuse(400, b"x" * 9999))) < 600


def test_a_repeated_key_is_not_shown():
    """Some servers say which key was wrong."""
    body = json.dumps({"error": {"message": f"bad key {KEY}"}}).encode()
    assert "status 401: bad key ***" in str(refuse(401, body))


def test_a_key_is_not_shown_in_half():
    """Where the message is cut, too."""
    shown = str(refuse(401, b"x" * 294 + KEY.encode()))
    assert "sk-" not in shown


def test_a_refused_key_is_named_by_its_variable():
    """Whether it is set, and where to put it."""
    unset = refusal(401, {}, b"", key="", key_env="MY_KEY")
    assert "environment variable MY_KEY, which is not set" in str(unset)
    assert "MY_KEY, which is set" in str(refuse(403))


def test_a_redirect_is_named_and_not_followed():
    """By its host alone."""
    refused = refuse(307, location="https://me:pw@evil.example/x?y=sk")
    assert "redirect to evil.example, which is not followed" in str(refused)


def test_the_last_attempt_tells_how_many_there_were():
    """Patience has an end."""
    error = PassingError("status 500", "wait").final(6)
    assert "got status 500, in 6 attempts. Fix: wait." in str(error)
