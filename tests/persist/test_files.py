"""Files of a bundle: read without surprises, written as a whole."""

import os

import pytest

from embrm.exceptions import EmbrmError, IntegrityError, InvalidInputError
from embrm.persist import check_destination
from embrm.persist.files import read_plain_file, write_directory


def test_a_file_of_the_right_size_is_read(tmp_path):
    """The bytes come back."""
    (tmp_path / "a").write_bytes(b"xyz")
    assert read_plain_file(tmp_path / "a", 3) == b"xyz"
    assert read_plain_file(tmp_path / "a") == b"xyz"


@pytest.mark.parametrize("size", [0, 2, 4])
def test_another_size_is_refused(size, tmp_path):
    """Before a byte is read."""
    (tmp_path / "a").write_bytes(b"xyz")
    with pytest.raises(IntegrityError, match=f"3 bytes instead of {size}"):
        read_plain_file(tmp_path / "a", size)


def test_a_pipe_does_not_make_it_wait(tmp_path):
    """Nobody writes to it; reading would never end."""
    os.mkfifo(tmp_path / "a")
    with pytest.raises(IntegrityError, match="no regular file"):
        read_plain_file(tmp_path / "a")


def test_a_link_and_a_directory_are_refused(tmp_path):
    """Neither is a file of the bundle."""
    (tmp_path / "b").write_bytes(b"")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "c").mkdir()
    with pytest.raises(IntegrityError, match="the file 'a'"):
        read_plain_file(tmp_path / "a")
    with pytest.raises(IntegrityError, match="the file 'c'"):
        read_plain_file(tmp_path / "c")


def test_new_and_empty_directories_and_bundles_are_destinations(bundle, tmp_path):
    """Nothing is created by asking."""
    check_destination(tmp_path)
    check_destination(tmp_path / "new" / "deeper")
    check_destination(bundle)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("thesis.tex", "dear", "other content"),
        ("manifest.json", '{"name": "a web app"}', "manifest.json that embrm cannot"),
    ],
)
def test_what_is_not_a_bundle_is_no_destination(name, text, message, tmp_path):
    """A replaced directory is gone, so nothing but a bundle is replaced."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        check_destination(tmp_path)


def test_a_bundle_with_somebodys_file_in_it_is_no_destination(model, tmp_path):
    """The file would go with the older bundle."""
    from embrm.persist import save_model

    save_model(model, tmp_path / "m")
    (tmp_path / "m" / "notes.txt").write_text("dear")
    with pytest.raises(InvalidInputError, match=r"'notes\.txt', which is not part"):
        save_model(model, tmp_path / "m")
    assert (tmp_path / "m" / "notes.txt").read_text() == "dear"


def test_a_file_and_a_link_are_no_destinations(tmp_path):
    """Nor is a path that leads through a file."""
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to(tmp_path)
    for path in ("a", "b"):
        with pytest.raises(InvalidInputError, match="a file or a link"):
            check_destination(tmp_path / path)
    with pytest.raises(InvalidInputError, match="the file 'a' in the path"):
        check_destination(tmp_path / "a" / "model")


def test_what_the_system_refuses_is_said_in_three_parts(tmp_path):
    """With the path, and without a traceback's worth of words."""
    (tmp_path / "a").write_text("x")
    with pytest.raises(EmbrmError, match=r"to write a model to .*Fix: check"):
        write_directory(tmp_path / "a" / "m", {"x": b""})


def test_parents_are_made_and_nothing_is_left_beside(tmp_path):
    """One directory, with the files in it."""
    target = tmp_path / "deep" / "er"
    write_directory(target, {"a": b"1", "b": b"2"})
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        "a": b"1",
        "b": b"2",
    }
    assert [path.name for path in target.parent.iterdir()] == ["er"]
