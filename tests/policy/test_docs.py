"""The page about policies says what is so."""

import doctest
import inspect
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


def test_every_function_of_the_table_has_an_example():
    """Its docstring has one, which the tests of its module run."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    names = re.findall(r"`(embrm\.[\w.]+)", "\n".join(lines))
    assert len(names) > 60
    for name in names:
        path, _, last = name.rpartition(".")
        found = getattr(import_module(path), last)
        assert ">>>" in (inspect.getdoc(found) or ""), name
