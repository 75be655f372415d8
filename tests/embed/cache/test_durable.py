"""A file is there whole or not at all, here and on another filesystem."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from pyarrow import fs

from embrm.embed.cache import VectorCache, compact, export, prune, verify
from embrm.embed.cache.durable import (
    RemotePath,
    as_place,
    durable_file,
    make_directory,
    output_file,
    output_text,
    storage_errors,
    sync_directory,
    write_durably,
)
from embrm.exceptions import DamagedSegmentWarning, EmbrmError, InvalidInputError


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
    ("code", "fix"),
    [
        (errno.ENOSPC, "free space and run again"),
        (errno.EACCES, "make the directory writable"),
        (errno.EROFS, "make the directory writable"),
        (errno.EMFILE, "raise the limit of open files"),
        (errno.EIO, "check the disk"),
    ],
)
def test_a_system_error_becomes_advice(tmp_path, code, fix):
    """Claim: the message names the error and says what to do."""
    got = f"expected to write in .*; got .*{errno.errorcode[code]}.*{fix}"
    with pytest.raises(EmbrmError, match=got), storage_errors("write", tmp_path):
        refuse(code)()


def test_an_error_without_a_number_becomes_advice_too(tmp_path):
    """Claim: an OSError made by hand does not break the message."""
    with (
        pytest.raises(EmbrmError, match=r"got OSError \(no error code\)"),
        storage_errors("write", tmp_path),
    ):
        raise OSError


class Handler(fs.FileSystemHandler):
    """A filesystem in Python, over a local folder; it counts and fails at will."""

    def __init__(self, base, kind):
        self.base, self.kind, self.fail = base, kind, None
        self.read, self.opened = [], []

    def __eq__(self, other):
        return self is other

    def get_type_name(self):
        return self.kind

    def normalize_path(self, path):
        return path

    def get_file_info(self, paths):
        return self.base.get_file_info(paths)

    def get_file_info_selector(self, selector):
        return self.base.get_file_info(selector)

    def create_dir(self, path, recursive):
        self.base.create_dir(path, recursive=recursive)

    def delete_dir(self, path):
        self.base.delete_dir(path)

    def delete_dir_contents(self, path, missing_dir_ok=False):
        raise AssertionError

    def delete_root_dir_contents(self):
        raise AssertionError

    def delete_file(self, path):
        self.base.delete_file(path)

    def move(self, source, target):
        if self.fail == "move":
            raise OSError(5, "Input/output error")
        self.base.move(source, target)

    def copy_file(self, source, target):
        raise AssertionError

    def open_input_stream(self, path):
        raise AssertionError

    def open_input_file(self, path):
        from pyarrow import PythonFile

        self.read.append(0)
        return PythonFile(Counting(self.base.open_input_file(path), self.read))

    def open_output_stream(self, path, metadata):
        self.opened.append(path)
        if self.fail == "write":
            raise OSError(28, "No space left on device")
        return self.base.open_output_stream(path)

    def open_append_stream(self, path, metadata):
        raise AssertionError


class Counting:
    """A file that counts the bytes that are read."""

    closed = False

    def __init__(self, file, read):
        self.file, self.total = file, read

    def read(self, n=-1):
        data = self.file.read(None if n < 0 else n)
        self.total.append(len(data))
        return data

    def readable(self):
        return True

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.fixture
def handler(tmp_path):
    """A handler over a local folder."""
    return Handler(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "test")


@pytest.fixture(params=["mock", "subtree", "python"])
def remote(request, tmp_path, handler):
    """Filesystems of three kinds."""
    if request.param == "mock":
        return fs._MockFileSystem()
    if request.param == "subtree":
        return fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    return fs.PyFileSystem(handler)


@pytest.fixture
def far(remote):
    """Opens the same cache anew each time."""
    return lambda **options: VectorCache("top/cache", filesystem=remote, **options)


def write(path, data):
    """Write bytes to a remote path."""
    with path.filesystem.open_output_stream(str(path)) as file:
        file.write(data)


def damage(segment):
    """Flip a bit of the first vector."""
    data = bytearray(segment.path.read_bytes())
    data[bytes(data).index(segment.vectors.tobytes())] ^= 1
    write(segment.path, bytes(data))


def test_what_is_appended_can_be_taken_elsewhere(far, fingerprint, rows):
    """Claim: by the writer and by who opens it anew, bit for bit."""
    keys, vectors = rows()
    writer = far().open(fingerprint)
    writer.append(keys, vectors)
    for store in (writer, far().open(fingerprint)):
        assert store.contains(keys).all()
        assert store.take(keys).tobytes() == vectors.tobytes()
        assert not store.take(keys[::-1]).flags.writeable


def test_an_empty_place_is_an_empty_cache(far, fingerprint, rows):
    """Claim: reading creates nothing."""
    assert not far().open(fingerprint).contains(rows()[0]).any()
    assert far().stores() == []
    assert not far().directory.exists()


def test_the_first_vector_of_a_key_counts(far, fingerprint, rows):
    """Claim: the rule is the same everywhere."""
    keys, vectors = rows()
    far().open(fingerprint).append(keys, vectors)
    far().open(fingerprint).append(keys, rows(seed=1)[1])
    np.testing.assert_array_equal(far().open(fingerprint).take(keys), vectors)


def test_a_store_is_compacted_beside_a_reader(far, fingerprint, rows):
    """Claim: a reader that had seen keys only finds the new segment by itself."""
    for seed in range(3):
        far().open(fingerprint).append(*rows(4, seed))
    reader = far().open(fingerprint)
    assert compact(far().open(fingerprint)).n_segments_after == 1
    np.testing.assert_array_equal(reader.take(rows(4, 2)[0]), rows(4, 2)[1])


def test_damage_is_seen_before_use_and_set_aside(far, fingerprint, rows):
    """Claim: a flipped bit costs the rows of its segment, with a warning."""
    for seed in range(2):
        far().open(fingerprint).append(*rows(4, seed))
    damage(far().open(fingerprint).segments[0])
    store = far().open(fingerprint)
    with pytest.warns(DamagedSegmentWarning):
        assert not store.contains(rows(4, 0)[0]).any()
    np.testing.assert_array_equal(store.take(rows(4, 1)[0]), rows(4, 1)[1])
    assert far().stores()[0].n_damaged == 1


@pytest.mark.parametrize("keep", [0, 10, 400])
def test_a_cut_object_is_damage(far, fingerprint, rows, keep):
    """Claim: what cannot be parsed is told from what cannot be read."""
    far().open(fingerprint).append(*rows())
    path = far().open(fingerprint).segments[0].path
    write(path, path.read_bytes()[:keep])
    with pytest.warns(DamagedSegmentWarning):
        assert len(far().open(fingerprint)) == 0


def test_verify_info_and_prune_work_elsewhere(far, fingerprint, rows):
    """Claim: damage is counted, reported, and removed; so is a named store."""
    for seed in range(2):
        far().open(fingerprint).append(*rows(4, seed))
    (info,) = far().stores()
    assert (info.n_rows, info.n_segments, info.fingerprint) == (8, 2, fingerprint)
    assert verify(far()).ok
    damage(far().open(fingerprint).segments[1])
    with pytest.warns(DamagedSegmentWarning):
        assert not verify(far()).ok
    assert len(prune(far()).removed) == 1
    assert prune(far(), fingerprints=[fingerprint.digest]).removed
    assert far().stores() == []


def test_a_store_elsewhere_is_exported_here(far, fingerprint, rows, tmp_path):
    """Claim: export reads from anywhere."""
    far().open(fingerprint).append(*rows())
    assert export(far().open(fingerprint), tmp_path / "x.parquet").n_rows == 5


def test_opening_reads_keys_and_not_vectors(handler, rows):
    """Claim: of large segments, opening reads a small part, and taking reads those
    that are used, once."""
    from embrm.embed import Fingerprint

    who = Fingerprint({}, dim=500, dtype="float32")
    place = fs.PyFileSystem(handler)
    for seed in range(2):
        VectorCache("c", filesystem=place).open(who).append(*rows(100, seed, who))
    handler.read.clear()
    store = VectorCache("c", filesystem=place).open(who)
    assert store.contains(rows(100, 0, who)[0], check=False).all()
    assert sum(handler.read) < 0.05 * 2 * 100 * 500 * 4
    for _ in range(2):
        store.take(rows(100, 0, who)[0][:3])
    n_bytes = store.segments[0].n_bytes
    assert n_bytes <= sum(handler.read) < 1.2 * n_bytes


@pytest.mark.parametrize("atomic", [True, False])
def test_objects_are_put_at_once_and_files_renamed(handler, monkeypatch, atomic):
    """Claim: no reader ever sees half a segment under its name."""
    known = ("py::test",) if atomic else ("s3",)
    monkeypatch.setattr("embrm.embed.cache.durable._OBJECT_STORES", known)
    handler.base.create_dir("c")
    RemotePath(fs.PyFileSystem(handler), "c/a").write_at_once(b"abc", "a.tmp")
    assert handler.opened == ["c/a" if atomic else "c/a.tmp"]
    found = list(RemotePath(fs.PyFileSystem(handler), "c").iterdir())
    assert [path.name for path in found] == ["a"]
    assert found[0].read_bytes() == b"abc"


@pytest.mark.parametrize("what", ["write", "move"])
def test_a_write_that_fails_leaves_nothing(handler, fingerprint, rows, what):
    """Claim: the error is clean, and the store as it was."""
    place = fs.PyFileSystem(handler)
    store = VectorCache("c", filesystem=place).open(fingerprint)
    store.append(*rows())
    handler.fail = what
    with pytest.raises(EmbrmError, match="write a segment"):
        store.append(*rows(3, seed=1))
    handler.fail = None
    found = [path.name for path in (store.directory / "segments").iterdir()]
    assert len(found) == 1
    assert len(VectorCache("c", filesystem=place).open(fingerprint)) == 5


def test_a_local_filesystem_is_a_local_path(tmp_path):
    """Claim: where it can be mapped and synced, it is."""
    assert as_place(tmp_path) == tmp_path
    assert as_place(f"file://{tmp_path}") == tmp_path
    assert as_place(str(tmp_path), fs.LocalFileSystem()) == tmp_path
    assert as_place("a:b/c") == Path("a:b/c")


def test_an_s3_uri_is_a_place_on_s3():
    """Claim: no network is needed to name it."""
    place = as_place("s3://bucket/dir?region=us-east-1&endpoint_override=localhost:1")
    assert (str(place), place.atomic) == ("bucket/dir", True)
    assert VectorCache(place).directory is place


def test_an_unknown_uri_is_refused():
    """Claim: the error names the URI and what would be one."""
    with pytest.raises(InvalidInputError, match=r"s3://bucket.*got 'gopher://x/y'"):
        VectorCache("gopher://x/y?secret=1")


def test_paths_know_their_parts(remote):
    """Claim: they behave as pathlib's do."""
    path = RemotePath(remote, "a/b") / "c.tmp"
    assert (path.name, str(path.parent), str(path)) == ("c.tmp", "a/b", "a/b/c.tmp")
    assert str(path.with_name("d")) == "a/b/d"
    assert str(path.relative_to("a")) == "b/c.tmp"
    assert path == RemotePath(remote, "a/b/c.tmp")
    assert len({path, RemotePath(remote, "a/b/c.tmp")}) == 1
    assert path != RemotePath(remote, "a/b")
    assert "a/b/c.tmp" in repr(path)


