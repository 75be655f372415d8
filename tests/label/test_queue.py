"""Judgements are kept, undone and resumed; who sees what, and how often."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from embrm.datasets import read_preferences
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.label import Journal, QueueSettings
from embrm.label.progress import progress_of
from embrm.label.queue import journal_of
from tests.label.conftest import PLAIN, make_texts


def judge(queue, annotator="me", winner="first", **details):
    shown = queue.next(annotator)
    queue.judge(annotator, shown.key, winner, details)
    return shown


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_label_is_on_disk_before_the_next_pair(out, make_queue):
    """In the journal and in the table, with all that is known of it."""
    queue = make_queue(out)
    shown = judge(queue, seconds=2.5, strength=2, reasons=["clear"], comment="so")
    (row,) = rows_of(out)
    assert rows_of(journal_of(out))[0]["key"] == shown.key == row["pair_id"]
    assert row["winner"] == ("second" if shown.swapped else "first")
    assert row["position"] == ("second first" if shown.swapped else "first first")
    known = {"annotator": "me", "seconds": 2.5, "strength": 2, "comment": "so"}
    assert row | known == row
    assert row["strategy"] == "random"
    assert 0 < row["propensity"] <= 1


def test_the_table_is_read_as_preferences(out, make_queue):
    """First, second, tie and both bad, as they were meant."""
    queue = make_queue(out)
    for winner in ("first", "second"):
        swapped = queue.next("me").swapped
        other = {"first": "second", "second": "first"}[winner]
        judge(queue, winner=other if swapped else winner)
    for winner in ("tie", "both bad"):
        judge(queue, winner=winner)
    read = read_preferences(out)
    assert read.y.tolist() == [1.0, 0.0, 0.5, 0.5]
    assert set(read.pairs["annotator"]) == {"me"}
    assert "propensity" in read.pairs
    assert "strategy" in read.pairs


def test_undo_appends_and_shows_the_pair_again(out, make_queue):
    """With the same sides; judged anew it counts once."""
    queue = make_queue(out)
    judge(queue)
    before = judge(queue)
    after = queue.undo("me")
    assert (after.key, after.swapped) == (before.key, before.swapped)
    events = [e["event"] for e in rows_of(journal_of(out))]
    assert events == ["shown", "label", "shown", "label", "undo"]
    assert len(rows_of(out)) == 1
    assert queue.next("me") == after
    queue.judge("me", after.key, "tie", {})
    assert [row["winner"] for row in rows_of(out)][-1] == "tie"
    assert queue.loop.n_labels == 2
    queue.undo("me"), queue.undo("me")
    assert queue.undo("me") is None
    assert rows_of(out) == []


def test_the_same_pair_is_shown_until_it_is_judged(out, make_queue):
    """A reload or a second tab sees no other; a repeated answer counts once."""
    queue = make_queue(out)
    shown = queue.next("me")
    assert queue.next("me") == shown
    assert queue.judge("me", shown.key, "first", {})
    assert not queue.judge("me", shown.key, "first", {})
    with pytest.raises(InvalidInputError, match="judged already, in another way"):
        queue.judge("me", shown.key, "second", {})
    with pytest.raises(InvalidInputError, match="not on this annotator's screen"):
        queue.judge("me", "0123", "second", {})
    with pytest.raises(InvalidInputError, match="no answer: 'best'"):
        queue.judge("me", queue.next("me").key, "best", {})
    assert len(rows_of(out)) == 1


def test_a_session_goes_on_where_it_was(out, make_queue):
    """Labels, undo of them, and no pair twice."""
    queue = make_queue(out)
    first = [judge(queue).key for _ in range(5)]
    judge(queue, winner="skip")
    queue.close()
    again = make_queue(out)
    assert again.loop.n_labels == 5
    rest = []
    while again.next("me") is not None:
        rest.append(judge(again).key)
    assert len(set(first + rest)) == 35
    assert again.undo("me").key == rest[-1]


def test_two_annotators_do_no_work_twice_but_for_the_overlap(out, make_queue):
    """A share of pairs is judged by both, for agreement."""
    queue = make_queue(out)
    seen = [judge(queue, name).key for _ in range(8) for name in ("ann", "bob")]
    assert len(set(seen)) == 16
    queue.close()
    some = out.with_name("overlapping.jsonl")
    both = make_queue(some, QueueSettings(batch=4, overlap=0.5, attention=0.0))
    for _ in range(12):
        for name in ("ann", "bob"):
            judge(both, name, winner="tie")
    counts = Counter(row["pair_id"] for row in rows_of(some))
    assert max(counts.values()) == 2
    n_twice = sum(count == 2 for count in counts.values())
    assert 3 <= n_twice <= 12
    found = progress_of(both, "ann")
    assert found["agreement"] == {"n": n_twice, "share": 1.0}
    assert found["annotators"] == 2


def test_repeats_swap_the_sides_and_measure_consistency(out, make_queue):
    """They are in the journal, not in the table; errors follow from them."""
    settings = QueueSettings(batch=4, overlap=0.0, attention=0.5, attention_after=2)
    queue = make_queue(out, settings)
    sides = {}
    for _ in range(20):
        shown = queue.next("me")
        if shown.kind == "attention":
            assert shown.swapped != sides[shown.task.id]
        sides.setdefault(shown.task.id, shown.swapped)
        # Always the left one: what a careless annotator does.
        queue.judge("me", shown.key, "first", {"seconds": 3.0})
    repeats = [e for e in queue.labels(repeats=True) if e["kind"] == "attention"]
    assert len(repeats) >= 3
    assert len(rows_of(out)) == 20 - len(repeats) == queue.loop.n_labels
    found = progress_of(queue, "me")
    assert found["repeats"] == {"n": len(repeats), "alike": 0.0}
    assert found["error_rate"] == 0.5
    assert found["seconds"] == 3.0


def test_what_someone_left_goes_to_others_after_a_while(out, make_queue):
    """No pair is lost with who went away."""
    now = [0.0]
    queue = make_queue(out, clock=lambda: now[0])
    left = queue.next("ann")
    assert queue.next("bob").key != left.key
    judge(queue, "bob")
    now[0] = PLAIN.lease_seconds + 1
    assert queue.next("bob").key == left.key


def test_a_table_without_a_journal_is_made_from_it_again(out, make_queue):
    """The journal is the truth."""
    queue = make_queue(out)
    judge(queue)
    queue.close()
    content = out.read_text()
    out.unlink()
    make_queue(out).close()
    assert out.read_text() == content


def test_one_server_at_a_time_writes_a_journal(out, make_queue):
    """Two would not know of each other's labels."""
    queue = make_queue(out)
    with pytest.raises(InvalidInputError, match="another process that labels into it"):
        make_queue(out)
    queue.close()


