"""Reports of shards become one account."""

import json
import time

import pytest

from embrm.embed.base import Fingerprint
from embrm.embed.scale.shards import Shard
from embrm.embed.scale.tally import MissingTexts, ShardReport, ShardTally
from embrm.exceptions import TruncationWarning

WHO = Fingerprint({"kind": "fake", "max_tokens": 8}, dim=2, dtype="float32")
SHARDS = [Shard(n, None, 0, 0, n_texts=10, digest="") for n in range(3)]


def report(number, n_embedded=10, n_truncated=0):
    return ShardReport(number, 10, n_embedded, 100, n_truncated, 0, ("a",), "d", 1.0)


def account(*reports, **counts):
    with ShardTally(SHARDS, show=False) as tally:
        for one in reports:
            tally.add(one)
    missing = MissingTexts(n_items=50, n_unique=40, groups=[])
    return tally.account(missing, WHO, started=time.monotonic(), **counts)


def test_counts_are_summed():
    """Claim: what no shard embedded was in the cache."""
    done = account(report(0), report(2, 5), report(1), n_workers=2, n_retries=1)
    assert (done.n_items, done.n_unique, done.n_tokens) == (50, 40, 300)
    assert (done.n_hits, done.n_embedded) == (15, 25)
    assert (done.n_shards, done.n_workers, done.n_retries) == (3, 2, 1)


def test_the_account_reads_as_a_sentence():
    """Claim: shards, workers and retries stand after the usual words."""
    words = str(account(report(0), n_workers=2, n_retries=1))
    assert words.startswith("50 items (40 different): 30 from the cache (75%), 10 emb")
    assert words.endswith(
        "in 3 shards by 2 workers, of which 1 again after losing its worker"
    )


def test_the_account_is_json():
    """Claim: to_json is ready for JSON and names the shards."""
    assert json.loads(json.dumps(account(report(0)).to_json()))["n_shards"] == 3


def test_truncation_is_summed_and_said_once():
    """Claim: one warning for all shards, with the share of all."""
    with pytest.warns(TruncationWarning, match=r"3 of 20 prompts \(15\.0%\)") as caught:
        account(report(0, n_truncated=1), report(1, n_truncated=2))
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
