"""The manifest is strict JSON that vouches for every file."""

import json

import pytest

from embrm.exceptions import IntegrityError
from embrm.persist.files import digest_of, parse_manifest, write_manifest

GOOD = {
    "created": "2026-11-20T00:00:00+00:00",
    "libraries": {"embrm": "0.1.0"},
    "head": {"head": "LinearBradleyTerry", "params": {}},
    "values": {"state": {}, "blobs": {"a.blob": "a"}},
    "encoder": {
        "spec": {},
        "fingerprint": {"fields": {}, "dim": 8, "dtype": "float32"},
    },
    "training": {"metrics": {}},
    "probe": [0.5],
    "files": {
        name: {"bytes": 1, "sha256": "0" * 64}
        for name in ("a.blob", "weights.safetensors", "README.md")
    },
}


def rewritten(**changes) -> bytes:
    """Change keys of a good manifest and make its digest right again."""
    manifest = json.loads(write_manifest(GOOD)) | changes
    manifest["digest"] = digest_of(manifest)
    return json.dumps(manifest).encode()


def listing(**entries) -> dict:
    """Build the files of a manifest, with entries beside the good ones."""
    return {**GOOD["files"], **entries}


def test_what_is_written_can_be_parsed():
    """A manifest comes back with format, version and digest added."""
    manifest = parse_manifest(write_manifest(GOOD))
    assert {key: manifest[key] for key in GOOD} == GOOD
    assert (manifest["format"], manifest["version"]) == ("embrm-bundle", 1)


def test_the_digest_does_not_depend_on_the_order_of_keys():
    """Canonical JSON sorts keys."""
    manifest = json.loads(write_manifest(GOOD))
    assert digest_of(dict(reversed(manifest.items()))) == manifest["digest"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "strict JSON"),
        (b"\xff\xfe", "strict JSON"),
        (b"[]", "format 'embrm-bundle'"),
        (b'{"format": "other"}', "format 'embrm-bundle'"),
        (b"[" * 100_000, "strict JSON"),
        (b'{"a": 1, "a": 2}', "a key is duplicate"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b" " * (8 * 2**20 + 1), "at most 8388608 bytes"),
        (rewritten(version=2), "version 1 or older; got version 2.*upgrade embrm"),
        (rewritten(version=True), "'version' is a int; got bool"),
        (rewritten(files=[]), "'files' is a dict; got list"),
        (rewritten(files={"../x": {"bytes": 1, "sha256": "0" * 64}}), r"'\.\./x'"),
        (rewritten(files={"/etc/passwd": {}}), "plain name"),
        (rewritten(files={"manifest.json": {}}), "plain name"),
        (rewritten(files={"a": {"bytes": -1, "sha256": "0" * 64}}), "named 'a'"),
        (rewritten(files={"a": {"bytes": 1, "sha256": "0"}}), "named 'a'"),
        (rewritten(files={"a": {"bytes": 2**40, "sha256": "0" * 64}}), "named 'a'"),
        (rewritten(files={}), "one file for each blob; got other files"),
        (
            rewritten(files=listing(b={"bytes": 1, "sha256": "0" * 64})),
            "one file for each blob",
        ),
        (rewritten(version=0), "a version >= 1"),
        (rewritten(probe=[1]), "a probe of finite rewards"),
        (rewritten(probe=[None]), "a probe of finite rewards"),
        (rewritten(libraries={"embrm": 1}), "names of blobs and of versions"),
        (rewritten(values={"state": [], "blobs": {}}), "'values.state' is a dict"),
        (rewritten(encoder={"spec": {}}), "'encoder.fingerprint' is a dict"),
        (rewritten(head={"head": 1}), "'head.head' is a str; got int"),
        (
            write_manifest(GOOD).replace(b"2026", b"2027"),
            "matches its digest; got another digest",
        ),
    ],
)
def test_bad_manifests_are_refused(data, message):
    """Damage, tricks and newer versions each give an error that says which."""
    with pytest.raises(IntegrityError, match=message):
        parse_manifest(data)
