"""A remote model answers as a local one, and tries again what may pass."""

import pickle
import time

import pandas as pd
import pytest

from embrm import load_model
from embrm.exceptions import DataError, EmbrmError, InvalidInputError
from embrm.integrations import RemoteRewardModel
from embrm.serve.app import create_app
from embrm.serve.settings import Settings
from tests.serve.stubs import Tenth, lengths_model

ITEMS = pd.DataFrame(
    {
        "prompt": ["p1", "p1", "p2", "p2"],
        "response": ["good", "bad", "so so", "good good"],
    },
    index=list("abcd"),
)


def test_a_remote_model_has_the_rewards_ranks_and_picks_of_the_local_one(
    running, model_dir
):
    """Bit for bit, with the frame's index."""
    app = create_app(load_model(model_dir), Settings({}))
    local, remote = load_model(model_dir), RemoteRewardModel(running(app))
    alone = pd.concat([local.reward(ITEMS.iloc[[n]]) for n in range(4)])
    pd.testing.assert_series_equal(remote.reward(ITEMS), alone, check_exact=True)
    pd.testing.assert_series_equal(
        remote.rank(ITEMS)["rank"], local.rank(ITEMS)["rank"]
    )
    assert list(remote.best_of_n(ITEMS).index) == list(local.best_of_n(ITEMS).index)


def test_many_items_go_in_several_requests_in_their_order(url):
    """Column names as in a local model; no items, no request."""
    remote = RemoteRewardModel(url, batch_items=7, columns={"response": "text"})
    frame = pd.DataFrame({"prompt": "p", "text": ["x" * n for n in range(1, 51)]})
    expected = [n / 10 for n in range(1, 51)]
    assert remote.reward(frame).tolist() == pytest.approx(expected)
    assert remote.reward(frame[:0]).tolist() == []


def test_components_come_by_their_names(running):
    """Where the server has several models."""
    models = {"reward": lengths_model(), "short": lengths_model(head=Tenth(-1.0))}
    remote = RemoteRewardModel(running(create_app(models, Settings({}))))
    assert remote.rewards([("p", "abc")]) == {"reward": [0.3], "short": [-0.3]}


def test_a_key_is_sent_and_not_shown(running):
    """Without it the request is refused, and not tried again."""
    app = create_app(lengths_model(), Settings({}), token="k3y")  # noqa: S106
    url = running(app)
    remote = RemoteRewardModel(url, api_key="k3y")
    assert remote.rewards([("p", "abc")])["reward"] == [0.3]
    assert "k3y" not in repr(remote)
    with pytest.raises(InvalidInputError, match="Authorization"):
        RemoteRewardModel(url).rewards([("p", "abc")])


def test_a_remote_model_can_be_pickled_after_use(url):
    """Connections stay behind."""
    remote = RemoteRewardModel(url)
    remote.rewards([("p", "abc")])
    again = pickle.loads(pickle.dumps(remote))
    assert again.rewards([("p", "abc")]) == remote.rewards([("p", "abc")])


class Failing:
    """Answers with statuses in turn, then with rewards."""

    def __init__(self, *statuses, seconds=0.0):
        self.statuses, self.asked, self.seconds = list(statuses), 0, seconds

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        self.asked += 1
        status = self.statuses.pop(0) if self.statuses else 200
        body = b'{"data": [{"reward": 1.5}]}'
        if status != 200:
            body = b'{"error": {"message": "not now\\u001b[2J"}}'
        headers = [(b"content-length", b"%d" % len(body)), (b"retry-after", b"0")]
        await send(
            {"type": "http.response.start", "status": status, "headers": headers}
        )
        await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_may_pass_is_tried_again(running, status):
    """After as long as the server asks for."""
    app = Failing(status, status)
    assert RemoteRewardModel(running(app)).rewards([("p", "r")])["reward"] == [1.5]
    assert app.asked == 3


def test_what_will_not_pass_is_not_tried_again(running):
    """And the server's words arrive without control characters."""
    app = Failing(422)
    with pytest.raises(DataError, match="not now") as caught:
        RemoteRewardModel(running(app)).rewards([("p", "r")])
    assert (app.asked, "\x1b" in str(caught.value)) == (1, False)


def test_tries_and_time_are_bounded(running):
    """The error says what was met last."""
    app = Failing(*[503] * 50)
    url = running(app)
    with pytest.raises(EmbrmError, match="2 tries; got status 503"):
        RemoteRewardModel(url, tries=2).rewards([("p", "r")])
    started = time.monotonic()
    with pytest.raises(EmbrmError, match=r"within 0\.3 s"):
        RemoteRewardModel("http://127.0.0.1:9", timeout=0.3).rewards([("p", "r")])
    assert time.monotonic() - started < 5


def test_what_is_no_url_is_refused():
    """A directory is for load_model."""
    with pytest.raises(InvalidInputError, match="a URL of a reward server"):
        RemoteRewardModel("model")


def test_a_text_that_is_missing_is_refused_before_a_request():
    """As a local model refuses it."""
    frame = pd.DataFrame({"prompt": ["p"], "response": [None]})
    with pytest.raises(DataError, match="response"):
        RemoteRewardModel("http://127.0.0.1:9").reward(frame)
