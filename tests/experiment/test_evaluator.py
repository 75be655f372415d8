"""evaluator: the same numbers as embrm.evaluate, on every pair of a test pool."""

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
from embrm.experiment import evaluator as module
from embrm.experiment.evaluator import EvaluationSettings, Evaluator
from embrm.heads import LinearBradleyTerry, make_head
from embrm.simulate import BradleyTerryAnnotator, TieAnnotator

SETTINGS = EvaluationSettings((2, 4, 50), 0.9, 300)


class Rounded(LinearBradleyTerry):
    """A head with many equal rewards."""

    def reward(self, X):
        return np.round(super().reward(X))


def fit(pool):
    ids = pool.same_prompt_ids()[::3]
    return Rounded(alpha=1.0).fit(pool.pairs(ids), pool.gold_labels(ids))


def evaluate(test, head, annotator=None, scale=1.0):
    return Evaluator(test, SETTINGS).evaluate(head, annotator, scale)[0]


def test_order_consistency_is_that_of_evaluate(train, test):
    """The value exactly, the interval from the same resamples of prompts."""
    head, ids = fit(train), test.same_prompt_ids()
    metrics = evaluate(test, head)
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
    metrics = evaluate(test, head)
    assert metrics[kind] == pytest.approx(expected.mean, rel=1e-12)
    assert metrics[f"{kind}_low"] < metrics[kind] < metrics[f"{kind}_high"]


@pytest.mark.parametrize("annotator", [BradleyTerryAnnotator(2.0), TieAnnotator()])
def test_likelihood_is_that_of_the_annotators_labels(train, test, annotator):
    """Of the probability of each label, divided by the scale of training."""
    head, ids = fit(train), test.same_prompt_ids()
    delta = head.decision_function(test.pairs(ids))
    gold_delta = test.gold[ids[:, 0]] - test.gold[ids[:, 1]]
    expected = annotator.probabilities(gold_delta / 0.7, ids)
    metrics = evaluate(test, head, annotator, 0.7)
    assert metrics["annotator_log_loss"] == pytest.approx(log_loss(delta, expected))
    assert metrics["annotator_calibration_error"] == pytest.approx(
        expected_calibration_error(delta, expected)
    )
    logit = np.log(expected / (1 - expected))
    assert metrics["annotator_entropy"] == pytest.approx(log_loss(logit, expected))


def test_without_an_annotator_its_metrics_are_nan(train, test):
    """One that cannot label the test pool leaves no likelihood."""
    metrics = evaluate(test, fit(train))
    names = [name for name in metrics if name.startswith("annotator")]
    assert len(names) == 5
    assert all(np.isnan(metrics[name]) for name in names)


def test_best_of_n_is_exact(train, test):
    """As the curve says, with regret and recovery; NaN beyond the largest prompt."""
    head = fit(train)
    metrics = evaluate(test, head)
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


def fit_to_cycles(pool):
    """Fit a general preference to labels that no reward gives."""
    ids = pool.same_prompt_ids()
    first, second = pool.items[ids[:, 0]], pool.items[ids[:, 1]]
    y = first[:, 0] * second[:, 1] > first[:, 1] * second[:, 0]
    head = make_head("general", alpha=1.0, block_alpha=0.01)
    return head.fit(pool.pairs(ids), y)


def test_a_head_of_pairs_is_evaluated_on_pairs(train, test):
    """Its order consistency is that of its deltas, its Kendall's that of rewards."""
    head, ids = fit_to_cycles(train), test.same_prompt_ids()
    assert not head.delta_is_reward_difference
    delta = head.decision_function(test.pairs(ids))
    expected = evaluate_deltas(delta, test.gold_labels(ids)).order_consistency
    by_reward = prompt_rank_correlation(
        test.gold, head.reward(test.items), test.prompt_ids
    )
    metrics = evaluate(test, head)
    assert metrics["order_consistency"] == expected.estimate
    assert metrics["kendall"] == pytest.approx(by_reward.mean)


class Undeclared:
    """A head of somebody else: it has methods, and says nothing about itself."""

    def __init__(self, head):
        self.reward, self.decision_function = head.reward, head.decision_function


def test_a_head_that_says_nothing_is_asked_about_pairs(train, test):
    """Only a head whose deltas are differences of rewards is spared that."""
    assert fit(train).delta_is_reward_difference
    head = fit_to_cycles(train)
    assert evaluate(test, Undeclared(head)) == pytest.approx(
        evaluate(test, head), nan_ok=True
    )


def test_items_are_handed_over_in_blocks(train, test, monkeypatch):
    """The numbers are the same."""
    whole = evaluate(test, fit(train))
    monkeypatch.setattr(module, "_ENTRIES", 3 * test.items.shape[1])
    assert evaluate(test, fit(train)) == pytest.approx(whole, nan_ok=True)


def test_a_reward_that_is_not_finite_is_an_error(train, test):
    """It would order nothing."""
    head = fit(train)
    head.coef_ = head.coef_ * np.inf
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(InvalidInputError, match="finite reward"),
    ):
        evaluate(test, head)


def test_the_seconds_in_the_head_are_counted(train, test, monkeypatch):
    """Each call adds to them, here one second; asking about pairs does, too."""
    ticks = iter(range(100))
    heads = fit(train), fit_to_cycles(train)
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(ticks))
    evaluator = Evaluator(test, SETTINGS)
    assert [evaluator.evaluate(head, None, 1.0)[1] for head in heads] == [1, 2]


def test_blocks_do_not_change_the_numbers(train, test, monkeypatch):
    """A pool too large to keep its pairs is evaluated alike."""
    annotator = BradleyTerryAnnotator()
    whole = evaluate(test, fit(train), annotator)
    monkeypatch.setattr(module, "_BLOCK", 11)
    monkeypatch.setattr(module, "_KEPT", 0)
    assert evaluate(test, fit(train), annotator) == pytest.approx(whole, nan_ok=True)


def test_single_responses_take_no_part(train, test):
    """A prompt with one response has no pair, and widens no interval."""
    extra = CandidatePool(
        np.vstack([test.items, test.items[:9]]),
        np.concatenate([test.prompt_ids, np.arange(900, 909)]),
        gold=np.concatenate([test.gold, test.gold[:9]]),
    )
    head = fit(train)
    names = ["order_consistency", "order_consistency_low", "kendall_high"]
    one, other = evaluate(test, head), evaluate(extra, head)
    assert [one[name] for name in names] == [other[name] for name in names]


def test_a_pool_without_a_pair_of_different_gold_is_refused(test):
    """Nothing could be told about any head."""
    constant = CandidatePool(test.items, test.prompt_ids, gold=np.ones(len(test)))
    with pytest.raises(InvalidInputError, match="responses of different gold to one"):
        Evaluator(constant, SETTINGS)