def test_paths_know_what_is_there(remote):
    """Claim: files, directories, and nothing."""
    directory = RemotePath(remote, "a/b")
    directory.make()
    file = directory / "c"
    write(file, b"abc")
    assert (file.is_file(), file.is_dir(), file.exists()) == (True, False, True)
    assert (directory.is_file(), directory.is_dir()) == (False, True)
    assert not file.is_symlink()
    assert file.stat().st_size == 3
    assert file.stat().st_mtime > 0
    assert [path.name for path in RemotePath(remote, "a").rglob("c")] == ["c"]
    file.unlink()
    file.unlink(missing_ok=True)
    assert not file.exists()


@pytest.mark.parametrize("call", ["stat", "read_bytes", "unlink"])
def test_what_is_not_there_is_not_found(remote, call):
    """Claim: the error is the one that pathlib raises."""
    with pytest.raises(FileNotFoundError):
        getattr(RemotePath(remote, "nowhere/x"), call)()


def test_an_output_follows_links_and_writes_to_pipes(tmp_path):
    """A link stays one; what is no file is written to as it is."""
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    with output_text(link) as file:
        file.write("new")
    assert (real.read_text(), link.is_symlink()) == ("new", True)
    with output_file("/dev/null") as file:
        file.write(b"gone")
    assert Path("/dev/null").is_char_device()


def test_what_a_killed_writer_of_an_output_left_goes_with_the_next(tmp_path):
    """Only what was to become this file, and not while it is written."""
    for name in ("out.csv.0123abcd.tmp", "other.csv.0123abcd.tmp", "out.csv.mine"):
        (tmp_path / name).write_text("")
    with durable_file(tmp_path / "out.csv"):
        with output_file(tmp_path / "out.csv") as file:
            file.write(b"whole")
        kept = {path.name for path in tmp_path.iterdir()}
        assert {"other.csv.0123abcd.tmp", "out.csv.mine", "out.csv"} < kept
        assert len(kept) == 4
