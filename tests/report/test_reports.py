"""The report is one self-contained page."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from embrm import RewardModel
from embrm.report import write_report
from embrm.report.comparison import telling_rankings


class Reader(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self):
        super().__init__()
        self.tags, self.sources, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page(board, preferences, embedded, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    fingerprint = RewardModel("hashing:64").embed([("a", "b")]) and _fingerprint()
    vectors = {"hashing": (embedded, fingerprint)}
    return write_report(path, board, preferences, vectors)


def _fingerprint():
    from embrm.embed import make_encoder

    return make_encoder("hashing:64").fingerprint


@pytest.fixture(scope="module")
def read(page):
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader


def test_the_page_needs_nothing_from_elsewhere(read):
    """No script, no link, no image that is not inside the file."""
    assert {"script", "link", "iframe"}.isdisjoint(read.tags)
    assert read.sources
    assert all(source.startswith("data:image/png;base64,") for source in read.sources)


def test_texts_from_the_data_are_escaped(read, page):
    """Markup in prompts and responses is shown, not obeyed."""
    assert "i" not in read.tags
    assert "b" not in read.tags
    assert "<i>question</i>" in "".join(read.text)


def test_the_page_names_heads_figures_and_encoder(read, board):
    """Leaderboard, baseline, account and fingerprint are all there."""
    text = " ".join("".join(read.text).split())
    for words in (*board.evaluations, "length baseline", "60 kept", "hashing"):
        assert words in text
    estimate = board.evaluations[board.best].order_consistency.estimate
    assert f"{estimate:.3f}" in text


def test_the_page_is_made_for_phones(page):
    """It sets the viewport, and its pictures and tables cannot overflow it."""
    source = page.read_text(encoding="utf-8")
    assert 'name="viewport"' in source
    assert "max-width: 100%" in source
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", source)


def test_every_picture_has_a_description(page):
    """Images carry alternative text."""
    source = page.read_text(encoding="utf-8")
    images = re.findall(r"<img [^>]*>", source)
    assert len(images) == 5
    assert all(re.search(r'alt="[^"]{10,}"', image) for image in images)


def make(scores, rewards):
    rows = [
        {"prompt": f"p{p}", "response": f"r{p}{k}", "score": float(score)}
        for p, group in enumerate(scores)
        for k, score in enumerate(group)
    ]
    preferences = RewardModel("hashing").read(rows)
    return telling_rankings(preferences, np.concatenate(rewards), n_each=1)


def test_the_best_and_the_worst_agreement_are_chosen():
    """One prompt in perfect order, one in reverse."""
    scores = [[0, 1, 2]] * 3
    rewards = [[1.0, 0.0, 2.0], [0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]
    chosen = make(scores, rewards)
    assert [example["prompt"] for example in chosen] == ["p1", "p2"]


def test_responses_stand_from_the_highest_reward_down():
    """Each response comes with its score and reward."""
    scores = [[0, 1, 2]] * 2
    first, second = make(scores, [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    assert [r["score"] for r in first["responses"]] == ["2", "1", "0"]
    assert [r["score"] for r in second["responses"]] == ["0", "1", "2"]
    assert first["responses"][0]["reward"] == "+2.00"


def test_unknown_rewards_are_passed_over():
    """Items that no fold held out are not shown."""
    scores = [[0, 1, 2]] * 3
    rewards = [[np.nan] * 3, [0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]
    assert [example["prompt"] for example in make(scores, rewards)] == ["p1", "p2"]


def test_without_scores_nothing_is_shown():
    """Chosen/rejected data have no grades to agree with."""
    rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}]
    preferences = RewardModel("hashing").read(rows)
    assert telling_rankings(preferences, np.zeros(2)) == []
