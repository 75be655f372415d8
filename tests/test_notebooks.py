"""The tutorial notebooks run from top to bottom, and print what is stored in them."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "docs" / "notebooks"
MOST_BYTES = 80_000


def load(path):
    """Import a script that is in no package."""
    spec = importlib.util.spec_from_file_location(path.parent.name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run, gallery = load(PLACE / "run.py"), load(ROOT / "docs" / "gallery" / "build.py")


def stored(name):
    """Read a notebook as it is in the repository."""
    import nbformat

    return nbformat.read(PLACE / f"{name}.ipynb", as_version=4)


@pytest.mark.parametrize("name", run.ORDER)
# Of the client's sockets, which are closed when they are collected.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_notebook_prints_what_is_stored(name):
    """In a new kernel and an empty directory; a cell that raises ends the test."""
    before = stored(name)
    assert run.printed(before)
    again = run.executed(name)
    assert gallery.agree(run.printed(again), run.printed(before)), run.printed(again)


@pytest.mark.parametrize("name", run.ORDER)
def test_a_notebook_is_small_and_its_page_is_the_same(name):
    """`python docs/notebooks/run.py` writes both; every picture has words."""
    path = PLACE / f"{name}.ipynb"
    text, pictures = run.page(stored(name), name)
    assert (PLACE / f"{name}.md").read_text("utf-8") == text
    for file, picture in pictures.items():
        assert (PLACE / file).read_bytes() == picture
        assert "![The picture: " in text
    assert path.stat().st_size < MOST_BYTES
    cells = json.loads(path.read_text("utf-8"))["cells"]
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_every_notebook_is_run():
    """None is forgotten in the order."""
    assert {path.stem for path in PLACE.glob("*.ipynb")} == set(run.ORDER)
