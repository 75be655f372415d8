"""Encoders and models are opened before any data is read."""

import json
import shutil

import pytest

from embrm.cli.opening import open_encoder, open_model
from embrm.exceptions import FingerprintMismatchError, InvalidInputError
from embrm.persist.manifest import digest_of


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
    """The cure cures: --encoder with the same encoder is accepted."""
    copy = tmp_path / "model"
    shutil.copytree(saved, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["encoder"]["spec"] = {"kind": "sentence-transformer", "model": "/no/where"}
    manifest["digest"] = digest_of(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidInputError, match=r"/no/where.*with --encoder"):
        open_model(copy, None, None)
    open_model(copy, None, "hashing")
