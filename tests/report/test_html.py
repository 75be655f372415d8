"""The report is one self-contained page."""

import re
from html.parser import HTMLParser

import pytest

from embrm import RewardModel
from embrm.report import write_report


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
    return write_report(path, board, preferences, embedded, fingerprint)


def _fingerprint():
    from embrm.embed.registry import make_encoder

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
    """Leaderboard, ruler, account and fingerprint are all there."""
    text = " ".join("".join(read.text).split())
    for words in (*board.evaluations, "length ruler", "60 kept", "hashing"):
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
    assert len(images) == 3
    assert all(re.search(r'alt="[^"]{10,}"', image) for image in images)
