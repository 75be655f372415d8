"""What all routes do: bounds, odd texts, fallback, operation."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from embrm.serve.settings import Gathering
from embrm.web import Bounds
from tests.serve.stubs import Blocking, Lengths, lengths_model

JSON = {"content-type": "application/json"}
ODD = ["", " ", "\x00", "\x00a\x1b[2J", "\u202eabc", "😀" * 1000, "a" * 1_000_000]


def rewards(client, response, **options):
    body = {"prompt": "Hi", "responses": [response]}
    return client.post("/v1/rewards", json=body, **options)


@pytest.mark.parametrize("text", ODD, ids=[ascii(text[:8]) for text in ODD])
def test_odd_text_gets_a_reward_or_a_reason(client, text):
    """Never a 5xx, and a refused text is not repeated."""
    response = rewards(client, text)
    assert response.status_code in (200, 422)
    if response.status_code == 422:
        assert "got" in response.json()["error"]["message"]
        assert len(response.content) < 1000


def test_a_lone_surrogate_is_refused_with_a_reason(client):
    """JSON can hold one; no encoder can."""
    body = b'{"prompt": "Hi", "responses": ["\\ud800"]}'
    response = client.post("/v1/rewards", content=body, headers=JSON)
    assert response.status_code == 422
    assert "surrogate" in response.json()["message"]


def test_an_error_repeats_nothing_of_what_was_sent(client):
    """Neither values nor unknown keys, whatever is wrong."""
    for body in (
        {"query": {"secret": "words"}, "secret": 1},
        {"query": [{"secret": 1}]},
        {"prompt": "secret", "responses": "secret"},
    ):
        for route in ("/get_reward", "/v1/rewards"):
            response = client.post(route, json=body)
            assert response.status_code == 422
            assert "secret" not in response.text


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":1e999}'],
)
def test_a_body_that_is_no_request_is_refused(client, body):
    """With a 4xx in JSON."""
    response = client.post("/v1/rewards", content=body, headers=JSON)
    assert 400 <= response.status_code < 500
    assert response.json()["error"]["message"]


def test_another_content_type_is_refused_with_the_header_to_send(client):
    """curl sends forms unless it is told otherwise."""
    response = client.post("/v1/rewards", content=b'{"prompt": "Hi"}')
    assert response.status_code == 422
    assert "Content-Type: application/json" in response.json()["message"]


def test_messages_are_classified_under_either_name(client):
    """As `messages`, or as the input; /score has its name with /v1, too."""
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "abcd"},
    ]
    for route, key in (("/classify", "probs"), ("/pooling", "data")):
        answers = [
            client.post(route, json={name: turns, "use_activation": False}).json()
            for name in ("input", "messages")
        ]
        values = [answer["data"][0][key] for answer in answers]
        assert values[0] == values[1] == pytest.approx([0.4])
    body = {"queries": "Hi", "documents": ["abcd"], "use_activation": False}
    answer = client.post("/v1/score", json=body).json()
    assert answer["data"][0]["score"] == pytest.approx(0.4)


def test_more_items_than_a_request_may_have_are_refused_before_work(serve, encoder):
    """On every route that takes lists."""
    client = serve(lengths_model(encoder), items=2)
    many = ["a", "b", "c"]
    bodies = {
        "/v1/rewards": {"prompt": "Hi", "responses": many},
        "/get_reward": {"query": many},
        "/v1/score/evaluation": {"messages": many},
        "/classify": {"input": many},
        "/pooling": {"input": many},
        "/score": {"queries": "Hi", "documents": many},
        "/rerank": {"query": "Hi", "documents": many},
        "/tei/predict": {"inputs": many},
        "/tei/rerank": {"query": "Hi", "texts": many},
        "/v1/embeddings": {"input": many},
    }
    statuses = {r: client.post(r, json=b).status_code for r, b in bodies.items()}
    assert set(statuses.values()) == {413}, statuses
    assert encoder.texts == []


def test_an_item_that_is_too_long_is_refused(serve):
    """Prompt and response count together."""
    client = serve(characters=10)
    assert rewards(client, "x" * 8).status_code == 200
    response = rewards(client, "x" * 9)
    assert response.status_code == 422
    assert "11 characters" in response.json()["message"]


def test_with_on_error_mean_a_bad_text_gets_the_mean_of_the_others(serve):
    """Finite numbers for trainers that swallow errors, and it is counted."""
    client = serve(lengths_model(Lengths(refuses=["odd"])), on_error="mean")
    body = {"query": ["abcd", "", "ab", "odd"], "prompts": None}
    answer = client.post("/get_reward", json=body).json()
    assert answer["rewards"] == pytest.approx([0.4, 0.3, 0.2, 0.3])
    # Where all fail, the mean of what was served before.
    alone = client.post("/get_reward", json={"query": [""]}).json()
    assert alone["rewards"] == pytest.approx([0.3])
    assert 'embrm_events_total{kind="fallback"} 3.0' in client.get("/metrics").text


def test_a_plain_text_is_rewarded_with_a_warning_that_is_counted(client, encoder):
    """It is a response without a prompt."""
    body = {"query": ["no template"]}
    assert client.post("/get_reward", json=body).status_code == 200
    assert encoder.texts == [("", "no template")]
    assert 'embrm_events_total{kind="plain_text"} 1.0' in client.get("/metrics").text


def test_counters_say_where_rewards_came_from(client):
    """Embedded once, remembered then; requests by route and status."""
    for _ in range(3):
        rewards(client, "Hello")
    text = client.get("/metrics").text
    assert 'embrm_items_total{stage="embedded"} 1.0' in text
    assert 'embrm_items_total{stage="remembered"} 2.0' in text
    route = 'embrm_request_seconds_count{route="/v1/rewards",status="200"} 3.0'
    assert route in text


def test_unknown_paths_are_one_series(client):
    """A scanner does not fill the memory."""
    for n in range(5):
        assert client.get(f"/secret{n}").status_code == 404
    assert "secret" not in client.get("/metrics").text


def test_the_models_route_says_what_is_served(serve):
    """Head, encoder and components."""
    client = serve({"help": lengths_model(), "harm": lengths_model()})
    (model,) = client.get("/v1/models").json()["data"]
    assert (model["id"], model["dimensions"]) == ("model", 2)
    assert model["components"] == ["help", "harm"]


def test_ready_and_health_need_no_token_and_the_rest_does(serve):
    """Probes have none."""
    client = serve(token="k3y")  # noqa: S106
    assert client.get("/health").status_code == client.get("/ready").status_code == 200
    assert rewards(client, "Hello").status_code == 401
    good = {"authorization": "Bearer k3y"}
    assert rewards(client, "Hello", headers=good).status_code == 200
    for bad in ("Bearer k3", "Basic k3y", "k3y", "Bearer"):
        response = rewards(client, "Hello", headers={"authorization": bad})
        assert response.status_code == 401
        assert "k3y" not in response.text


def test_rewards_of_a_batch_are_those_of_single_requests(client):
    """Bit for bit."""
    texts = ["a", "bb", "ccc"]
    body = {"prompt": "Hi", "responses": texts}
    together = client.post("/v1/rewards", json=body).json()["data"]
    alone = [rewards(client, text).json()["data"][0] for text in texts]
    assert [row["reward"] for row in together] == [row["reward"] for row in alone]


def test_overload_gets_503_with_a_time_to_wait(serve):
    """While the encoder works on one text, and another waits."""
    bounds = Gathering(queue_items=1, window_seconds=0)
    client = serve(lengths_model(Lengths(seconds=0.5)), gathering=bounds)
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda n: rewards(client, "x" * n), range(1, 7)))
    statuses = [response.status_code for response in done]
    assert {200, 503} == set(statuses)
    refused = done[statuses.index(503)]
    assert int(refused.headers["retry-after"]) >= 1
    assert "try later" in refused.json()["error"]["message"]


@contextmanager
def full_server(serve):
    """Yield a client whose server embeds one text while another waits."""
    encoder = Blocking()
    encoder.go.set()
    bounds = Gathering(queue_items=1, window_seconds=0)
    client = serve(lengths_model(encoder), gathering=bounds)
    assert rewards(client, "known").status_code == 200
    encoder.go.clear()
    encoder.started.clear()
    with ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(rewards, client, "in the encoder")]
        assert encoder.started.wait(10)
        taken.append(pool.submit(rewards, client, "in the queue"))
        while not client.get("/ready").json()["queued_items"]:
            time.sleep(0.01)
        try:
            yield client
        finally:
            encoder.go.set()
        assert [one.result().status_code for one in taken] == [200, 200]


def test_a_full_server_refuses_most_new_texts_unread(serve):
    """Health is answered meanwhile, and new texts again once there is room."""
    with full_server(serve) as client:
        refused = [rewards(client, f"new {n}") for n in range(100)]
        assert client.get("/health").status_code == 200
        counts = client.get("/metrics").text
    assert {response.status_code for response in refused} == {503}
    assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
    unread = 'embrm_request_seconds_count{route="other",status="503"}'
    n_unread = float(counts.partition(unread)[2].partition("\n")[0])
    assert 85 <= n_unread < 100
    assert 'embrm_events_total{kind="refused"} 100.0' in counts
    assert rewards(client, "new").status_code == 200


def test_a_full_server_answers_what_it_knows(serve):
    """Where most texts are known, all requests are read."""
    with full_server(serve) as client:
        statuses = [rewards(client, "known").status_code for _ in range(50)]
        statuses += [rewards(client, "new").status_code for _ in range(10)]
    assert statuses == [200] * 50 + [503] * 10


def test_a_request_that_takes_too_long_gets_504(serve):
    """And says what to do."""
    bounds = Bounds(request_seconds=0.2)
    client = serve(lengths_model(Lengths(seconds=1.0)), bounds=bounds)
    response = rewards(client, "Hello")
    assert response.status_code == 504
    assert "send fewer items" in response.json()["message"]


def test_nan_in_a_body_that_is_sent_back_is_refused(client):
    """NeMo-Gym's answer repeats the request, and JSON has no NaN."""
    body = {
        "responses_create_params": {"input": "Hi"},
        "response": {"output": [{"type": "message", "content": "Hello"}]},
        "extra": float("nan"),
    }
    content = json.dumps(body)
    assert client.post("/verify", content=content, headers=JSON).status_code == 422


@pytest.mark.parametrize("wrong", ["null", "{}", "[]", "1"])
def test_of_many_wrong_elements_the_first_is_told(client, wrong):
    """Listing a million errors stopped the server for 20 seconds."""
    body = f'{{"query": [{",".join([wrong] * 200_000)}]}}'
    response = client.post("/get_reward", content=body, headers=JSON)
    assert response.status_code == 422
    assert response.json()["message"].count("query.") == 1


def test_lists_are_bounded_where_their_elements_are_no_items(client):
    """413 for more parts than any message has: each takes microseconds to read."""
    parts = [{}] * 100_001
    turns = [{"role": "user", "content": parts}]
    body = {"items": [{"prompt": turns, "response": "abc"}]}
    response = client.post("/v1/rewards", json=body)
    assert response.status_code == 413
    assert "at most 100000 items" in response.json()["message"]
