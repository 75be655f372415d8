"""The page about policies says what is so."""

import doctest
import re
from importlib import import_module
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policy.md"


def test_examples_of_the_page_run():
    """All of them, with what they print."""
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testfile(str(PAGE), module_relative=False, optionflags=flags)
    assert result.attempted > 20
    assert result.failed == 0


def test_functions_of_the_table_are_there():
    """Every dotted name of a room leads to something."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    names = re.findall(r"`((?:policy|heads|evaluate)\.[\w.]+)", "\n".join(lines))
    assert len(names) > 15
    for name in names:
        path, _, last = name.rpartition(".")
        try:
            import_module(f"embrm.{name}")
        except ModuleNotFoundError:
            assert hasattr(import_module(f"embrm.{path}"), last), name
