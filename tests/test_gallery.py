"""Every example of the gallery runs, prints what its page says, and can be seen."""

import importlib.util
import re
import struct
from pathlib import Path

import pytest

PLACE = Path(__file__).resolve().parents[1] / "docs" / "gallery"
SPEC = importlib.util.spec_from_file_location("gallery_build", PLACE / "build.py")
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)

MOST_LINES, MOST_BYTES = 60, 80_000


@pytest.mark.parametrize(
    "name", [name for name in build.ORDER if name not in build.SLOW]
)
def test_an_example_prints_what_its_page_says(name):
    """In a process of its own, warnings as errors; `make test-long` runs the slow."""
    printed, picture = build.Example.read(name).run()
    shown = build.printed_on((PLACE / f"{name}.md").read_text("utf-8"))
    assert build.agree(printed.rstrip(), shown), printed
    assert size(picture) == size((PLACE / f"{name}.png").read_bytes())


def size(picture):
    """Read width and height of a PNG."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", picture[16:24])


@pytest.mark.parametrize("name", build.ORDER)
def test_a_page_is_that_of_its_script(name):
    """`python docs/gallery/build.py` writes it: code, words, a small picture."""
    example = build.Example.read(name)
    page = (PLACE / f"{name}.md").read_text("utf-8")
    assert page == example.page(build.printed_on(page))
    assert (PLACE / f"{name}.py").read_text("utf-8").count("\n") < MOST_LINES
    assert (PLACE / f"{name}.png").stat().st_size < MOST_BYTES
    assert len(example.alt) > 60


def test_the_overview_shows_every_example():
    """Each script stands in the order of the overview, and the page is up to date."""
    scripts = {path.stem for path in PLACE.glob("*.py")} - {"build"}
    assert set(build.ORDER) == scripts
    assert (PLACE / "index.md").read_text("utf-8") == build.index()
    assert set(build.SLOW) < scripts


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("a 0.701 [0.65, 0.75]", "a 0.710  [0.66, 0.75]", True),
        ("a 0.701", "a 0.801", False),
        ("a 0.701", "b 0.701", False),
        ("a 100", "a 109", True),
        ("a 100", "a 120", False),
        ("a 1 2", "a 1", False),
    ],
)
def test_outputs_agree_but_for_the_last_digits(printed, expected, same):
    """Words are equal, numbers to a tenth or 0.03."""
    assert build.agree(printed, expected) is same


@pytest.mark.parametrize("name", [*build.ORDER, "index"])
def test_every_link_of_a_page_leads_somewhere(name):
    """To other pages, scripts and pictures."""
    links = re.findall(r"\]\(([^)#]+)\)", (PLACE / f"{name}.md").read_text("utf-8"))
    assert links
    assert all((PLACE / link).exists() for link in links)
