"""Labels without annotators: each with a case where it helps and one where it hurts."""

import numpy as np
import pytest
from scipy.special import expit

from embrm import CandidatePool, Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.policy import (
    augment_by_permutation,
    implicit_labels,
    pseudo_label,
    self_rewarding,
    spin,
    weak_to_strong,
)

HEAD = LinearBradleyTerry(alpha=1.0, posterior=False)


def consecutive(items):
    return Pairs(items, np.arange(len(items)).reshape(-1, 2))


def share_right(head, items, gold):
    reward = np.asarray(head.reward(items))
    return ((reward[::2] > reward[1::2]) == (gold[::2] > gold[1::2])).mean()


def test_a_student_surpasses_a_teacher_whose_errors_it_cannot_see():
    """And copies those that it can."""
    rng = np.random.default_rng(0)
    items, test = rng.normal(size=(2000, 6)), rng.normal(size=(2000, 6))
    truth = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    hidden = rng.normal(size=1000) * 1.5
    clean = items[::2] @ truth - items[1::2] @ truth
    noisy = expit(clean + hidden)
    student = weak_to_strong(HEAD, consecutive(items), noisy)
    teacher_right = ((noisy > 0.5) == (clean > 0)).mean()
    assert share_right(student, test, test @ truth) > teacher_right + 0.1
    length = items[::2, 5] - items[1::2, 5]
    biased = expit(clean + 2 * length)
    copied = weak_to_strong(HEAD, consecutive(items), biased)
    biased_right = ((biased > 0.5) == (clean > 0)).mean()
    assert abs(share_right(copied, test, test @ truth) - biased_right) < 0.05
    assert copied.coef_[5] > copied.coef_[0]


def test_confidence_and_the_student_s_own_verdict_enter_the_labels():
    """Weights by the teacher's confidence help where doubt is where it errs."""
    rng = np.random.default_rng(1)
    items, test = rng.normal(size=(600, 20)), rng.normal(size=(4000, 20))
    truth = np.r_[np.ones(3), np.zeros(17)]
    delta = items[::2] @ truth - items[1::2] @ truth
    sure = rng.random(300) < 0.4
    weak = np.where(
        sure, np.where(delta > 0, 0.95, 0.05), rng.choice([0.45, 0.55], 300)
    )
    weighted, flat = (
        weak_to_strong(HEAD, consecutive(items), w)
        for w in (weak, np.where(weak > 0.5, 0.9, 0.1))
    )
    right = [share_right(h, test, test @ truth) for h in (weighted, flat)]
    assert right[0] > right[1] + 0.02
    plain = weak_to_strong(HEAD, consecutive(items), weak, by_confidence=False)
    bold = weak_to_strong(
        HEAD, consecutive(items), weak, by_confidence=False, own_share=0.5
    )
    assert np.linalg.norm(bold.coef_) > np.linalg.norm(plain.coef_)


def test_propensities_undo_who_was_shown_what():
    """Shares of good responses, of all and of what was shown; cuts trade bias."""
    rng = np.random.default_rng(2)
    good = rng.random(200_000) < 0.5
    propensity = np.where(good, 0.8, 0.02)
    seconds = np.where(good, 60.0, 2.0)
    seconds[rng.random(len(good)) > propensity] = np.nan

    def share(**options):
        labels = implicit_labels(seconds, **options)
        return np.average(labels["label"], weights=labels["weight"])

    assert share() > 0.95
    assert share(propensity=propensity, largest_weight=100) == pytest.approx(
        0.5, abs=0.02
    )
    assert 0.6 < share(propensity=propensity, largest_weight=20) < 0.8


def test_rare_propensities_are_noise():
    """Without a cut, few responses decide: the spread over draws grows."""

    def spread(cut):
        estimates = []
        for seed in range(200):
            rng = np.random.default_rng(seed)
            shown = rng.choice([0.9, 0.01], 300)
            seconds = np.where(rng.random(300) < 0.5, 60.0, 2.0)
            seconds[rng.random(300) > shown] = np.nan
            labels = implicit_labels(seconds, propensity=shown, largest_weight=cut)
            estimates.append(np.average(labels["label"], weights=labels["weight"]))
        return np.std(estimates)

    assert spread(1000.0) > 2 * spread(2.0)


