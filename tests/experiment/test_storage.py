"""storage: what is on disk comes back bit for bit, or not at all."""

import json

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.embed.cache.durable import durable_file
from embrm.exceptions import EmbrmError, EmbrmWarning, IntegrityError, InvalidInputError
from embrm.experiment._storage import (
    CellRecord,
    CellStore,
    PoolFiles,
    open_pool,
    pool_digest,
    remove_leftovers,
    write_pool,
)
from embrm.experiment.factors import digest_of


def write(pool, directory):
    return write_pool(pool, pool_digest(pool), directory)


def test_a_stored_pool_comes_back(train, tmp_path):
    """Vectors, gold and grouping are the same, bit for bit."""
    pool = open_pool(write(train, tmp_path))
    assert pool.items.dtype == train.items.dtype
    np.testing.assert_array_equal(pool.items, train.items)
    np.testing.assert_array_equal(pool.gold, train.gold)
    np.testing.assert_array_equal(pool.same_prompt_ids(), train.same_prompt_ids())


def test_blocks_come_back_and_are_part_of_what_a_pool_is(train, tmp_path):
    """Heads give each block a prior of its own: other blocks are other results."""
    d = train.items.shape[1]
    blocks = {"one": slice(0, 1), "rest": slice(1, d)}
    pool = CandidatePool(train.items, train.prompt_ids, train.gold, blocks=blocks)
    stored = write(pool, tmp_path)
    assert open_pool(stored).blocks == blocks
    assert stored.digest != write(train, tmp_path).digest
    assert open_pool(write(train, tmp_path)).blocks is None
    assert write(pool, tmp_path) == stored


def test_the_items_are_mapped_read_only(train, tmp_path):
    """Workers share pages of one file, and cannot change it."""
    items = open_pool(write(train, tmp_path)).items
    assert isinstance(items, np.memmap)
    assert not items.flags.writeable


def test_prompt_numbers_keep_the_order_of_the_ids(tmp_path):
    """Whoever sorts by prompt id sorts by number alike."""
    pool = CandidatePool(np.eye(3), ["c", "a", "b"], gold=[0, 1, 2])
    assert open_pool(write(pool, tmp_path)).prompt_ids.tolist() == [2, 0, 1]


def test_a_stored_pool_is_not_written_again(train, tmp_path):
    """A second run finds the file."""
    stored = write(train, tmp_path)
    before = (tmp_path / stored.digest / "items").stat().st_mtime_ns
    write(train, tmp_path)
    assert (tmp_path / stored.digest / "items").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["items", "gold", "prompts", "pool.json"])
def test_a_damaged_pool_is_written_anew(train, tmp_path, name):
    """A flipped or missing byte in any file is noticed, and fixed."""
    stored = write(train, tmp_path)
    path = tmp_path / stored.digest / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content[: -8 if name == "gold" else None])
    with pytest.warns(EmbrmWarning, match="was damaged; it is written again"):
        write(train, tmp_path)
    np.testing.assert_array_equal(open_pool(stored).items, train.items)


def test_any_change_of_content_changes_the_digest(train):
    """Vectors, gold, grouping and dtype count."""
    gold, items = train.gold.copy(), train.items.copy()
    gold[3] += 0.1
    items[3, 1] += 1
    groups = train.prompt_ids.copy()
    groups[3] = groups[3] + 1 if groups[3] < 30 else groups[3] - 1
    changed = [
        CandidatePool(train.items, train.prompt_ids, gold=gold),
        CandidatePool(items, train.prompt_ids, gold=train.gold),
        CandidatePool(train.items, groups, gold=train.gold),
        CandidatePool(train.items.astype(float), train.prompt_ids, gold=train.gold),
    ]
    digests = {pool_digest(pool) for pool in [train, *changed]}
    assert len(digests) == 5


def test_a_pool_without_gold_is_refused(train):
    """There is nothing to simulate labels from."""
    with pytest.raises(InvalidInputError, match="an experiment needs"):
        pool_digest(CandidatePool(train.items, train.prompt_ids))


def test_a_missing_pool_is_an_error_with_a_fix(tmp_path):
    """A worker that does not see the directory says so."""
    with pytest.raises(IntegrityError, match="a directory that every worker sees"):
        open_pool(PoolFiles(str(tmp_path / "nowhere"), "0"))


CONTENT = {"head": "linear", "seed": 1}
KEY = digest_of(CONTENT)
RECORD = CellRecord({"a": 0.1 + 0.2, "n": 3, "words": "é"}, {"fit_seconds": 1.5})


@pytest.fixture
def store(tmp_path):
    """A store with one cell."""
    store = CellStore.create(tmp_path / "cells")
    store.save(CONTENT, RECORD)
    return store


def test_a_stored_cell_comes_back(store):
    """Every bit of every number, and seconds."""
    assert store.load(KEY) == RECORD


def test_nan_comes_back(store):
    """A metric that is undefined stays so, though JSON has no NaN."""
    store.save({"n": 2}, CellRecord({"a": float("nan"), "b": 1.0}, {}))
    row = store.load(digest_of({"n": 2})).row
    assert row["a"] != row["a"]
    assert row["b"] == 1.0


def test_a_cell_that_was_never_stored_is_none(store):
    """No warning: it is merely new."""
    assert store.load("0" * 32) is None


@pytest.mark.parametrize("at", ["half", "none", "digit", "list", "other"])
def test_a_damaged_cell_is_not_trusted(store, at):
    """Truncated, emptied, changed, foreign or misnamed files count as absent."""
    path = store.path(KEY)
    whole = path.read_bytes()
    store.save({"n": 2}, RECORD)
    path.write_bytes(
        {
            "half": whole[: len(whole) // 2],
            "none": b"",
            "digit": whole.replace(b"1.5", b"1.6"),
            "list": b"[]",
            "other": store.path(digest_of({"n": 2})).read_bytes(),
        }[at]
    )
    with pytest.warns(EmbrmWarning, match="damaged; it is computed again"):
        assert store.load(KEY) is None


def test_a_cell_says_what_it_is_of(store):
    """The file can be read by people."""
    assert json.loads(store.path(KEY).read_bytes())["cell"]["content"] == CONTENT


def test_a_directory_that_cannot_be_made_is_an_error_with_a_fix(tmp_path):
    """A file stands where the directory should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbrmError, match=r"to store cells in .*Fix"):
        CellStore.create(tmp_path / "file" / "cells")


def test_temporary_files_of_dead_writers_are_removed(tmp_path):
    """At any depth; those of a living one stay, and so does all the rest."""
    for name in ("cell.json", "items.1.tmp", "deep/items.2.tmp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    with durable_file(tmp_path / "living"):
        remove_leftovers(tmp_path)
        kept = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(kept) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"cell.json", "deep", "living"}
