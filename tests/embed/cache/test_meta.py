"""meta.json says whose vectors these are, and is checked."""

import json

import pytest

from embrm.embed.cache.meta import read_meta, write_meta
from embrm.exceptions import FingerprintMismatchError, IntegrityError


@pytest.fixture
def directory(tmp_path, fingerprint):
    """A store's directory with its meta.json."""
    path = tmp_path / fingerprint.digest
    path.mkdir()
    write_meta(path, fingerprint)
    return path


def test_the_fingerprint_comes_back(directory, fingerprint):
    """Claim: what is read equals what was written."""
    assert read_meta(directory) == fingerprint


def test_people_can_read_it(directory, fingerprint):
    """Claim: it is indented JSON with layout, digest and the whole fingerprint."""
    text = (directory / "meta.json").read_text()
    assert json.loads(text) == {
        "layout": "1",
        "digest": fingerprint.digest,
        "fingerprint": {
            "fields": {"kind": "fake", "seed": 0},
            "dim": 4,
            "dtype": "float16",
        },
    }
    assert text.count("\n") > 5


def test_no_file_is_fine(tmp_path):
    """Claim: a store without meta.json is not refused."""
    assert read_meta(tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"{}",
        b'{"layout": 1}',
        b'{"layout": "1"}',
        b'{"layout": "1", "fingerprint": []}',
        b'{"layout": "1", "fingerprint": {"fields": {}, "dim": "x", "dtype": "a"}}',
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_refused(directory, content):
    """Claim: an unreadable layout is an error with a cure, never a guess."""
    (directory / "meta.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"readable layout.*delete the file"):
        read_meta(directory)


def test_a_later_layout_is_refused(directory):
    """Claim: a store of a later embrm is left alone."""
    (directory / "meta.json").write_text('{"layout": "2"}')
    with pytest.raises(IntegrityError, match=r"layout 1; got layout 2.*upgrade embrm"):
        read_meta(directory)


def test_an_edited_fingerprint_is_refused(directory):
    """Claim: the file must agree with the directory's name."""
    path = directory / "meta.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(
        FingerprintMismatchError, match=r"with digest .*undo the change"
    ):
        read_meta(directory)
