"""Addresses, refusals, and what they tell."""

import json
import time
from email.utils import formatdate

import pytest

from embrm.embed.server.refusals import (
    LONGEST_WAIT,
    PassingError,
    endpoint,
    host,
    refusal,
    retry_after,
    server_message,
)
from embrm.exceptions import EmbrmError, InvalidInputError

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
    assert "got status 500, in 6 attempts. To mend: wait." in str(error)
