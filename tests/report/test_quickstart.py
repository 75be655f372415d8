"""The quickstart data is found in a checkout and inside a wheel."""

import pytest

import embrm
from embrm.exceptions import DataError
from embrm.report import quickstart_path


def test_it_is_found_beside_the_package():
    """In a checkout it is data/quickstart.jsonl."""
    assert quickstart_path().parent.name == "data"
    assert quickstart_path().is_file()


def test_it_is_found_inside_the_package(tmp_path, monkeypatch):
    """A wheel carries it inside embrm/data."""
    package = tmp_path / "site" / "embrm"
    (package / "data").mkdir(parents=True)
    (package / "data" / "quickstart.jsonl").write_text("{}\n")
    monkeypatch.setattr(embrm, "__file__", str(package / "__init__.py"))
    assert quickstart_path() == package / "data" / "quickstart.jsonl"


def test_its_absence_is_an_error_with_a_fix(tmp_path, monkeypatch):
    """The error says what to pass instead."""
    monkeypatch.setattr(embrm, "__file__", str(tmp_path / "embrm" / "__init__.py"))
    with pytest.raises(DataError, match="pass --data FILE"):
        quickstart_path()
