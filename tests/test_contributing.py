"""The pages for contributors say what is so: their examples keep the contracts."""

import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from embrm.datasets import formats, read_preferences
from embrm.datasets.formats import known_formats
from embrm.evaluate.suites import registry as suites
from embrm.evaluate.suites import score_suite, suite_items
from embrm.heads import known_heads
from embrm.heads import registry as heads
from embrm.testing import check_head

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "docs" / "contributing"
PAGES = {page.stem: page.read_text("utf-8") for page in sorted(PLACE.glob("*.md"))}
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))


@pytest.fixture
def ran(tmp_path):
    """Run the Python of a page from top to bottom; return the names it defines."""

    def run(page):
        script = tmp_path / f"{page}.py"
        script.write_text("\n".join(_blocks(PAGES[page])), "utf-8")
        return runpy.run_path(str(script))

    return run


def _blocks(text):
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_head_of_the_page_keeps_every_promise_once_registered(ran, monkeypatch):
    """Those about saving too, which the page leaves to its entry in the registry."""
    names = ran("head")
    entry, head = names["entry"], names["MeanDifference"]
    module, _, name = entry.place.partition(":")
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{name: head}))
    monkeypatch.setitem(heads._BY_NAME, entry.name, entry)
    monkeypatch.setitem(heads._BY_CLASS, entry.class_name, entry)
    check_head(head())
    assert known_heads()["mean-difference"] is head


@pytest.mark.parametrize(
    ("name", "row", "pairs"),
    [
        (
            "TASTING",
            {
                "dish": "Pancakes",
                "recipe_left": "Flour, milk, eggs.",
                "recipe_right": "Flour.",
                "liked": "right",
            },
            [("Flour, milk, eggs.", "Flour.", 0.0)],
        ),
        (
            "PODIUM",
            {"question": "2+2?", "gold": "4", "silver": "5", "bronze": "six"},
            [("4", "5", 1.0), ("4", "six", 1.0), ("5", "six", 1.0)],
        ),
    ],
)
def test_the_formats_of_the_page_read_files_once_registered(
    ran, monkeypatch, name, row, pairs
):
    """They are recognised, taken by no other format, and say what the row says."""
    fmt = ran("format")[name]
    assert not any(known.detect(row) for known in known_formats().values())
    # A copy, so that the format is gone again for the next test.
    monkeypatch.setattr(formats, "_FORMATS", {**formats._FORMATS, fmt.name: fmt})
    read = read_preferences([row])
    responses = read.items["response"].to_numpy()
    first, second = (responses[read.pairs[side]] for side in ("first", "second"))
    assert read.read_report.format == fmt.name
    assert list(zip(first, second, read.y, strict=True)) == pairs


def test_the_suite_of_the_page_scores_once_registered(ran, monkeypatch):
    """By hand: law has one of two, art one and a half; a missing score is partial."""
    names = ran("suite")
    monkeypatch.setitem(suites._SUITES, "two-answers", names["suite"])
    rows, scores = names["rows"], names["scores"]
    assert score_suite("two-answers", rows, scores).overall == (0.5 + 0.75) / 2
    assert score_suite("two-answers", rows, scores[1:]).partial
    texts = pd.DataFrame({"question": ["q"], "true_answer": ["a"], "false_answer": "b"})
    assert suite_items("two-answers", texts)["good"].tolist() == [1.0, 0.0]


def test_the_strategy_of_the_page_proposes_the_least_certain_pairs(ran, capsys):
    """Its value falls with distance in standard deviations, and the loop takes it."""
    names = ran("strategy")
    candidates, posterior = names["candidates"], names["posterior"]
    values = names["TurnAround"]().values(candidates, posterior)
    apart = abs(posterior.delta(candidates.ids)) / posterior.std(candidates.ids)
    assert values.max() <= 0.5
    assert apart[values.argmax()] == apart.min()
    assert "random labels" in capsys.readouterr().out


def test_the_error_of_the_overview_is_written_so(ran, capsys):
    """In three parts, as the page shows it."""
    ran("README")
    assert f"```text\n{capsys.readouterr().out}```" in PAGES["README"]


@pytest.mark.parametrize(
    "page", [*PAGES, "../../CONTRIBUTING", "../../CODE_OF_CONDUCT"]
)
def test_every_link_and_file_that_a_page_names_exists(page):
    """Relative links, and files in the text that are there today."""
    path = PLACE / f"{page}.md"
    text = path.read_text("utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text)
    named = re.findall(r"`((?:embrm|tests|docs|benchmarks)/[\w./-]+)`", text)
    new = {"embrm/heads/mean_difference.py", "embrm/evaluate/suites/two_answers.py"}
    missing = [link for link in links if not (path.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert set(missing) <= new


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_issue_template_has_a_name_and_a_purpose(path):
    """In the head that the forge reads."""
    head = yaml.safe_load(path.read_text("utf-8").split("---\n")[1])
    assert {"name", "about", "labels"} == set(head)
    assert {path.stem for path in TEMPLATES} == {"bug", "feature", "format"}
