"""The page of a diagnosis is self-contained, escaped, and says what the text says."""

from html.parser import HTMLParser

import pytest

from embrm.datasets import diagnose, read_preferences
from embrm.report import write_data_page

HOSTILE = "\x1b[31m<script>alert(1)</script> & <b>bold</b>"


class Reader(HTMLParser):
    """Collects tags and text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text, self.links = set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def diagnosis():
    rows = [
        {
            "prompt": HOSTILE,
            "chosen": "x" * 4000,
            "rejected": HOSTILE,
            "annotator": "a",
        },
        {
            "prompt": HOSTILE,
            "chosen": HOSTILE,
            "rejected": "x" * 4000,
            "annotator": "b",
        },
        {"prompt": "Is it so?", "chosen": "Yes.", "rejected": "No.\nNot at all."},
    ]
    return diagnose(read_preferences(rows), probability=[0.9, 0.1, 0.9])


@pytest.fixture(scope="module")
def page(diagnosis, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "deep" / "data.html"
    reader = Reader()
    reader.feed(write_data_page(path, diagnosis).read_text(encoding="utf-8"))
    return reader


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(page):
    """No script, image or link; markup of the data is text."""
    assert {"script", "link", "img", "iframe", "b"}.isdisjoint(page.tags)
    assert page.links == []
    assert any("<script>alert(1)</script>" in text for text in page.text)
    assert not any("\x1b" in text for text in page.text)


def test_findings_facts_and_suspicious_labels_are_there(page, diagnosis):
    """Every finding, every fact of every section, the label that looks wrong."""
    shown = " ".join(" ".join(page.text).split())
    for finding in diagnosis.findings:
        assert finding.message in shown
    assert "1 of 3 labels" in shown
    assert "held-out probability 0.100" in shown
    assert "length baseline" in shown


def test_long_texts_are_shortened_and_lines_are_kept(page):
    """The beginning and the end of 4,000 characters."""
    (shortened, *_) = [text for text in page.text if text.startswith("xxx")]
    assert shortened == "x" * 750 + "\n[...]\n" + "x" * 750
    assert "No.\nNot at all." in page.text
