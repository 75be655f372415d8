"""pool_files: raw bytes on disk, mapped into memory, never trusted when damaged."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import EmbrmWarning, IntegrityError, InvalidInputError
from embrm.simulate.experiment.pool_files import (
    PoolFiles,
    open_pool,
    pool_digest,
    write_pool,
)


def write(pool, directory):
    return write_pool(pool, pool_digest(pool), directory)


def test_a_stored_pool_comes_back(train, tmp_path):
    """Vectors, gold and grouping are the same, bit for bit."""
    pool = open_pool(write(train, tmp_path))
    assert pool.items.dtype == train.items.dtype
    np.testing.assert_array_equal(pool.items, train.items)
    np.testing.assert_array_equal(pool.gold, train.gold)
    np.testing.assert_array_equal(pool.same_prompt_ids(), train.same_prompt_ids())


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
    """A flipped or missing byte in any file is noticed, and mended."""
    stored = write(train, tmp_path)
    path = tmp_path / stored.digest / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content[: -8 if name == "gold" else None])
    with pytest.warns(EmbrmWarning, match="was damaged; it is written anew"):
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


def test_a_missing_pool_is_an_error_with_a_cure(tmp_path):
    """A worker that does not see the directory says so."""
    with pytest.raises(IntegrityError, match="a directory that every worker sees"):
        open_pool(PoolFiles(str(tmp_path / "nowhere"), "0"))
