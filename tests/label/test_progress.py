"""The side panel: figures over prompts, and labels left from the budget curve."""

import json

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.active import LabelLoop
from embrm.label import Journal, QueueSettings
from embrm.label.progress import Refitter, labels_left, measure, progress_of
from embrm.label.queue import journal_of
from tests.label.conftest import make_texts

SETTINGS = QueueSettings(batch=4, overlap=0.0, attention=0.0)


def judge(queue, n, annotator="me"):
    """Judge by the length of the second word of the prompt: anything but at random."""
    for _ in range(n):
        shown = queue.next(annotator)
        winner = ["first", "second"][(shown.task.first + shown.swapped) % 2]
        queue.judge(annotator, shown.key, winner, {})


def simulated_session(seed):
    """Points of the budget curve until the interval is 2 points to either side."""
    rng = np.random.default_rng(seed)
    prompts = np.repeat(np.arange(200), 14)
    items = rng.normal(size=(2800, 24)) + 0.7 * rng.normal(size=(200, 24))[prompts]
    gold = items @ rng.normal(size=24) / np.sqrt(24)
    pool = CandidatePool(items, prompts)
    loop = LabelLoop(pool, held_out_share=0.5, random_state=seed, n_candidates=2000)
    curve = []
    while not curve or curve[-1]["high"] - curve[-1]["low"] > 0.04:
        proposal = loop.propose(60)
        delta = 4 * (gold[proposal.ids[:, 0]] - gold[proposal.ids[:, 1]])
        loop.add(
            proposal.ids,
            (rng.random(60) < 1 / (1 + np.exp(-delta))).astype(float),
            is_random=proposal.is_random,
            held_out=proposal.held_out,
        )
        curve.append(measure(loop.refit()))
    return curve, loop.n_pairs


def test_the_forecast_at_half_way_is_near_what_is_needed():
    """Of simulated annotators: within 40% each, and within 20% on average."""
    errors = []
    for seed in range(4):
        curve, n_pairs = simulated_session(seed)
        needed = curve[-1]["n_labels"]
        half = [point for point in curve if point["n_labels"] <= needed / 2]
        n = half[-1]["n_labels"]
        left = labels_left(half, n, n_pairs - n)
        errors.append((n + left["n"]) / needed - 1)
        assert labels_left(curve, needed, 9)["n"] == 0
    assert max(np.abs(errors)) < 0.4
    assert np.mean(np.abs(errors)) < 0.2


def points(*pairs):
    """A curve of (labels, half width)."""
    return [{"n_labels": n, "low": 0.7 - h, "high": 0.7 + h} for n, h in pairs]


def test_a_square_root_law_is_carried_on():
    """Half the width for four times the labels; a few points tell nothing."""
    curve = points(*[(n, 0.8 / np.sqrt(n)) for n in (100, 144, 196, 256, 400)])
    assert labels_left(curve, 400, 5000) == {"n": 1200, "pairs_left": 5000}
    assert labels_left(curve[:3], 400, 5000) is None
    assert labels_left([], 0, 10) is None
    # Labels that were taken back are no longer of the curve.
    assert labels_left(curve, 200, 5000) is None


def test_curves_that_are_flat_or_rise_are_no_cause_for_alarm():
    """The forecast stays finite, and at least one label is left."""
    rising = points(*[(n, 0.05 + n / 1e5) for n in (100, 150, 200, 300, 400)])
    left = labels_left(rising, 400, 50)
    assert left["n"] > left["pairs_left"] == 50
    noisy = points((10, 0.3), (12, 0.1), (14, 0.05), (16, 0.021), (18, 0.0201))
    assert labels_left(noisy, 18, 50)["n"] >= 1


def test_held_out_figures_have_intervals_over_prompts(out, make_queue):
    """From five prompts; with fewer there is a figure, and no interval."""
    queue = make_queue(out, SETTINGS, texts=make_texts(3, 6), held_out_share=0.5)
    judge(queue, 20)
    Refitter(queue).refit()
    few = progress_of(queue, "me")["held_out"]
    assert (few["n"], few["n_prompts"], few["n_labels"]) == (10, 3, 20)
    assert 0 <= few["order_consistency"] <= 1
    assert few["low"] is few["high"] is None
    assert queue.curve == []
    more = make_queue(out.with_name("more"), SETTINGS, held_out_share=0.5)
    judge(more, 20)
    Refitter(more).refit()
    found = progress_of(more, "me")["held_out"]
    assert found["n_prompts"] >= 5
    assert 0 <= found["low"] <= found["order_consistency"] <= found["high"] <= 1


def test_labels_of_one_prompt_are_no_more_certain_than_the_prompt():
    """Ten labels of each of six prompts, all alike: an interval of six, not sixty."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(6 * 8, 2))
    pool = CandidatePool(items, np.repeat(np.arange(6), 8))
    loop = LabelLoop(pool, held_out_share=0.9, random_state=0)
    ids = pool.same_prompt_ids()
    loop.add(ids[:20], np.ones(20), is_random=True)
    loop.refit()
    right = loop.posterior.delta(ids) > 0
    # Of three prompts every label is as the head says, of the others none.
    y = np.where(pool.prompt_ids[ids[:, 0]] < 3, right, ~right).astype(float)
    loop.add(ids, y, is_random=True, held_out=True)
    found = measure(loop)
    assert found["order_consistency"] == 0.5
    assert found["high"] - found["low"] > 0.7


def test_the_budget_curve_is_kept_and_gone_on_with(out, make_queue):
    """A point in the journal for each fit; a session that goes on has them all."""
    queue = make_queue(out, SETTINGS, texts=make_texts(9, 5), held_out_share=0.5)
    for _ in range(5):
        judge(queue, 12)
        Refitter(queue).refit()
    Refitter(queue).refit()
    curve = [dict(point) for point in queue.curve]
    assert [point["n_labels"] for point in curve] == [12, 24, 36, 48, 60]
    left = progress_of(queue, "me")["labels_left"]
    assert left["pairs_left"] == 90 - 60
    assert left["n"] > left["pairs_left"]
    queue.close()
    # A fit that ends after the session does no harm.
    queue.note_measured({**curve[-1], "n_labels": 61})
    with Journal(journal_of(out)) as journal:
        kept = [e for e in journal.events if e["event"] == "measured"]
    assert kept == curve == json.loads(json.dumps(curve))
    again = make_queue(out, SETTINGS, texts=make_texts(9, 5), held_out_share=0.5)
    assert again.curve == curve
    assert progress_of(again, "me")["labels_left"] == pytest.approx(left)
