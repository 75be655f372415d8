"""One object says how good a head is, each number with its interval."""

import json
import time

import numpy as np
import pytest

from embrm import Pairs
from embrm.evaluate import (
    brier_score,
    calibration_interval,
    evaluate_deltas,
    evaluate_head,
    expected_calibration_error,
    length_baseline,
    log_loss,
    order_consistency,
    prompt_bootstrap,
    prompt_rank_correlation,
)
from embrm.exceptions import InvalidInputError


@pytest.fixture
def judged():
    rng = np.random.default_rng(0)
    delta = np.round(rng.normal(scale=2, size=300), 1)
    return {
        "delta": delta,
        "y": rng.choice([0, 0.3, 0.5, 1], size=300),
        "groups": rng.integers(40, size=(300, 2)),
        "lengths": rng.integers(1, 99, size=(300, 2)),
        "sample_weight": rng.integers(0, 3, size=300),
    }


def test_estimates_are_the_metrics(judged):
    """Each by its own function."""
    evaluation = evaluate_deltas(**judged)
    delta, y, weight = judged["delta"], judged["y"], judged["sample_weight"]
    baseline = length_baseline(judged["lengths"])
    expected = {
        "order_consistency": order_consistency(delta, y, weight),
        "length_baseline": order_consistency(baseline, y, weight),
        "log_loss": log_loss(delta, y, weight),
        "brier": brier_score(delta, y, weight),
        "expected_calibration_error": expected_calibration_error(
            delta, y, sample_weight=weight
        ),
    }
    got = {name: i.estimate for name, i in evaluation.intervals().items()}
    assert got == pytest.approx(expected)


def test_intervals_are_those_of_each_metric_alone(judged):
    """One set of resamples serves them all."""
    evaluation = evaluate_deltas(**judged)
    delta, y = judged["delta"], judged["y"]
    options = {"groups": judged["groups"], "sample_weight": judged["sample_weight"]}
    losses = [log_loss([d], [label]) for d, label in zip(delta, y, strict=True)]
    loss = prompt_bootstrap(losses, **options)
    error = calibration_interval(delta, y, **options)
    assert evaluation.log_loss.low == pytest.approx(loss.low)
    assert evaluation.expected_calibration_error.high == pytest.approx(error.high)


def test_counts_say_what_was_evaluated(judged):
    """Pairs, prompts, ties of labels and of rewards."""
    evaluation = evaluate_deltas(**judged)
    assert evaluation.n_pairs == 300
    assert evaluation.n_prompts == 40
    assert evaluation.n_ties == (judged["y"] == 0.5).sum()
    assert evaluation.n_reward_ties == (judged["delta"] == 0).sum()


def test_unknown_prompts_are_flagged():
    """Pairs are resampled then, and the method says so."""
    evaluation = evaluate_deltas([1.0, -1.0, 2.0])
    assert evaluation.n_prompts is None
    assert evaluation.length_baseline is None
    assert "prompts unknown" in evaluation.order_consistency.method
    assert "unknown prompts" in str(evaluation)


def test_rank_correlation_is_there_if_gold_is(judged):
    """Kendall's tau-b, averaged over prompts, with its interval."""
    rng = np.random.default_rng(1)
    gold, prompts = rng.normal(size=90), np.repeat(np.arange(18), 5)
    reward = gold + rng.normal(size=90)
    reward[:5] = 0
    evaluation = evaluate_deltas(**judged, gold=gold, reward=reward, prompt_ids=prompts)
    expected = prompt_rank_correlation(gold, reward, prompts).mean
    assert evaluation.kendall.estimate == pytest.approx(expected)
    assert evaluation.kendall.low < expected < evaluation.kendall.high
    assert evaluation.kendall.n_groups == 17


def test_no_defined_correlation_is_left_out(judged):
    """A constant reward has none."""
    scores = {"gold": [1.0, 2.0], "reward": [0.0, 0.0], "prompt_ids": ["a", "a"]}
    assert evaluate_deltas(**judged, **scores).kendall is None


def test_gold_without_rewards_is_refused(judged):
    """All three or none."""
    with pytest.raises(InvalidInputError, match="no reward and no prompt_ids"):
        evaluate_deltas(**judged, gold=[1.0, 2.0])


def test_tied_labels_alone_are_refused():
    """There is no order to be consistent with."""
    with pytest.raises(InvalidInputError, match="label is not a tie"):
        evaluate_deltas([1.0], [0.5])


def test_the_frame_has_a_row_per_metric(judged):
    """With estimate and bounds."""
    frame = evaluate_deltas(**judged).to_frame()
    assert list(frame.columns) == ["metric", "estimate", "low", "high"]
    assert frame["metric"].tolist() == [
        "order_consistency",
        "length_baseline",
        "log_loss",
        "brier",
        "expected_calibration_error",
    ]
    assert (frame["low"] <= frame["high"]).all()


def test_json_holds_plain_numbers():
    """One pair has no interval: null, which JSON has."""
    text = json.dumps(evaluate_deltas([1.0], [1]).to_json(), allow_nan=False)
    found = json.loads(text)
    assert found["n_pairs"] == 1
    assert found["length_baseline"] is None
    assert found["order_consistency"]["estimate"] == 1.0
    assert found["order_consistency"]["low"] is None


def test_the_printed_table_is_aligned(judged):
    """The units stand in one column."""
    lines = str(evaluate_deltas(**judged, level=0.9)).splitlines()
    start = lines[0].index("unit")
    assert "90% interval" in lines[0]
    assert all(line[start - 1] == " " != line[start] for line in lines[1:-1])


def test_a_head_is_evaluated_on_pairs():
    """Prompts of the pairs are resampled without being asked for."""
    rng = np.random.default_rng(2)
    pairs = Pairs(
        rng.normal(size=(30, 1)),
        rng.permuted(np.tile(np.arange(30), 2)).reshape(-1, 2),
        np.arange(30) // 3,
    )

    class FirstColumn:
        def decision_function(self, pairs):
            return pairs.items[pairs.first, 0] - pairs.items[pairs.second, 0]

    evaluation = evaluate_head(FirstColumn(), pairs, level=0.8)
    direct = evaluate_deltas(
        FirstColumn().decision_function(pairs), groups=pairs.groups, level=0.8
    )
    assert evaluation == direct
    assert evaluation.n_prompts == 10


@pytest.mark.parametrize("kind", ["unknown", "same", "cross"])
def test_ten_thousand_pairs_take_less_than_a_second_of_work(kind):
    """Whatever is resampled; processor time, so that a busy machine may wait."""
    rng = np.random.default_rng(3)
    groups = {
        "unknown": None,
        "same": rng.integers(600, size=10_000),
        "cross": rng.integers(600, size=(10_000, 2)),
    }[kind]
    delta, lengths = rng.normal(size=10_000), rng.integers(1, 99, size=(10_000, 2))
    start = time.process_time()
    evaluate_deltas(delta, rng.integers(2, size=10_000), groups, lengths)
    assert time.process_time() - start < 2
