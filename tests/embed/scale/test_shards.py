"""Every text is in exactly one shard, with its group, and comes back as it was."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from embrm.embed import item_keys
from embrm.embed.cache.durable import RemotePath
from embrm.embed.scale.shards import (
    balanced_blocks,
    group_tokens,
    parse_part,
    prompt_groups,
    read_shard,
    write_shards,
)
from embrm.exceptions import EmbrmError, IntegrityError, InvalidInputError

# Surrogates too: scraped data has them.
words = st.text(st.characters(), max_size=5)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "x"]), "content": words}),
    max_size=2,
)
some_texts = st.lists(
    st.tuples(words | messages, words),
    max_size=12,
    unique_by=lambda text: item_keys([text]).tobytes(),
)


def shards_of(path, texts, shard_tokens=1e9):
    groups = prompt_groups(texts, np.arange(len(texts)))
    return write_shards(path, texts, groups, shard_tokens)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(some_texts, st.floats(0.25, 20))
def test_every_text_comes_back_from_exactly_one_shard(tmp_path, texts, shard_tokens):
    """Claim: whatever the texts and the size, the shards' keys are the texts' keys."""
    shards = shards_of(tmp_path / "texts.jsonl", texts, shard_tokens)
    back = [text for shard in shards for text in read_shard(shard)]
    assert sorted(item_keys(back).tolist()) == sorted(item_keys(texts).tolist())
    assert sum(shard.n_texts for shard in shards) == len(texts)
    assert [shard.number for shard in shards] == list(range(len(shards)))


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(some_texts, st.floats(0.25, 20))
def test_prompt_groups_are_never_cut(tmp_path, texts, shard_tokens):
    """Claim: the responses to a prompt are in one shard."""
    shards = shards_of(tmp_path / "texts.jsonl", texts, shard_tokens)
    prompts = [
        {item_keys([(prompt, "")]).tobytes() for prompt, _ in read_shard(shard)}
        for shard in shards
    ]
    assert sum(map(len, prompts)) == len(set().union(*prompts))


@settings(max_examples=100)
@given(st.lists(st.floats(0.25, 1e6), max_size=30), st.integers(1, 9))
def test_blocks_cover_everything_once_and_are_balanced(sizes, n_blocks):
    """Claim: contiguous, complete, and above the mean by at most the largest."""
    sizes = np.array(sizes)
    blocks = balanced_blocks(sizes, n_blocks)
    assert len(blocks) == n_blocks
    covered = [at for block in blocks for at in range(block.start, block.stop)]
    assert covered == list(range(len(sizes)))
    if len(sizes):
        fullest = max(sizes[block].sum() for block in blocks)
        assert fullest <= (sizes.sum() / n_blocks + sizes.max()) * (1 + 1e-9)


def test_a_group_costs_its_prompt_once():
    """Claim: lengths are those of unique tokens, as with shared prefixes."""
    texts = [("p" * 400, "r" * 39)] * 3
    [one] = group_tokens(texts, [[0]])
    [three] = group_tokens(texts, [[0, 1, 2]])
    assert three - one == 20
    assert one == pytest.approx(110, abs=5)


def test_shards_are_about_as_long_as_asked(tmp_path):
    """Claim: 100 equal groups of 100 tokens in shards of 1,000 are 10 by 10."""
    texts = [(f"{n:03d}" + "p" * 184, "r" * 199) for n in range(100)]
    [size, *_] = group_tokens(texts, [[0]])
    shards = shards_of(tmp_path / "texts.jsonl", texts, 10 * size)
    assert [shard.n_texts for shard in shards] == [10] * 10


def test_both_spellings_of_a_prompt_are_one_group():
    """Claim: text and the same text as a message are grouped."""
    texts = [("Hi", "a"), ([{"role": "user", "content": "Hi"}], "b")]
    assert prompt_groups(texts, np.arange(2)) == [[0, 1]]


def test_messages_stay_messages_and_text_stays_text(tmp_path):
    """Claim: the encoder gets prompts in the form in which they were given."""
    chat = [{"role": "user", "content": "Hi\u2028"}, {"role": "x", "content": "\r\n"}]
    texts = [(chat, "yes"), ("one\ntwo", "\ud83d\ude00")]
    [shard] = shards_of(tmp_path / "texts.jsonl", texts)
    assert read_shard(shard) == texts


def test_a_shard_keeps_its_place_when_the_working_directory_changes(
    tmp_path, monkeypatch
):
    """Claim: the path is absolute."""
    monkeypatch.chdir(tmp_path)
    [shard] = shards_of(Path("texts.jsonl"), [("p", "r")])
    monkeypatch.chdir("/")
    assert read_shard(shard) == [("p", "r")]


def test_a_file_that_is_not_there_is_said_with_a_fix(tmp_path):
    """Claim: a machine that does not share the disk gets a clear error."""
    path = tmp_path / "texts.jsonl"
    [shard] = shards_of(path, [("p", "r")])
    path.unlink()
    with pytest.raises(EmbrmError, match=r"No such file.*disk that all machines share"):
        read_shard(shard)


@pytest.mark.parametrize("change", [b"", b'["p",["x"]]\n'])
def test_a_file_that_changed_is_refused(tmp_path, change):
    """Claim: a shard never stands for other texts than those it was made of."""
    path = tmp_path / "texts.jsonl"
    [shard] = shards_of(path, [("p", "r")])
    path.write_bytes(change)
    with pytest.raises(IntegrityError, match=r"others than were written.*run again"):
        read_shard(shard)


def test_a_disk_that_refuses_is_said_with_a_fix(tmp_path):
    """Claim: an OSError while writing becomes an error of embrm."""
    with pytest.raises(EmbrmError, match="write the texts"):
        shards_of(tmp_path / "nowhere" / "texts.jsonl", [("p", "r")])


@pytest.mark.parametrize("part", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/2", ""])
def test_a_part_is_counted_from_one(part):
    """Claim: i/n with 1 <= i <= n, and nothing else."""
    with pytest.raises(InvalidInputError, match=r"part i/n with 1 <= i.*count from 1"):
        parse_part(part)


def test_the_last_part_is_n_of_n():
    """Claim: both ends are allowed."""
    assert (parse_part("1/4"), parse_part("4/4")) == ((1, 4), (4, 4))


def test_shards_may_lie_on_another_filesystem(tmp_path):
    """Claim: a cache on S3 holds the texts, too, and a worker is told where."""
    place = RemotePath(SubTreeFileSystem(str(tmp_path), LocalFileSystem()), "t.jsonl")
    texts = [("p", "r"), ("q", "s")]
    shards = shards_of(place, texts, 1)
    sent = [pickle.loads(pickle.dumps(shard)) for shard in shards]
    assert [text for shard in sent for text in read_shard(shard)] == texts
