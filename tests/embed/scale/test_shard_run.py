"""embed_shard may run twice and anywhere; parts together are the whole."""

import json
import time

import numpy as np
import pytest

from embrm.embed import BatchReport, Fingerprint, HashingEncoder, embed_items, item_keys
from embrm.embed.cache import VectorCache
from embrm.embed.scale import Shard, ShardReport, embed_part, embed_shard
from embrm.embed.scale.shard_run import MissingTexts, ShardTally, find_missing
from embrm.embed.scale.shards import write_shards
from embrm.exceptions import InvalidInputError, TruncationWarning

ENCODER = HashingEncoder(dim=16)
TEXTS = [(f"prompt {n // 3}", f"response {n}") for n in range(30)]
KEYS = item_keys(TEXTS)


class Cutting:
    """Reports each prompt as truncated."""

    fingerprint = ENCODER.fingerprint

    def encode(self, texts, *, on_batch=None):
        on_batch(BatchReport(len(texts), n_truncated=len(texts)))
        return ENCODER.encode(texts)


@pytest.fixture
def cache(tmp_path):
    """An empty cache."""
    return VectorCache(tmp_path / "cache")


@pytest.fixture
def shard(tmp_path):
    """The first two prompt groups as a shard."""
    [shard] = write_shards(tmp_path / "texts.jsonl", TEXTS, [[0, 1, 2], [3, 4, 5]], 1e9)
    return shard


def rows_in(cache):
    return sum(info.n_rows for info in cache.stores())


def test_a_shard_embeds_its_texts_and_reports_only_counts(shard, cache):
    """Claim: the vectors are those of a run in one piece, in one new segment."""
    report = embed_shard(shard, ENCODER, cache)
    store = cache.open(ENCODER.fingerprint)
    np.testing.assert_array_equal(store.take(KEYS[:6]), ENCODER.encode(TEXTS[:6]))
    assert (report.n_texts, report.n_embedded, rows_in(cache)) == (6, 6, 6)
    assert report.n_tokens > 0
    assert report.segments == tuple(segment.name for segment in store.segments)


def test_a_second_time_nothing_is_doubled(shard, cache):
    """Claim: another process finds everything, writes nothing, and says the same."""
    first = embed_shard(shard, ENCODER, cache)
    again = embed_shard(shard, ENCODER, cache.directory)
    assert (again.n_embedded, again.segments, rows_in(cache)) == (0, (), 6)
    assert again.digest == first.digest


def test_a_shard_that_was_half_done_goes_on(shard, cache):
    """Claim: only what the cache lacks is embedded."""
    embed_items(TEXTS[:4], ENCODER, cache)
    assert embed_shard(shard, ENCODER, cache).n_embedded == 2
    assert rows_in(cache) == 6


def test_segments_of_others_are_not_claimed(shard, cache):
    """Claim: what another writer appends meanwhile is not in the report."""

    class Meanwhile(Cutting):
        def encode(self, texts, *, on_batch=None):
            embed_items(TEXTS[6:], ENCODER, cache.directory)
            return ENCODER.encode(texts)

    report = embed_shard(shard, Meanwhile(), cache)
    assert len(report.segments) == 1
    assert rows_in(cache) == 30


def test_the_digest_tells_other_vectors(shard, cache, tmp_path):
    """Claim: it covers the vectors, not the texts alone."""
    first = embed_shard(shard, ENCODER, cache)
    other = embed_shard(shard, HashingEncoder(dim=16, seed=1), cache)
    assert other.digest != first.digest


def test_truncation_is_reported_and_not_warned_of_by_a_shard(shard, cache, recwarn):
    """Claim: whoever gave the shard out warns, once for all."""
    assert embed_shard(shard, Cutting(), cache).n_truncated == 6
    assert not recwarn


def test_a_part_warns_once_at_its_caller(cache):
    """Claim: one warning for all shards."""
    with pytest.warns(TruncationWarning, match="30 of 30 prompts") as caught:
        embed_part(TEXTS, Cutting(), cache, shard_tokens=10)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("n_parts", [1, 3, 20])
