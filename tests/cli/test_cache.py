"""`embrm cache`: look after a vector cache."""

import json

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def cache(run, prefs, tmp_path):
    directory = tmp_path / "vectors"
    run("embed", prefs, "--encoder", "hashing:16", "--cache", directory)
    return directory


def damage(cache) -> None:
    segment = next(cache.rglob("*.arrow"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.chmod(0o644)
    segment.write_bytes(bytes(content))


def test_info_counts_vectors_by_encoder(run, cache):
    """One line, or one JSON entry, per fingerprint."""
    stores = json.loads(run("cache", "info", cache, "--json").stdout)["stores"]
    assert [store["n_rows"] for store in stores] == [80]
    assert "hashing" in run("cache", "info", cache).stdout


def test_verify_finds_nothing_wrong_with_a_good_cache(run, cache):
    """Exit code 0."""
    result = run("cache", "verify", cache)
    assert result.exit_code == 0
    assert "all checksums match" in result.stdout


def test_verify_exits_with_4_on_damage(run, cache):
    """A flipped bit is found; the JSON says ok: false."""
    damage(cache)
    result = run("cache", "verify", cache, "--json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["ok"] is False


def test_prune_removes_what_was_set_aside(run, cache):
    """After verify, prune deletes the damaged file; --dry-run only tells."""
    damage(cache)
    run("cache", "verify", cache)
    assert "would remove 1 files" in run("cache", "prune", cache, "--dry-run").stdout
    assert "removed 1 files" in run("cache", "prune", cache).stdout


def test_prune_removes_an_encoder_only_by_name(run, cache):
    """The beginning of its digest is enough."""
    digest = json.loads(run("cache", "info", cache, "--json").stdout)["stores"][0]
    assert run("cache", "prune", cache).exit_code == 0
    assert len(list(cache.rglob("*.arrow"))) == 1
    run("cache", "prune", cache, "--fingerprint", digest["digest"][:8])
    assert not list(cache.rglob("*.arrow"))


def test_compact_merges_segments(run, cache, new_prefs):
    """Two runs make two segments; compact makes one of them."""
    run("embed", new_prefs, "--encoder", "hashing:16", "--cache", cache)
    result = run("cache", "compact", cache, "--json")
    (report,) = json.loads(result.stdout)["stores"].values()
    assert (report["n_segments_before"], report["n_segments_after"]) == (2, 1)


def test_export_writes_a_table(run, cache, tmp_path):
    """Keys and vectors in a Parquet file."""
    out = tmp_path / "vectors.parquet"
    result = run("cache", "export", cache, "--out", out)
    assert result.exit_code == 0
    assert pq.read_table(out).num_rows == 80


@pytest.mark.parametrize("command", ["info", "verify", "prune", "compact"])
def test_a_missing_directory_is_a_usage_error(run, tmp_path, command):
    """No cache is made by looking for one."""
    result = run("cache", command, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "no directory" in result.stderr
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("command", ["info", "verify", "compact"])
def test_a_directory_without_vectors_says_so(run, tmp_path, command):
    """ "All checksums match" would be true, and mislead."""
    result = run("cache", command, tmp_path)
    assert (result.exit_code, result.stdout) == (0, "no vectors here\n")


def test_an_ambiguous_fingerprint_is_refused(run, cache):
    """It must be the beginning of exactly one digest."""
    result = run("cache", "prune", cache, "--fingerprint", "zz")
    assert result.exit_code == 2
    assert "which 0 of 1 begin with" in result.stderr
