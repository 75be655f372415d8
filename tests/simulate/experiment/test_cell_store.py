"""cell_store: finished cells come back bit for bit, or not at all."""

import json

import pytest

from embrm.exceptions import EmbrmError, EmbrmWarning
from embrm.simulate.experiment.canonical import digest_of
from embrm.simulate.experiment.cell_store import CellRecord, CellStore

CONTENT = {"head": "linear", "seed": 1}
KEY = digest_of(CONTENT)
RECORD = CellRecord({"a": 0.1 + 0.2, "n": 3, "words": "é"}, {"fit_seconds": 1.5})


@pytest.fixture
def store(tmp_path):
    """A store with one cell."""
    store = CellStore.create(tmp_path / "cells")
    store.save(CONTENT, RECORD)
    return store


def test_a_stored_cell_comes_back(store):
    """Every bit of every number, and seconds."""
    assert store.load(KEY) == RECORD


def test_nan_comes_back(store):
    """A metric that is undefined stays so, though JSON has no NaN."""
    store.save({"n": 2}, CellRecord({"a": float("nan"), "b": 1.0}, {}))
    row = store.load(digest_of({"n": 2})).row
    assert row["a"] != row["a"]
    assert row["b"] == 1.0


def test_a_cell_that_was_never_stored_is_none(store):
    """No warning: it is merely new."""
    assert store.load("0" * 32) is None


@pytest.mark.parametrize("at", ["half", "none", "digit", "list", "other"])
def test_a_damaged_cell_is_not_trusted(store, at):
    """Truncated, emptied, changed, foreign or misnamed files count as absent."""
    path = store.path(KEY)
    whole = path.read_bytes()
    store.save({"n": 2}, RECORD)
    path.write_bytes(
        {
            "half": whole[: len(whole) // 2],
            "none": b"",
            "digit": whole.replace(b"1.5", b"1.6"),
            "list": b"[]",
            "other": store.path(digest_of({"n": 2})).read_bytes(),
        }[at]
    )
    with pytest.warns(EmbrmWarning, match="damaged; it is computed anew"):
        assert store.load(KEY) is None


def test_a_cell_says_what_it_is_of(store):
    """The file can be read by people."""
    assert json.loads(store.path(KEY).read_bytes())["cell"]["content"] == CONTENT


def test_a_directory_that_cannot_be_made_is_an_error_with_a_cure(tmp_path):
    """A file stands where the directory should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbrmError, match=r"to store cells in .*To mend"):
        CellStore.create(tmp_path / "file" / "cells")