def clusters(rng, n, centre):
    """Draw differences around plus and minus a direction, as pairs of one item at 0."""
    sign = rng.choice([-1.0, 1.0], n)
    delta = sign[:, None] * centre + rng.normal(size=(n, len(centre)))
    items = np.zeros((2 * n, len(centre)))
    items[::2] = delta
    return items, (sign > 0).astype(float)


def test_pseudo_labels_help_where_pairs_cluster():
    """Twelve labels, thousands without: accuracy rises over seeds."""
    gains = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        centre = np.r_[2.0, np.zeros(19)]
        items, y = clusters(rng, 12, centre)
        more, _ = clusters(rng, 2000, centre)
        test, truth = clusters(rng, 2000, centre)
        both = pseudo_label(HEAD, consecutive(items), y, consecutive(more))
        alone = HEAD.fit(consecutive(items), y)
        right = [
            ((h.decision_function(consecutive(test)) > 0) == truth).mean()
            for h in (both.head, alone)
        ]
        gains.append(right[0] - right[1])
    assert np.mean(gains) > 0.02


def test_pseudo_labels_confirm_a_bias():
    """First labels that follow length teach it ever more firmly."""
    rng = np.random.default_rng(3)
    items, more, test = (rng.normal(size=(n, 2)) * 2 for n in (60, 4000, 4000))
    truth, length = np.array([1.0, 0.0]), np.array([0.3, 1.0])
    y = (items[::2] @ length > items[1::2] @ length).astype(float)
    trained = pseudo_label(HEAD, consecutive(items), y, consecutive(more))
    alone = LinearBradleyTerry(alpha=1.0, posterior=False).fit(consecutive(items), y)
    both, one = (share_right(h, test, test @ truth) for h in (trained.head, alone))
    assert both < one + 0.01
    assert np.linalg.norm(trained.head.coef_) > 2 * np.linalg.norm(alone.coef_)
    assert trained.n_labelled == sorted(trained.n_labelled)


def test_no_confident_pair_is_no_round():
    """The head is then that of the given labels."""
    rng = np.random.default_rng(4)
    pairs = consecutive(rng.normal(size=(40, 3)))
    y = rng.integers(0, 2, 20).astype(float)
    head = LinearBradleyTerry(alpha=1e6, posterior=False)
    trained = pseudo_label(head, pairs, y, pairs, confidence=0.99)
    assert trained.n_labelled == [0]


def test_permuted_responses_teach_that_the_prompt_matters():
    """Where length tells chosen from rejected, augmentation takes its weight away."""
    rng = np.random.default_rng(5)
    n = 300
    topics = rng.integers(0, 2, n)
    lengths = {"c": rng.normal(1, 1, n), "r": rng.normal(-1, 1, n)}
    good = {"c": np.full(n, 1.0), "r": np.where(rng.random(n) < 0.7, 0.0, 1.0)}
    prompts = [f"p{i}" for i in range(n)]
    chosen, rejected = ([f"{side}{i}" for i in range(n)] for side in "cr")

    def vector(text):
        prompt, response = text
        at, side, source = int(prompt[1:]), response[0], int(response[1:])
        on_topic = float(
            at == source or (topics[at] == topics[source] and rng.random() < 0.1)
        )
        return [on_topic * good[side][source], lengths[side][source]]

    more = augment_by_permutation(prompts, chosen, rejected, random_state=0)
    items = np.array([vector(text) for text in more.texts])
    given = np.arange(2 * n).reshape(-1, 2)
    plain = HEAD.fit(Pairs(items, given)).coef_.copy()
    ids, y = np.vstack([given, more.ids]), np.r_[np.ones(n), more.y]
    augmented = HEAD.fit(Pairs(items, ids), y).coef_
    assert abs(augmented[1]) / augmented[0] < 0.5 * plain[1] / plain[0]
    # It hurts where length was wanted: that knowledge is lost, too.
    assert abs(augmented[1]) < 0.5 * abs(plain[1])


