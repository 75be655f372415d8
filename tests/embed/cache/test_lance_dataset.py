"""A Lance dataset is there whole or not at all, and synced."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from embrm.embed.cache import export
from embrm.embed.cache.lance_dataset import size_on_disk
from embrm.exceptions import EmbrmError, InvalidInputError, MissingDependencyError


@pytest.fixture
def lance(monkeypatch):
    """Stands for the package, which is large: writes two files below a directory."""

    def write_dataset(reader, uri):
        lance.rows = reader.read_all()
        (Path(uri) / "data").mkdir(parents=True)
        (Path(uri) / "data" / "0.lance").write_bytes(b"x" * 100)
        (Path(uri) / "_latest").write_bytes(b"y" * 20)

    lance = SimpleNamespace(write_dataset=write_dataset)
    monkeypatch.setitem(sys.modules, "lance", lance)
    return lance


def test_a_dataset_is_written(store, rows, tmp_path, lance):
    """Claim: keys and vectors as in the other tables; the size is that of all files."""
    store.append(*rows())
    report = export(store, tmp_path / "out.lance")
    assert (report.n_rows, report.n_bytes) == (5, 120)
    assert lance.rows["vector"].to_pylist() == rows()[1].tolist()
    assert lance.rows["key"].to_pylist() == [bytes(key).hex() for key in rows()[0]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out.lance"]


def test_everything_is_synced_before_it_has_its_name(
    store, tmp_path, lance, monkeypatch
):
    """Claim: files and directories, as Lance itself syncs nothing."""
    synced, real = [], os.fsync

    def fsync(handle):
        assert not (tmp_path / "out.lance").exists() or len(synced) == 4
        synced.append(handle)
        real(handle)

    monkeypatch.setattr("os.fsync", fsync)
    export(store, tmp_path / "out.lance")
    assert len(synced) == 5


def test_without_lance_the_extra_is_named(store, tmp_path, monkeypatch):
    """Claim: the cure can be pasted."""
    monkeypatch.setitem(sys.modules, "lance", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'embrm\[lance\]'"):
        export(store, tmp_path / "out.lance")


def test_an_existing_dataset_is_refused(store, tmp_path, lance):
    """Claim: a directory is never replaced."""
    (tmp_path / "out.lance").mkdir()
    with pytest.raises(InvalidInputError, match=r"not exist yet; got .*out\.lance"):
        export(store, tmp_path / "out.lance")


def test_a_failed_export_leaves_nothing(store, tmp_path, lance, monkeypatch):
    """Claim: after an error of the disk there is no half dataset."""

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EmbrmError, match="ENOSPC"):
        export(store, tmp_path / "out.lance")
    assert list(tmp_path.iterdir()) == []


def test_the_size_of_a_file_is_its_own(tmp_path):
    """Claim: also of what is no directory."""
    (tmp_path / "x").write_bytes(b"abc")
    assert size_on_disk(tmp_path / "x") == 3
