"""exam: the same numbers as embrm.evaluate, in one pass."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.evaluate import (
    best_of_n_curve,
    evaluate_deltas,
    expected_calibration_error,
    log_loss,
    prompt_rank_correlation,
)
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.heads.registry import make_head
from embrm.simulate import BradleyTerryAnnotator, TieAnnotator
from embrm.simulate.experiment import exam_pairs
from embrm.simulate.experiment.exam import Exam, ExamSettings

SETTINGS = ExamSettings((2, 4, 50), 0.9, 300)


class Rounded(LinearBradleyTerry):
    """A head with many equal rewards."""

    def reward(self, X):
        return np.round(super().reward(X))


def fit(pool):
    ids = pool.same_prompt_ids()[::3]
    return Rounded(alpha=1.0).fit(pool.pairs(ids), pool.gold_labels(ids))


def examine(test, head, annotator=None, scale=1.0):
    return Exam(test, SETTINGS).examine(head, annotator, scale)[0]


def test_order_consistency_is_that_of_evaluate(train, test):
    """The value exactly, the interval from the same resamples of prompts."""
    head, ids = fit(train), test.same_prompt_ids()
    metrics = examine(test, head)
    expected = evaluate_deltas(
        head.decision_function(test.pairs(ids)),
        test.gold_labels(ids),
        groups=test.pairs(ids).groups,
        level=0.9,
        n_resamples=300,
    ).order_consistency
    assert metrics["order_consistency"] == expected.estimate
    np.testing.assert_allclose(
        [metrics["order_consistency_low"], metrics["order_consistency_high"]],
        [expected.low, expected.high],
        rtol=1e-12,
    )


@pytest.mark.parametrize("kind", ["kendall", "spearman"])
def test_rank_correlation_is_that_of_evaluate(train, test, kind):
    """Ties on both sides, and prompts where it is undefined, included."""
    head = fit(train)
    expected = prompt_rank_correlation(
        test.gold, head.reward(test.items), test.prompt_ids, kind
    )
    metrics = examine(test, head)
    assert metrics[kind] == pytest.approx(expected.mean, rel=1e-12)
    assert metrics[f"{kind}_low"] < metrics[kind] < metrics[f"{kind}_high"]


@pytest.mark.parametrize("annotator", [BradleyTerryAnnotator(2.0), TieAnnotator()])
def test_likelihood_is_that_of_the_annotators_labels(train, test, annotator):
    """Of the probability of each label, divided by the scale of training."""
    head, ids = fit(train), test.same_prompt_ids()
    delta = head.decision_function(test.pairs(ids))
    gold_delta = test.gold[ids[:, 0]] - test.gold[ids[:, 1]]
    expected = annotator.probabilities(gold_delta / 0.7, ids)
    metrics = examine(test, head, annotator, 0.7)
    assert metrics["annotator_log_loss"] == pytest.approx(log_loss(delta, expected))
    assert metrics["annotator_calibration_error"] == pytest.approx(
        expected_calibration_error(delta, expected)
    )
    logit = np.log(expected / (1 - expected))
    assert metrics["annotator_entropy"] == pytest.approx(log_loss(logit, expected))


def test_without_an_annotator_its_metrics_are_nan(train, test):
    """One that cannot label the test pool leaves no likelihood."""
    metrics = examine(test, fit(train))
    names = [name for name in metrics if name.startswith("annotator")]
    assert len(names) == 5
    assert all(np.isnan(metrics[name]) for name in names)


def test_best_of_n_is_exact(train, test):
    """As the curve says, with regret and recovery; NaN beyond the largest prompt."""
    head = fit(train)
    metrics = examine(test, head)
    curve, ceiling, random = (
        best_of_n_curve(test.gold, reward, test.prompt_ids).mean
        for reward in (head.reward(test.items), test.gold, np.zeros(len(test)))
    )
    assert metrics["best_of_4"] == curve[3]
    assert metrics["best_of_4_regret"] == ceiling[3] - curve[3]
    assert metrics["best_of_4_recovery"] == pytest.approx(
        (curve[3] - random[3]) / (ceiling[3] - random[3])
    )
    assert np.isnan(metrics["best_of_50_recovery"])


def test_a_head_of_pairs_is_examined_on_pairs(train, test):
    """Its order consistency is that of its deltas, its Kendall's that of rewards."""
    ids = train.same_prompt_ids()
    first, second = train.items[ids[:, 0]], train.items[ids[:, 1]]
    y = first[:, 0] * second[:, 1] > first[:, 1] * second[:, 0]
    head = make_head("general", alpha=1.0, block_alpha=0.01).fit(train.pairs(ids), y)
    ids = test.same_prompt_ids()
    delta = head.decision_function(test.pairs(ids))
    expected = evaluate_deltas(delta, test.gold_labels(ids)).order_consistency
    by_reward = prompt_rank_correlation(
        test.gold, head.reward(test.items), test.prompt_ids
    )
    metrics = examine(test, head)
    assert metrics["order_consistency"] == expected.estimate
    assert metrics["kendall"] == pytest.approx(by_reward.mean)


def test_blocks_do_not_change_the_numbers(train, test, monkeypatch):
    """A pool too large to keep its pairs is examined alike."""
    annotator = BradleyTerryAnnotator()
    whole = examine(test, fit(train), annotator)
    monkeypatch.setattr(exam_pairs, "_BLOCK", 11)
    monkeypatch.setattr(exam_pairs, "_KEPT", 0)
    assert examine(test, fit(train), annotator) == pytest.approx(whole, nan_ok=True)


def test_single_responses_take_no_part(train, test):
    """A prompt with one response has no pair, and widens no interval."""
    extra = CandidatePool(
        np.vstack([test.items, test.items[:9]]),
        np.concatenate([test.prompt_ids, np.arange(900, 909)]),
        gold=np.concatenate([test.gold, test.gold[:9]]),
    )
    head = fit(train)
    names = ["order_consistency", "order_consistency_low", "kendall_high"]
    one, other = examine(test, head), examine(extra, head)
    assert [one[name] for name in names] == [other[name] for name in names]


def test_a_pool_without_a_pair_of_different_gold_is_refused(test):
    """Nothing could be told about any head."""
    constant = CandidatePool(test.items, test.prompt_ids, gold=np.ones(len(test)))
    with pytest.raises(InvalidInputError, match="responses of different gold to one"):
        Exam(constant, SETTINGS)
