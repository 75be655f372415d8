"""Foreign hosts, origins, tokens, sizes and times are refused before the app works."""

import asyncio
import logging

import pytest
from starlette.testclient import TestClient

from embrm.exceptions import InvalidInputError
from embrm.web import Bounds
from embrm.web.answers import Refusal, describe_validation, error_content
from embrm.web.guard import LOOPBACK, Guard, allowed_hosts, read_token


class Echo:
    """Answers with the size of the body; remembers how often it was asked."""

    def __init__(self, seconds=0.0, error=None):
        self.calls, self.seconds, self.error = 0, seconds, error

    async def __call__(self, scope, receive, send):
        self.calls += 1
        body = (await receive())["body"]
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(len(body)).encode()})


def client(app, bounds=None, **options):
    guard = Guard(app, bounds or Bounds(), **options)
    return TestClient(guard, base_url="http://localhost")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080"]
)
def test_loopback_names_are_served(host):
    """With any port."""
    assert client(Echo()).post("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil", "8.8.8.8", "", "[::1"],
)
def test_a_foreign_host_gets_403(host):
    """A name that was rebound to this machine; the app is not asked."""
    app = Echo()
    assert client(app).post("/", headers={"host": host}).status_code == 403
    assert app.calls == 0


def test_two_hosts_are_refused():
    """400, as HTTP asks for: another layer might go by the second."""
    app = Echo()
    names = [("host", "localhost"), ("host", "evil.example")]
    assert client(app).post("/", headers=names).status_code == 400
    assert app.calls == 0


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3"]
)
def test_a_foreign_origin_gets_403(origin):
    """Another site's page, and another port's, too."""
    app = Echo()
    assert client(app).post("/", headers={"origin": origin}).status_code == 403
    assert app.calls == 0


def test_the_own_origin_is_served():
    """The page asks from there."""
    headers = {"origin": "http://localhost"}
    assert client(Echo()).post("/", headers=headers).status_code == 200


def test_a_server_for_all_addresses_takes_addresses_but_no_foreign_name():
    """Load balancers and probes call by address; names are allowed one by one."""
    asked = client(Echo(), hosts=allowed_hosts("0.0.0.0", ["reward.internal"]))  # noqa: S104
    for host, status in {
        "10.0.0.7:8080": 200,
        "[fe80::1]:80": 200,
        "reward.internal": 200,
        "evil.example": 403,
    }.items():
        assert asked.post("/", headers={"host": host}).status_code == status
    anyone = client(Echo(), hosts=allowed_hosts("127.0.0.1", ["*"]))
    assert anyone.post("/", headers={"host": "any.example"}).status_code == 200
    assert allowed_hosts("127.0.0.1") == LOOPBACK


def test_a_body_that_is_too_large_gets_413():
    """Announced or not, and its size is all that is kept of it."""
    app = Echo()
    asked = client(app, Bounds(body_bytes=100))
    assert asked.post("/", content=b"x" * 100).text == "100"
    assert asked.post("/", content=b"x" * 101).status_code == 413

    def parts():
        for _ in range(11):
            yield b"x" * 10

    assert asked.post("/", content=parts()).status_code == 413
    assert app.calls == 1


def test_an_answer_that_takes_too_long_gets_504():
    """And the app's work is cancelled."""
    response = client(Echo(seconds=30), Bounds(request_seconds=0.05)).post("/")
    assert response.status_code == 504
    assert "0.05 s" in response.json()["message"]


def test_an_error_of_the_app_is_logged_without_its_message(caplog):
    """Its kind and place are enough; messages may hold texts."""
    with caplog.at_level(logging.ERROR, "embrm.web"):
        response = client(Echo(error=RuntimeError("secret"))).post("/")
    assert (response.status_code, "secret" in response.text) == (500, False)
    assert "RuntimeError at test_guard.py" in caplog.text
    assert "secret" not in caplog.text


def test_websockets_are_not_served():
    """Nothing is answered."""
    app = Echo()

    async def connect():
        await Guard(app, Bounds())({"type": "websocket"}, None, None)

    asyncio.run(connect())
    assert app.calls == 0


def test_large_bodies_at_once_are_bounded():
    """503 while others hold the memory that is granted."""
    app = Echo(seconds=0.5)
    guard = Guard(app, Bounds(held_bytes=150))

    async def post(size):
        sent = []
        headers = [(b"host", b"localhost"), (b"content-length", b"%d" % size)]
        scope = {"type": "http", "path": "/", "headers": headers}

        async def receive():
            return {"type": "http.request", "body": b"x" * size}

        async def send(event):
            sent.append(event)

        await guard(scope, receive, send)
        return sent[0]["status"]

    async def both():
        first = asyncio.create_task(post(100))
        await asyncio.sleep(0.1)
        return await post(100), await first, await post(100)

    assert asyncio.run(both()) == (503, 200, 200)


def test_a_request_that_is_given_up_at_the_end_gets_503():
    """uvicorn cancels what outlasts the stop time, and would answer 500."""
    guard, sent = Guard(Echo(seconds=60), Bounds()), []

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(event):
        sent.append(event)

    async def cancelled():
        scope = {"type": "http", "path": "/", "headers": [(b"host", b"localhost")]}
        task = asyncio.create_task(guard(scope, receive, send))
        await asyncio.sleep(0.1)
        task.cancel()
        await task

    asyncio.run(cancelled())
    assert sent[0]["status"] == 503


def test_what_slow_clients_have_sent_so_far_is_bounded_too():
    """And is free again when they are refused for their slowness."""
    guard = Guard(Echo(), Bounds(held_bytes=150, body_seconds=0.3))

    async def post(*, whole):
        sent, headers = [], [(b"host", b"localhost")]
        parts = [{"type": "http.request", "body": b"x" * 100, "more_body": not whole}]

        async def receive():
            return parts.pop() if parts else await asyncio.sleep(60)

        async def send(event):
            sent.append(event)

        await guard({"type": "http", "path": "/", "headers": headers}, receive, send)
        return sent[0]["status"]

    async def both():
        slow = asyncio.create_task(post(whole=False))
        await asyncio.sleep(0.1)
        return await post(whole=True), await slow, await post(whole=True)

    assert asyncio.run(both()) == (503, 408, 200)


def test_a_token_is_read_from_its_file(tmp_path):
    """Without the line's end."""
    path = tmp_path / "key"
    path.write_text("s3cret-key\n")
    assert read_token(path) == "s3cret-key"


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff", b"a\x00b"])
def test_a_file_without_a_token_is_refused(tmp_path, content):
    """And its content is not shown."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="one token of printable ASCII"):
        read_token(path)
    with pytest.raises(InvalidInputError, match="FileNotFoundError"):
        read_token(tmp_path / "none")


def test_errors_take_the_form_of_their_callers():
    """And name the place of what is wrong, at most three."""
    assert error_content("/tei/rerank", 503, "busy")["error_type"] == "Overloaded"
    assert error_content("/v2/rerank", 422, "odd")["message"] == "odd"
    errors = [{"loc": ("body", "a", "list[str]", 3), "msg": "bad\n"}] * 5
    assert describe_validation(errors) == "; ".join(["a.3: bad\\n"] * 3)
    assert Refusal(503, "busy", retry_after=2).headers == {"retry-after": "2"}


@pytest.mark.parametrize("name", ["body_bytes", "request_seconds", "connections"])
def test_a_bound_is_positive(name):
    """Zero would refuse all."""
    with pytest.raises(InvalidInputError, match=f"{name} > 0"):
        Bounds(**{name: 0})