def test_augmentation_lists_each_missing_text_and_meets_no_own_prompt():
    """Eight wins and six ties for each pair; strangers are of other prompts."""
    more = augment_by_permutation("abcde", "ABCDE", "vwxyz", random_state=1)
    assert len(more.ids) == 5 * 14
    assert len(more.missing) == len(set(more.missing)) == 5 * 4
    answers = dict(zip("ABCDEvwxyz", "abcdeabcde", strict=True))
    assert all(answers[response] != prompt for prompt, response in more.missing)
    assert all(answers[response] == prompt for prompt, response in more.texts[:10])
    wins = more.ids[more.y == 1]
    assert len(wins) == 5 * 8
    assert (wins[:, 0] < 10).all()
    assert (wins[:, 1] >= 10).all()
    assert (more.ids[more.y == 0.5] >= 10).all()


def test_self_rewarding_grows_surer_and_no_better():
    """Unanchored, the first direction is all there is; anchored, the labels stay."""
    rng = np.random.default_rng(6)
    items = rng.normal(size=(2000, 10))
    truth = np.r_[1.0, 1.0, np.zeros(8)]
    pool = CandidatePool(items, np.arange(2000) % 200)
    ids = pool.same_prompt_ids()
    ids = ids[rng.choice(len(ids), 60, replace=False)]
    delta = (items[ids[:, 0]] - items[ids[:, 1]]) @ truth
    y = (rng.random(60) < expit(delta)).astype(float)
    test = rng.normal(size=(4000, 10))

    def right(heads):
        return [share_right(h, test, test @ truth) for h in heads]

    def norms(heads):
        return [float(np.linalg.norm(h.coef_)) for h in heads]

    free = self_rewarding(HEAD, pool, ids, y, anchored=False, rounds=4, n_pairs=400)
    held = self_rewarding(HEAD, pool, ids, y, anchored=True, rounds=4, n_pairs=400)
    assert norms(free)[-1] > 2 * norms(free)[0]
    assert norms(held)[-1] < norms(free)[-1]
    assert right(free)[-1] < right(free)[0] + 0.02
    assert right(held)[-1] < right(held)[0] + 0.05


def test_spin_ends_at_the_demonstrations():
    """Divergence from them falls round by round, on every prompt."""
    rng = np.random.default_rng(7)
    pool = CandidatePool(np.eye(20), np.arange(20) % 4)
    target = rng.dirichlet(np.ones(5), size=4)
    demonstrations = np.concatenate(
        [
            rng.choice(np.flatnonzero(pool.prompt_ids == p), 2000, p=target[p])
            for p in range(4)
        ]
    )
    policies = spin(pool, demonstrations, rounds=4, n_pairs=20_000)

    def distance(policy):
        return np.mean(
            [
                np.abs(np.exp(policy[pool.prompt_ids == p]) - target[p]).sum()
                for p in range(4)
            ]
        )

    distances = [distance(policy) for policy in policies]
    assert distances[-1] < 0.25 * distances[0]
    assert distances[-1] < 0.15


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: weak_to_strong(HEAD, p, [0.5, 0.5]), "an opinion"),
        (lambda p: weak_to_strong(HEAD, p, [0.9, 0.1], own_share=1.0), "below 1"),
        (lambda p: pseudo_label(HEAD, p, None, p, confidence=0.5), "1/2, 1"),
        (lambda p: implicit_labels([-1.0]), "seconds >= 0"),
        (lambda p: implicit_labels([1.0], propensity=[0.0]), "propensities in"),
        (lambda p: augment_by_permutation("ab", "ab", "cd"), "above per_prompt"),
    ],
)
def test_what_cannot_be_used_is_refused(call, words):
    """With what is needed instead."""
    with pytest.raises(InvalidInputError, match=words):
        call(consecutive(np.random.default_rng(0).normal(size=(4, 2))))
