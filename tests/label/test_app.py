"""The page's routes: who may ask, what they answer, and that texts stay texts."""

import re

import pytest
from fastapi.testclient import TestClient

from embrm.label.app import create_app


@pytest.fixture
def queue(out, make_queue):
    return make_queue(out)


@pytest.fixture
def client(queue):
    with TestClient(create_app(queue), base_url="http://localhost") as client:
        yield client


def label(client, pair, winner="first", **details):
    body = {"annotator": "me", "pair_id": pair["pair_id"], "winner": winner}
    return client.post("/api/label", json=body | details)


def test_a_pair_is_shown_judged_and_followed_by_the_next(client):
    """With the progress so far, and nothing that says who wrote what."""
    pair = client.get("/api/next", params={"annotator": "me"}).json()
    shown = {"pair_id", "prompt", "second_prompt", "first", "second"}
    assert set(pair) == shown | {"progress"}
    assert pair["progress"]["labels"] == 0
    after = label(client, pair, seconds=1.5).json()
    assert after["pair_id"] != pair["pair_id"]
    assert after["progress"]["mine"] == 1
    progress = client.get("/api/progress", params={"annotator": "me"}).json()
    assert progress == after["progress"]


def test_an_answer_that_was_lost_can_be_sent_again(client):
    """And another answer to the same pair is refused, with what to do."""
    pair = client.get("/api/next?annotator=me").json()
    first = label(client, pair).json()
    assert label(client, pair).json() == first
    refused = label(client, pair, "tie")
    assert refused.status_code == 409
    assert "undo it first" in refused.json()["message"]


def test_undo_shows_the_last_pair_again(client):
    """Until there is nothing to undo."""
    pair = client.get("/api/next?annotator=me").json()
    label(client, pair)
    undone = client.post("/api/undo", json={"annotator": "me"}).json()
    assert undone == pair
    assert undone["progress"]["mine"] == 0
    refused = client.post("/api/undo", json={"annotator": "me"})
    assert (refused.status_code, refused.json()["message"]) == (
        409,
        "there is nothing to undo",
    )


def test_an_undo_whose_answer_was_lost_can_be_sent_again(client):
    """It names itself: one judgement is taken back, not two."""
    pair = client.get("/api/next?annotator=me").json()
    second = label(client, pair).json()
    label(client, second)
    body = {"annotator": "me", "request": "r1"}
    answers = [client.post("/api/undo", json=body).json() for _ in range(3)]
    assert {answer["pair_id"] for answer in answers} == {second["pair_id"]}
    assert answers[-1]["progress"]["mine"] == 1


def test_a_session_ends_when_no_pair_is_left(client):
    """The last answer says so."""
    pair = client.get("/api/next?annotator=me").json()
    n = 0
    while pair["pair_id"] is not None:
        pair = label(client, pair, "skip").json()
        n += 1
    assert n == 36
    assert pair["first"] is None


def test_who_names_no_one_is_the_annotator_of_the_command(queue):
    """`--annotator NAME`: a script need not repeat it."""
    app = create_app(queue, annotator="ann")
    with TestClient(app, base_url="http://localhost") as client:
        pair = client.get("/api/next").json()
        body = {"pair_id": pair["pair_id"], "winner": "first"}
        assert client.post("/api/label", json=body).json()["progress"]["mine"] == 1
        assert [one["annotator"] for one in queue.labels()] == ["ann"]
        assert client.post("/api/undo", json={}).json()["pair_id"] == pair["pair_id"]
        assert client.get("/api/progress").json()["labels"] == 0


def test_bodies_that_are_no_judgement_are_refused(client):
    """Another winner, further fields, a strength beyond 3, a name of control signs."""
    pair = client.get("/api/next?annotator=me").json()
    for wrong in ({"winner": "left"}, {"more": 1}, {"strength": 4}, {"annotator": ""}):
        assert label(client, pair, **{"winner": "tie"} | wrong).status_code == 422
    assert label(client, pair, comment="x" * 5000).status_code == 422
    assert client.get("/api/next?annotator=a%00b").status_code == 422


def test_foreign_hosts_and_origins_are_refused(client):
    """A page elsewhere cannot label in someone's name."""
    for headers in ({"host": "evil.example"}, {"origin": "http://evil.example"}):
        answer = client.get("/api/next?annotator=me", headers=headers)
        assert answer.status_code == 403


def test_beyond_loopback_a_token_is_needed_for_all_but_the_page(queue):
    """Which its URL has behind the #, so that no server logs it."""
    app = create_app(queue, host="0.0.0.0", token="secret")  # noqa: S104, S106
    with TestClient(app, base_url="http://192.0.2.1") as client:
        assert client.get("/").status_code == 200
        assert client.get("/api/next?annotator=me").status_code == 401
        key = {"authorization": "Bearer secret"}
        assert client.get("/api/next?annotator=me", headers=key).status_code == 200


def test_the_page_loads_nothing_from_elsewhere(client):
    """Its policy forbids it, and it names no other place."""
    response = client.get("/")
    assert not re.search(r"(?:src|href)=\"(?!data:)|https?://|@import", response.text)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_the_head_is_refitted_in_the_background(out, make_queue):
    """Every few labels; what was proposed before and not seen is dropped."""
    queue = make_queue(out, warm_start=4)
    with TestClient(create_app(queue, refit_every=4), base_url="http://a") as client:
        client.headers["host"] = "localhost"
        pair = client.get("/api/next?annotator=me").json()
        for n in range(12):
            pair = label(client, pair, ["first", "second"][n % 2]).json()
        end = 200
        while queue.loop.head_ is None and end:
            import time

            time.sleep(0.05)
            end -= 1
    assert queue.loop.head_ is not None
    assert queue.loop.posterior.reward.any()
