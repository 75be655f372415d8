"""Files, encoders, models and caches are opened, or it is said what is missing."""

import json
import shutil

import pytest

from embrm.cli.cache import digests, find_digest, open_cache, open_store
from embrm.cli.inputs import open_encoder, open_model, read_and_say
from embrm.cli.output import reporting
from embrm.embed import Fingerprint
from embrm.embed.cache import VectorCache
from embrm.exceptions import FingerprintMismatchError, IntegrityError, InvalidInputError
from embrm.persist.files import digest_of

GOOD = {"prompt": "p", "chosen": "a", "rejected": "b"}


def test_the_read_report_is_printed_and_not_warned_about(capsys):
    """One place for counts: stdout for people, stderr beside JSON."""
    rows = [GOOD, {**GOOD, "chosen": ""}]
    read = read_and_say(rows, on_error="skip")
    shown = capsys.readouterr()
    assert len(read) == 1
    assert "2 rows, 1 kept, 1 left out" in shown.out
    assert shown.err == ""


def test_beside_json_it_goes_to_stderr(capsys):
    """stdout stays clean for the result."""
    with reporting(debug=False, as_json=True):
        read_and_say([GOOD])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "1 kept" in shown.err


def test_an_encoder_is_opened_by_its_word():
    """Its fingerprint is known then."""
    assert open_encoder("hashing:32").fingerprint.dim == 32


def test_an_encoder_that_is_not_there_is_found_out_at_once(tmp_path):
    """Not after a large file was read."""
    with pytest.raises(InvalidInputError):
        open_encoder(f"st:{tmp_path / 'no'}")


def test_a_model_is_opened_with_its_cache(saved, tmp_path):
    """Ready to score."""
    model = open_model(saved, tmp_path / "v", None)
    assert model.cache == tmp_path / "v"


def test_another_encoder_is_refused_at_once(saved):
    """Its vectors mean something else."""
    with pytest.raises(FingerprintMismatchError):
        open_model(saved, None, "hashing:32")


def test_a_model_whose_encoder_has_moved_says_how_to_name_it(saved, run, tmp_path):
    """The fix helps: --encoder with the same encoder is accepted."""
    copy = tmp_path / "model"
    shutil.copytree(saved, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["encoder"]["spec"] = {"kind": "sentence-transformer", "model": "/no/where"}
    manifest["digest"] = digest_of(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidInputError, match=r"/no/where.*with --encoder"):
        open_model(copy, None, None)
    open_model(copy, None, "hashing")


@pytest.fixture
def cache(tmp_path):
    """A cache with one vector."""
    import numpy as np

    from embrm.embed import item_keys

    who = Fingerprint({"kind": "x"}, dim=1, dtype="float32")
    store = VectorCache(tmp_path).open(who)
    store.append(item_keys([("a", "b")]), np.ones((1, 1), "float32"))
    return str(tmp_path), who


def test_a_store_is_found_by_the_beginning_of_its_digest(cache):
    """Or by being there."""
    directory, who = cache
    assert find_digest(directory, who.digest[:5]) == who.digest
    assert digests(directory, None) == digests(directory, who.digest) == [who.digest]
    assert len(open_store(directory, who.digest)) == 1


def test_a_uri_is_a_directory_too(cache):
    """As pyarrow spells it."""
    directory, _ = cache
    assert str(open_cache(f"file://{directory}").directory) == directory


def test_no_cache_is_made_by_opening_it(tmp_path):
    """The error names what was typed."""
    with pytest.raises(InvalidInputError, match=r"no directory '.*nowhere'"):
        open_cache(str(tmp_path / "nowhere"))


def test_a_store_without_its_meta_is_not_opened(cache):
    """The fix is to embed again."""
    directory, who = cache
    (open_cache(directory).directory / who.digest / "meta.json").write_text("{")
    assert digests(directory, None) == []
    with pytest.raises(IntegrityError, match="got a damaged one"):
        open_store(directory, who.digest)
