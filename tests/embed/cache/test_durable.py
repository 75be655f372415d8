"""A durable write is whole or did not happen."""

import errno
import os

import pytest

from embrm.embed.cache.durable import (
    make_directory,
    storage_errors,
    sync_directory,
    write_durably,
)
from embrm.exceptions import EmbrmError


def refuse(code):
    def call(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return call


def test_a_write_leaves_one_file_with_the_bytes(tmp_path):
    """Claim: nothing temporary remains."""
    write_durably(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [
        ("a", b"new")
    ]


@pytest.mark.parametrize("call", ["io.open", "os.fsync", "os.replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, call, code
):
    """Claim: whichever call fails, the old bytes stay and no temporary file does."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(call, refuse(code))
        with pytest.raises(OSError, match=os.strerror(code)):
            write_durably(path, b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
    assert path.read_bytes() == b"old"


def test_the_file_and_its_directory_are_synced_in_this_order(tmp_path, monkeypatch):
    """Claim: contents, then the rename, then the name are made durable."""
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda fd: (calls.append("sync"), fsync(fd)))
    monkeypatch.setattr("os.replace", lambda a, b: (calls.append("to"), replace(a, b)))
    write_durably(tmp_path / "a", b"new")
    assert calls == ["sync", "to", "sync"]


def test_a_file_system_that_cannot_sync_directories_is_accepted(tmp_path, monkeypatch):
    """Claim: EINVAL from the sync of a directory is no error."""
    monkeypatch.setattr("os.fsync", refuse(errno.EINVAL))
    sync_directory(tmp_path)


def test_a_failed_sync_of_a_directory_is_an_error(tmp_path, monkeypatch):
    """Claim: every other failure is passed on."""
    monkeypatch.setattr("os.fsync", refuse(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        sync_directory(tmp_path)


def test_parents_are_made_too(tmp_path):
    """Claim: a deep directory is made, and made again without complaint."""
    for _ in range(2):
        make_directory(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (errno.ENOSPC, "free space and run again"),
        (errno.EACCES, "make the directory writable"),
        (errno.EROFS, "make the directory writable"),
        (errno.EMFILE, "raise the limit of open files"),
        (errno.EIO, "check the disk"),
    ],
)
def test_a_system_error_becomes_advice(tmp_path, code, cure):
    """Claim: the message names the error and says what to do."""
    got = f"expected to write in .*; got .*{errno.errorcode[code]}.*{cure}"
    with pytest.raises(EmbrmError, match=got), storage_errors("write", tmp_path):
        refuse(code)()


def test_an_error_without_a_number_becomes_advice_too(tmp_path):
    """Claim: an OSError made by hand does not break the message."""
    with (
        pytest.raises(EmbrmError, match=r"got OSError \(no error code\)"),
        storage_errors("write", tmp_path),
    ):
        raise OSError
