"""`embrm cache`: look after a vector cache."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

from embrm.embed import Fingerprint, item_keys
from embrm.embed.cache import VectorCache


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


WHO = Fingerprint({"kind": "published", "layer": -1}, dim=3, dtype="float16")


@pytest.fixture
def frame(tmp_path):
    """Five items, the last a repetition, and their vectors."""
    texts = [("Hi", f"answer {n % 4}") for n in range(5)]
    path = tmp_path / "items.jsonl"
    rows = ({"prompt": p, "response": r} for p, r in texts)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    vectors = np.arange(15, dtype="f4").reshape(5, 3)
    return path, item_keys(texts), vectors


@pytest.fixture
def stated(tmp_path):
    """The fingerprint in a file."""
    path = tmp_path / "who.json"
    path.write_text(json.dumps(WHO.to_json()))
    return path


def test_vectors_are_imported_under_the_fingerprint_in_a_file(
    run, frame, stated, tmp_path
):
    """A store of that digest holds them; equal texts are counted once."""
    items, keys, vectors = frame
    np.save(tmp_path / "v.npy", vectors)
    arguments = [tmp_path / "c", tmp_path / "v.npy", "--items", items]
    result = run("cache", "import", *arguments, "--fingerprint", stated, "--json")
    report = json.loads(result.stdout)
    assert (report["n_rows"], report["n_imported"]) == (5, 4)
    assert report["digest"] == WHO.digest
    taken = VectorCache(tmp_path / "c").open(WHO).take(keys[:4])
    np.testing.assert_array_equal(taken, vectors[:4])


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_the_fingerprint_can_be_stated_field_by_field(run, frame, tmp_path, kind):
    """Values that are JSON are read as such; the dtype is that of the file."""
    items, keys, vectors = frame
    if kind == "pt":
        torch.save({"a": torch.from_numpy(vectors)}, tmp_path / "v")
    else:
        save_file({"a": vectors}, tmp_path / "v")
    fields = ["--field", "kind=published", "--field", "layer=-1", "--field", "x=NaN"]
    arguments = [tmp_path / "c", tmp_path / "v", "--items", items, *fields]
    result = run("cache", "import", *arguments, "--tensor", "a")
    assert "4 vectors imported as published" in result.stdout
    assert "1 rows repeat a text" in result.stdout
    who = Fingerprint({"kind": "published", "layer": -1, "x": "NaN"}, 3, "float32")
    assert VectorCache(tmp_path / "c").open(who).contains(keys).all()


def test_the_meta_of_a_store_is_a_fingerprint_file(run, frame, tmp_path):
    """A cache can be rebuilt elsewhere from what it wrote."""
    items, _, vectors = frame
    np.save(tmp_path / "v.npy", vectors)
    arguments = [tmp_path / "v.npy", "--items", items]
    stated = ["--field", "kind=x", "--dtype", "float16"]
    run("cache", "import", tmp_path / "a", *arguments, *stated)
    meta = next((tmp_path / "a").glob("*/meta.json"))
    run("cache", "import", tmp_path / "b", *arguments, "--fingerprint", meta)
    assert [path.name for path in (tmp_path / "b").iterdir()] == [meta.parent.name]


def test_an_export_of_items_can_be_imported(run, frame, stated, tmp_path):
    """One row for each row of the file, repetitions too."""
    items, _, vectors = frame
    np.save(tmp_path / "v.npy", vectors)
    arguments = ["--items", items, "--fingerprint", stated]
    run("cache", "import", tmp_path / "c", tmp_path / "v.npy", *arguments)
    out = tmp_path / "out.npy"
    result = run("cache", "export", tmp_path / "c", "--out", out, "--items", items)
    assert "5 vectors written" in result.stdout
    np.testing.assert_array_equal(np.load(out), vectors[[0, 1, 2, 3, 0]])
    result = run("cache", "import", tmp_path / "d", out, *arguments)
    assert "4 vectors imported" in result.stdout


def test_export_writes_every_format(run, frame, stated, tmp_path):
    """By the ending of the name; another ending is a usage error."""
    items, _, vectors = frame
    np.save(tmp_path / "v.npy", vectors)
    arguments = ["--items", items, "--fingerprint", stated]
    run("cache", "import", tmp_path / "c", tmp_path / "v.npy", *arguments)
    for name in ("x.parquet", "x.arrow", "x.npy"):
        result = run("cache", "export", tmp_path / "c", "--out", tmp_path / name)
        assert result.exit_code == 0
        assert (tmp_path / name).exists()
    result = run("cache", "export", tmp_path / "c", "--out", tmp_path / "x.csv")
    assert result.exit_code == 2
    assert ".parquet, .arrow, .npy" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "got neither"),
        (["--field", "a=1", "--fingerprint", "{stated}"], "got both"),
        (["--field", "a"], "NAME=VALUE, each name once; got 'a'"),
        (["--field", "a=1", "--field", "a=2"], "each name once; got 'a=2'"),
        (["--field", "a=1", "--dtype", "int8"], "float16 or float32; got int8"),
        (["--fingerprint", "{items}"], "got something else in"),
    ],
)
def test_a_fingerprint_must_be_stated_once(
    run, frame, stated, tmp_path, options, words
):
    """And in a form that can be read; nothing is imported otherwise."""
    items, _, vectors = frame
    np.save(tmp_path / "v.npy", vectors)
    options = [str(one).format(stated=stated, items=items) for one in options]
    arguments = [tmp_path / "c", tmp_path / "v.npy", "--items", items]
    result = run("cache", "import", *arguments, *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    "content", ["[1]", '{"fields": 3, "dim": 3, "dtype": "f"}', "{"]
)
def test_a_file_that_is_no_fingerprint_is_refused(run, frame, tmp_path, content):
    """The fix shows the form."""
    items, _, vectors = frame
    np.save(tmp_path / "v.npy", vectors)
    (tmp_path / "who.json").write_text(content)
    arguments = [tmp_path / "c", tmp_path / "v.npy", "--items", items]
    result = run("cache", "import", *arguments, "--fingerprint", tmp_path / "who.json")
    assert result.exit_code == 2
    assert 'JSON as {"fields"' in result.stderr


def test_rows_and_items_must_match(run, frame, stated, tmp_path):
    """The error counts both."""
    items, _, vectors = frame
    np.save(tmp_path / "v.npy", vectors[:3])
    arguments = [tmp_path / "c", tmp_path / "v.npy", "--items", items]
    result = run("cache", "import", *arguments, "--fingerprint", stated)
    assert result.exit_code == 2
    assert "each of the 5 items; got 3 vectors" in result.stderr


def test_columns_of_the_items_can_be_renamed(run, frame, stated, tmp_path):
    """A column that is not there is named, and exits as bad data."""
    items, keys, vectors = frame
    items.write_text(items.read_text().replace('"response"', '"answer"'))
    np.save(tmp_path / "v.npy", vectors)
    arguments = [tmp_path / "c", tmp_path / "v.npy", "--items", items]
    arguments += ["--fingerprint", stated]
    result = run("cache", "import", *arguments)
    assert result.exit_code == 3
    assert "no column 'response'" in result.stderr
    assert (
        run("cache", "import", *arguments, "--column", "response=answer").exit_code == 0
    )
    assert VectorCache(tmp_path / "c").open(WHO).contains(keys).all()


def test_one_encoder_must_be_named_to_export(run, frame, tmp_path):
    """Where there are several, or none."""
    items, _, vectors = frame
    np.save(tmp_path / "v.npy", vectors)
    for name in "ab":
        arguments = [tmp_path / "c", tmp_path / "v.npy", "--items", items]
        run("cache", "import", *arguments, "--field", f"kind={name}")
    result = run("cache", "export", tmp_path / "c", "--out", tmp_path / "x.npy")
    assert result.exit_code == 2
    assert "one encoder to export; got 2" in result.stderr
