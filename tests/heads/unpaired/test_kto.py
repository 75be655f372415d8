"""KTOReward learns from unpaired labels, also unbalanced and wrong ones."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from sklearn.linear_model import LogisticRegression

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import KTOReward
from embrm.heads.unpaired.kto import (
    LabelledItems,
    follow_path,
    kto_losses,
    kto_value_and_gradient,
    label_log_losses,
    make_kto_problem,
    path_to,
    penalties,
)


def labelled_items(n=300, d=5, seed=0, error_rate=0.0, threshold=0.0):
    """Items whose label is whether a linear gold exceeds a threshold."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(n, d))
    gold = items @ np.linspace(1, -1, d)
    label = gold > threshold
    return items, np.where(rng.random(n) < error_rate, ~label, label), gold


def order(head, seed=1, d=5):
    """Order consistency with gold on new pairs."""
    items, _, gold = labelled_items(400, d, seed)
    pairs = Pairs(items, np.arange(400).reshape(200, 2))
    return head.score(pairs, gold[::2] > gold[1::2])


def test_gold_is_learned_from_labels():
    """Pairs that were never labelled are ordered."""
    items, label, _ = labelled_items()
    head = KTOReward().fit(items, label)
    assert order(head) > 0.93
    assert np.mean((head.reward(items) > 0) == label) > 0.95


def test_noisy_labels_are_borne():
    """A third of them wrong, and 40 columns of which five matter."""
    items, label, _ = labelled_items(800, error_rate=0.3)
    head = KTOReward().fit(items, label)
    assert order(head) > 0.88


@pytest.mark.parametrize("threshold", [-2.0, 2.0])
def test_unbalanced_labels_are_balanced(threshold):
    """A tenth of one kind; the two kinds count alike."""
    items, label, _ = labelled_items(600, threshold=threshold)
    head = KTOReward().fit(items, label)
    assert order(head) > 0.88
    share = head.lambda_desirable_ * label.sum()
    assert share == pytest.approx(head.lambda_undesirable_ * (~label).sum())
    assert head.reward(items[label]).mean() > 0 > head.reward(items[~label]).mean()


def test_balance_sets_the_ratio_of_the_two_kinds():
    """lambda_D n_D over lambda_U n_U, as in the paper."""
    items, label, _ = labelled_items(threshold=1.0)
    head = KTOReward(alpha=1.0, balance=4 / 3).fit(items, label)
    ratio = head.lambda_desirable_ * label.sum()
    ratio /= head.lambda_undesirable_ * (~label).sum()
    assert ratio == pytest.approx(4 / 3)


def test_wrong_labels_far_out_move_it_less_than_a_logistic_regression():
    """The loss of a wrong label is bounded."""
    items, label, _ = labelled_items(d=2)
    far = np.vstack([items, np.tile([[-12.0, 4.0]], (12, 1))])
    wrong = np.append(label, np.ones(12, dtype=bool))
    gold = np.array([1.0, -1.0]) / np.sqrt(2)

    def alignment(coef):
        return coef @ gold / np.linalg.norm(coef)

    logistic = LogisticRegression(C=1.0).fit(far, wrong).coef_[0]
    ours = KTOReward(alpha=1.0).fit(far, wrong).coef_
    assert alignment(ours) > 0.95
    assert alignment(logistic) < 0.8


def test_order_weights_and_soft_labels_mean_what_they_say():
    """Shuffled rows, copies, removed rows and split soft labels: the same reward."""
    items, label, _ = labelled_items(60)
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 3, 60)
    soft = np.where(rng.random(60) < 0.3, 0.25, label)
    wanted = KTOReward().fit(items, soft, sample_weight=weight).reward(items)
    copies = np.repeat(np.arange(60), weight)
    shuffled = rng.permutation(copies)
    both = np.concatenate([np.arange(60)] * 2)
    hard = np.repeat([1, 0], 60)
    split = np.concatenate([weight * soft, weight * (1 - soft)])
    for got in (
        KTOReward().fit(items[shuffled], soft[shuffled]),
        KTOReward().fit(items[both], hard, sample_weight=split),
    ):
        np.testing.assert_allclose(got.reward(items), wanted, atol=1e-6)


def test_groups_are_kept_together_in_the_choice_of_the_penalty():
    """Copies of a prompt's vectors with noise are no evidence for a weak penalty."""
    rng = np.random.default_rng(0)
    centres, label = rng.normal(size=(30, 40)), rng.random(30) < 0.5
    items = np.repeat(centres, 8, axis=0) + 0.01 * rng.normal(size=(240, 40))
    label, prompt = np.repeat(label, 8), np.repeat(np.arange(30), 8)
    leaky = KTOReward().fit(items, label)
    grouped = KTOReward().fit(items, label, groups=prompt)
    assert grouped.alpha_ > 10 * leaky.alpha_


