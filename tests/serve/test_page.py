"""The page shows rewards and what they rest on: offline, in a browser, on a phone."""

import re
import shutil
import subprocess

import pandas as pd
import pytest

from embrm import RewardModel
from embrm.datasets import read_pairs
from embrm.serve.app import create_app
from embrm.serve.evidence import Evidence
from tests.serve.stubs import lengths_model

ROWS = pd.DataFrame(
    {
        "prompt": [f"question {n % 12}" for n in range(36)],
        "chosen": [f"a good answer {n}" for n in range(36)],
        "rejected": [f"a bad reply {n}" for n in range(36)],
    }
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--virtual-time-budget=8000", "--dump-dom"),
)


@pytest.fixture
def trained():
    """A model with what it was fitted on."""
    return RewardModel("hashing:2048").fit(ROWS), read_pairs(ROWS)


@pytest.fixture
def browse(tmp_path):
    """Open a URL in headless Chromium; return the page as it is then."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, "install Chromium, or leave these out with -m 'not browser'"

    def open_page(url, size="1100,900"):
        done = subprocess.run(
            [
                *(found, *FLAGS, f"--window-size={size}"),
                *(f"--user-data-dir={tmp_path}", url),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    return open_page


def test_the_page_loads_nothing_from_elsewhere(client):
    """Its policy forbids it, and it names no other place."""
    response = client.get("/")
    assert response.status_code == 200
    assert not re.search(r"(?:src|href)=|https?://|@import|url\(", response.text)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_the_list_of_routes_needs_no_network(client):
    """Each with a curl line."""
    text = client.get("/docs").text
    assert text.count("curl http://localhost") >= 15
    assert "/get_reward" in text
    assert "<script" not in text


@pytest.mark.browser
def test_a_browser_shows_ranks_intervals_and_evidence(running, browse, trained):
    """The example is rewarded, best first; wide and as narrow as a phone."""
    model, training = trained
    url = running(create_app(model, training=training))
    for size in ("1100,900", "390,844"):
        page = browse(f"{url}/#example", size)
        assert page.index("Rank 1") < page.index("Rank 2")
        assert "95%: " in page
        assert page.count("Nearest training pairs</summary>") == 2
        assert "question " in page
        assert "explains" in page


@pytest.mark.browser
def test_a_browser_shows_why_a_request_was_refused(running, browse):
    """And asks for the key where one is needed."""
    page = browse(f"{running(create_app(lengths_model(), token='k'))}/#example")  # noqa: S106
    assert "Authorization: Bearer KEY" in page
    assert 'id="locked">' in page


@pytest.mark.browser
def test_texts_are_shown_as_text(running, browse, trained):
    """Markup in training data is not markup of the page."""
    rows = ROWS.assign(chosen=ROWS["chosen"] + "<img src=x onerror=alert(1)>")
    training = read_pairs(rows)
    model = RewardModel("hashing:64").fit(rows)
    page = browse(f"{running(create_app(model, training=training))}/#example")
    assert "&lt;img src=x" in page
    assert "<img" not in page


def test_the_nearest_training_pair_of_a_training_item_is_its_own(trained):
    """Similarity 1, not outside; three pairs of three prompts."""
    model, training = trained
    evidence = Evidence.of(model, training)
    text = training.texts[0]
    vectors = model.embed([text, ("zzz", "qqq xxx yyy")]).vectors
    own, other = evidence.explain([text, ("zzz", "qqq")], vectors, [0.0, 1.0])
    assert own["similarity"] == pytest.approx(1.0)
    assert own["nearest"][0]["first"] == text[1]
    assert len({pair["prompt"] for pair in own["nearest"]}) == 3
    assert (own["outside"], other["outside"]) == (False, True)


def test_style_shares_are_shares_and_follow_style():
    """One for a reward of counts alone, little for a reward that ignores them."""
    rows = pd.DataFrame(
        {
            "prompt": [f"p{n // 2}" for n in range(80)],
            "chosen": ["x " * (n % 7 + 20) for n in range(80)],
            "rejected": ["x " * (n % 5 + 1) for n in range(80)],
        }
    ).drop_duplicates()
    model = lengths_model()
    evidence = Evidence.of(model, read_pairs(rows))
    texts = [("p", "x " * 5), ("p", "x " * 20), ("p", "x " * 25)]
    vectors = model.embed(texts).vectors
    rewards = [len(response) / 10 for _, response in texts]
    shares = [one["style_share"] for one in evidence.explain(texts, vectors, rewards)]
    assert min(shares) > 0.5
    against = [-reward * 100 for reward in rewards]
    shares = [one["style_share"] for one in evidence.explain(texts, vectors, against)]
    assert max(shares) < 0.1
    (single,) = evidence.explain(texts[:1], vectors[:1], [1.0])
    assert single["style_share"] is None


def test_explaining_needs_no_training_data(client):
    """The evidence is null then."""
    body = {"prompt": "Hi", "responses": ["abc", "a"]}
    rows = client.post("/v1/explain", json=body).json()["data"]
    assert [row["rank"] for row in rows] == [1, 2]
    assert [row["evidence"] for row in rows] == [None, None]
