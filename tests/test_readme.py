"""The README says what is so."""

import re

import pytest
from typer.main import get_command

from embrm.cli.app import app
from embrm.cli.formats import as_markdown
from embrm.datasets import known_formats
from tests.pages import ROOT, blocks, is_alike, links, run_python

README = (ROOT / "README.md").read_text("utf-8")


def test_it_is_one_screen():
    """Under 6 kB; everything else has a page."""
    assert len(README.encode()) < 6000


def test_its_python_runs_and_prints_what_it_shows(tmp_path):
    """Both examples, from top to bottom; last digits depend on the processor."""
    found = run_python(README, tmp_path)
    assert len(found) == 2
    for output, shown in found:
        assert is_alike(output, shown), output


def test_the_output_of_the_demo_is_in_its_form(tmp_path):
    """Figures stand in columns of the heading that the command prints."""
    (shown,) = [text for text in blocks(README, "text") if "95% intervals" in text]
    row = r"(?:\w+ on \w+(?: =)?|length baseline) +0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]"
    assert len(re.findall(rf"^{row}", shown, flags=re.MULTILINE)) >= 4


@pytest.mark.parametrize("target", sorted(set(links(README))))
def test_every_link_leads_somewhere(target):
    """Pages, the picture, the licence and the citation."""
    assert (ROOT / target).exists()


def test_its_picture_says_what_it_shows():
    """A text for those who cannot see it."""
    pictures = re.findall(r"!\[(.*?)\]\(docs/pictures/[\w-]+\.png\)", README)
    assert pictures
    assert all(len(words) > 60 for words in pictures)


def test_every_make_target_that_is_named_exists():
    """`make demo`, `make test`, `make docs`."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    named = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", README, re.MULTILINE))
    assert {one or other for one, other in named} <= targets


def test_the_tour_of_the_commands_names_every_command():
    """docs/command-line.md, which the README leaves them to."""
    tour = (ROOT / "docs/command-line.md").read_text("utf-8")
    shown = {name for name, one in get_command(app).commands.items() if not one.hidden}
    assert {name for name in shown if f"embrm {name}" not in tour} == set()


def test_the_table_of_formats_is_that_of_the_registry():
    """The page of formats is what `embrm formats --markdown` writes."""
    page = (ROOT / "docs/formats.md").read_text("utf-8")
    written = page[page.index("| format |") :]
    assert written.strip() == as_markdown(known_formats().values()).strip()