def test_a_torn_line_is_cut_off_and_a_damaged_one_is_refused(tmp_path):
    """Only the last line can be torn by a kill."""
    path = tmp_path / "a.journal.jsonl"
    path.write_bytes(b'{"event": 1}\n{"event": 2}\n{"eve')
    with Journal(path) as journal:
        assert [event["event"] for event in journal.events] == [1, 2]
        journal.append({"event": 3})
    assert [row["event"] for row in rows_of(path)] == [1, 2, 3]
    path.write_bytes(b'{"event": 1}\n{"ev\n{"event": 3}\n')
    with pytest.raises(IntegrityError, match="an event in line 2"):
        Journal(path)


def test_an_event_that_cannot_be_written_leaves_no_trace(out, make_queue, monkeypatch):
    """As on a full disk: the judgement is refused, and can be made again."""
    queue = make_queue(out)
    shown = judge(queue)
    content = journal_of(out).read_bytes()
    shown = queue.next("me")
    content = journal_of(out).read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            queue.judge("me", shown.key, "first", {})
    assert journal_of(out).read_bytes() == content
    assert queue.next("me") == shown
    assert queue.judge("me", shown.key, "first", {})
    queue.close()
    assert len(make_queue(out).labels()) == 2


def test_an_undo_that_is_sent_again_takes_back_one_judgement(out, make_queue):
    """As when its answer was lost, and after a restart; another request is another."""
    queue = make_queue(out)
    keys = [judge(queue).key for _ in range(3)]
    assert queue.undo("me", "a").key == queue.undo("me", "a").key == keys[2]
    assert queue.undo("me", "b").key == keys[1]
    queue.close()
    again = make_queue(out)
    assert again.undo("me", "b").key == keys[1]
    assert len(rows_of(out)) == 1
    assert again.undo("me").key == keys[0]


SESSION = """
import os
import sys
from pathlib import Path
from tests.label.conftest import build_queue, make_texts

# A server of children: each judges, and now and then takes back, until it is killed.
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        queue = build_queue(Path(sys.argv[1]), texts=make_texts(30, 8))
        n = 0
        while (shown := queue.next("me")) is not None:
            queue.judge("me", shown.key, "first", {"comment": "x" * (n % 300)})
            os.write(1, b"+%s\\n" % shown.key.encode())
            n += 1
            if n % 7 == 0:
                os.write(1, b"-%s\\n" % queue.undo("me").key.encode())
        os._exit(1)
    os.write(2, b"%d\\n" % child)
    os.waitpid(child, 0)
    os.write(1, b"dead\\n")
"""


def test_no_acknowledged_label_or_undo_is_lost_by_200_kills(out, make_queue):
    """Sessions of one process, which has all imported, are killed as they write."""
    acknowledged = {}
    with subprocess.Popen(
        [sys.executable, "-c", SESSION, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as parent:
        for turn in range(200):
            parent.stdin.write(b"go\n")
            parent.stdin.flush()
            child = int(parent.stderr.readline())
            lines = [parent.stdout.readline()]
            time.sleep((turn % 7) / 2000)
            os.kill(child, signal.SIGKILL)
            while lines[-1] != b"dead\n":
                lines.append(parent.stdout.readline())
            for line in lines[:-1]:
                acknowledged[line[1:-1].decode()] = line[:1] == b"+"
        parent.stdin.close()
        parent.wait(10)
    queue = make_queue(out, texts=make_texts(30, 8))
    kept = [event["key"] for event in queue.labels()]
    assert [row["pair_id"] for row in rows_of(out)] == kept
    assert len(set(kept)) == len(kept) >= 150
    # What was acknowledged stands; what was being written may stand or not.
    doubtful = {key for key, stands in acknowledged.items() if stands != (key in kept)}
    assert len(doubtful) <= 1