def test_what_auto_tried_is_kept():
    """And nothing where alpha is given, or where there is too little to choose."""
    items, label, _ = labelled_items()
    head = KTOReward().fit(items, label)
    assert head.alpha_ == head.alphas_[np.argmin(head.held_out_loss_)]
    few = np.r_[np.flatnonzero(label)[:5], np.flatnonzero(~label)[:5]]
    assert KTOReward().fit(items[few], label[few]).alphas_.size == 0
    one_group = KTOReward().fit(items, label, groups=np.zeros(300, dtype=int))
    assert one_group.alphas_.size == 0
    assert np.isfinite(one_group.reward(items)).all()


def test_folds_without_both_labels_are_left_out():
    """Two groups, one of each kind: no fold can be trained on."""
    items, label, _ = labelled_items(40)
    head = KTOReward().fit(items, label, groups=label.astype(int))
    assert head.alphas_.size == 0


@pytest.mark.parametrize("kind", [0, 1])
def test_one_kind_of_label_is_refused(kind):
    """It orders nothing."""
    name = "undesirable" if kind else "desirable"
    with pytest.raises(InvalidInputError, match=f"none of them {name}"):
        KTOReward().fit(np.eye(3), np.full(3, kind))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([1, -1, 0], "a label that is NaN or outside"),
        ([1, np.nan, 0], "a label that is NaN or outside"),
        (["good", "bad", "bad"], "dtype <U4"),
        ([1, 0], "shape"),
    ],
)
def test_bad_labels_are_refused(label, message):
    """Range, kind, length."""
    with pytest.raises(InvalidInputError, match=message):
        KTOReward().fit(np.eye(3), label)


def test_bad_weights_and_balance_are_refused():
    """All zero; not positive."""
    with pytest.raises(InvalidInputError, match="positive sample_weight"):
        KTOReward().fit(np.eye(2), [1, 0], sample_weight=[0, 0])
    with pytest.raises(InvalidInputError, match="balance: a finite number > 0"):
        KTOReward(balance=0.0).fit(np.eye(2), [1, 0])


@pytest.fixture
def labelled():
    """Random items with labels of random weight, most of them desirable."""
    rng = np.random.default_rng(0)
    desirable, undesirable = rng.uniform(0, [[3.0], [1.0]], (2, 30))
    return LabelledItems(rng.normal(size=(30, 4)) + 5, desirable, undesirable)


def test_balancing_keeps_the_total_and_sets_the_ratio(labelled):
    """Lambda n of both kinds."""
    found = labelled.balanced(4 / 3)
    assert found.weight.sum() == pytest.approx(labelled.weight.sum())
    ratio = found.desirable.sum() / found.undesirable.sum()
    assert ratio == pytest.approx(4 / 3)


def test_the_gradient_is_that_of_finite_differences(labelled):
    """At a random point."""
    problem = make_kto_problem(labelled.balanced(1.0))
    w = np.random.default_rng(1).normal(size=4)
    _, gradient = kto_value_and_gradient(problem, 0.5, w)
    wanted = approx_fprime(
        w, lambda v: kto_value_and_gradient(problem, 0.5, v)[0], 1e-7
    )
    np.testing.assert_allclose(gradient, wanted, atol=1e-5)


def test_the_reference_point_has_reward_zero(labelled):
    """By weight, whatever w."""
    problem = make_kto_problem(labelled.balanced(1.0))
    np.testing.assert_allclose(
        problem.labelled.weight @ problem.labelled.items, 0, atol=1e-9
    )


def test_rotated_coordinates_have_the_rewards_of_the_items():
    """Also where columns outnumber items."""
    rng = np.random.default_rng(0)
    raw = LabelledItems(rng.normal(size=(5, 9)), np.ones(5), rng.uniform(size=5))
    problem = make_kto_problem(raw)
    w = rng.normal(size=problem.basis.shape[1])
    np.testing.assert_allclose(
        problem.labelled.items @ w,
        (raw.items - raw.reference_point()) @ (problem.basis @ w),
        atol=1e-12,
    )


def test_the_losses_are_those_of_the_paper():
    """lambda (1 - v) with v = sigma(r) if desirable, sigma(-r) if not."""
    reward = np.array([0.3, -2.0])
    items = LabelledItems(np.eye(2), np.array([2.0, 0.0]), np.array([0.0, 3.0]))
    value = 1 / (1 + np.exp([-0.3, -2.0]))
    np.testing.assert_allclose(kto_losses(reward, items), [2, 3] * (1 - value))
    np.testing.assert_allclose(
        label_log_losses(reward, items), [-2, -3] * np.log(value)
    )


def test_the_path_ends_in_a_minimum(labelled):
    """As a general optimiser finds it from there, and no worse than from zero."""
    problem = make_kto_problem(labelled.balanced(1.0))
    alphas = path_to(problem, 0.3)
    *_, (w, _) = follow_path(problem, alphas)
    value, gradient = kto_value_and_gradient(problem, 0.3, w)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    other = minimize(
        lambda v: kto_value_and_gradient(problem, 0.3, v), np.zeros(4), jac=True
    )
    assert value <= other.fun + 1e-8


def test_the_path_descends_to_the_penalty(labelled):
    """Strong ones first."""
    problem = make_kto_problem(labelled)
    alphas = path_to(problem, 0.3)
    assert alphas[-1] == 0.3
    assert (np.diff(alphas) < 0).all()
    assert set(alphas[:-1]) <= set(penalties(problem))