def test_all_parts_together_embed_everything_once(cache, n_parts):
    """Claim: each text is in one part; more parts than prompts leaves some empty."""
    texts = [*TEXTS, *TEXTS[:7]]
    parts = [
        embed_part(texts, ENCODER, cache.directory, part=(i + 1, n_parts))
        for i in range(n_parts)
    ]
    assert sum(part.n_embedded for part in parts) == 30
    assert sum(part.n_unique for part in parts) == 30
    assert sum(part.n_items for part in parts) == 37
    done = embed_items(texts, ENCODER, cache)
    assert (done.n_embedded, rows_in(cache)) == (0, 30)
    np.testing.assert_array_equal(done.vectors, ENCODER.encode(texts))


def test_parts_do_not_depend_on_what_is_cached(cache):
    """Claim: a job that starts late agrees with the others on who does what."""
    before = find_missing(TEXTS, ENCODER, cache, (2, 3))
    embed_part(TEXTS, ENCODER, cache, part=(1, 3))
    assert find_missing(TEXTS, ENCODER, cache, (2, 3)) == before
    embed_part(TEXTS, ENCODER, cache, part=(2, 3))
    after = find_missing(TEXTS, ENCODER, cache, (2, 3))
    assert (after.n_unique, after.groups) == (before.n_unique, [])


def test_shards_are_small_enough_to_lose(cache):
    """Claim: shard_tokens decides how many there are, and all are committed."""
    done = embed_part(TEXTS, ENCODER, cache, shard_tokens=50)
    assert done.n_shards == len(cache.open(ENCODER.fingerprint).segments) > 2


def test_shards_have_a_size(cache):
    """Claim: shard_tokens is at least 1."""
    with pytest.raises(InvalidInputError, match=r"shard_tokens >= 1.*default"):
        embed_part(TEXTS, ENCODER, cache, shard_tokens=0)


def test_no_file_of_texts_is_left(cache, tmp_path, monkeypatch):
    """Claim: the temporary file goes with the run."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    embed_part(TEXTS, ENCODER, cache)
    assert list((tmp_path / "tmp").iterdir()) == []


WHO = Fingerprint({"kind": "fake", "max_tokens": 8}, dim=2, dtype="float32")
SHARDS = [Shard(n, None, 0, 0, n_texts=10, digest="") for n in range(3)]


def report(number, n_embedded=10, n_truncated=0):
    return ShardReport(number, 10, n_embedded, 100, n_truncated, 0, ("a",), "d", 1.0)


def summed(*reports, **counts):
    with ShardTally(SHARDS, show=False) as tally:
        for one in reports:
            tally.add(one)
    missing = MissingTexts(n_items=50, n_unique=40, groups=[])
    return tally.report(missing, WHO, started=time.monotonic(), **counts)


def test_counts_are_summed():
    """Claim: what no shard embedded was in the cache."""
    done = summed(report(0), report(2, 5), report(1), n_workers=2, n_retries=1)
    assert (done.n_items, done.n_unique, done.n_tokens) == (50, 40, 300)
    assert (done.n_hits, done.n_embedded) == (15, 25)
    assert (done.n_shards, done.n_workers, done.n_retries) == (3, 2, 1)


def test_the_report_reads_as_a_sentence():
    """Claim: shards, workers and retries stand after the usual words."""
    words = str(summed(report(0), n_workers=2, n_retries=1))
    assert words.startswith("50 items (40 different): 30 from the cache (75%), 10 emb")
    assert words.endswith(
        "in 3 shards by 2 workers, of which 1 again after losing its worker"
    )


def test_the_report_is_json():
    """Claim: to_json is ready for JSON and names the shards."""
    assert json.loads(json.dumps(summed(report(0)).to_json()))["n_shards"] == 3


def test_truncation_is_summed_and_said_once():
    """Claim: one warning for all shards, with the share of all."""
    with pytest.warns(TruncationWarning, match=r"3 of 20 prompts \(15\.0%\)") as caught:
        summed(report(0, n_truncated=1), report(1, n_truncated=2))
    assert len(caught) == 1


def interrupt(tally):
    with tally:
        tally.add(report(0))
        raise KeyboardInterrupt


def test_an_interrupt_says_how_to_go_on():
    """Claim: Ctrl-C names the shards done and the way to resume."""
    got = r"stopped after 1 of 3 shards.*run the same again"
    with pytest.raises(KeyboardInterrupt, match=got):
        interrupt(ShardTally(SHARDS))


def test_other_errors_pass_through():
    """Claim: the tally adds nothing to errors that say what to do themselves."""
    with pytest.raises(ValueError, match=r"^as it was$"), ShardTally(SHARDS):
        raise ValueError("as it was")
