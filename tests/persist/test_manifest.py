"""The manifest is strict JSON that vouches for every file."""

import json

import pytest

from embrm.exceptions import IntegrityError
from embrm.persist.manifest import digest_of, parse_manifest, write_manifest

GOOD = {
    "created": "2026-11-20T00:00:00+00:00",
    "libraries": {},
    "head": {},
    "values": {},
    "encoder": {},
    "training": {},
    "files": {"a.blob": {"bytes": 1, "sha256": "0" * 64}},
}


def rewritten(**changes) -> bytes:
    """Change keys of a good manifest and make its digest right again."""
    manifest = json.loads(write_manifest(GOOD)) | changes
    manifest["digest"] = digest_of(manifest)
    return json.dumps(manifest).encode()


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
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b" " * (8 * 2**20 + 1), "at most 8388608 bytes"),
        (rewritten(version=2), "version 1 or older; got version 2.*upgrade embrm"),
        (rewritten(version=True), "'version' is a int; got bool"),
        (rewritten(files=[]), "'files' is a dict; got list"),
        (rewritten(files={"../x": {"bytes": 1, "sha256": "0" * 64}}), r"'\.\./x'"),
        (rewritten(files={"/etc/passwd": {}}), "plain name"),
        (rewritten(files={"a": {"bytes": -1, "sha256": "0" * 64}}), "named 'a'"),
        (rewritten(files={"a": {"bytes": 1, "sha256": "0"}}), "named 'a'"),
        (rewritten(files={"a": {"bytes": 2**40, "sha256": "0" * 64}}), "named 'a'"),
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
