"""Prompts have intercepts in training, which are not part of the reward."""

import numpy as np
import pytest
from scipy.optimize import minimize

from embrm import Pairs
from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry, SiameseBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import in_place_problem, prompt_effects
from embrm.heads.linear.prompt_effects import effects_for

N_PROMPTS, N_RESPONSES, D = 40, 6, 5


def draw(n_pairs=1500, *, spread=3.0, across=1.0, seed=0):
    """Draw pairs whose reward is linear, plus what each prompt is worth."""
    rng = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(N_PROMPTS), N_RESPONSES)
    items = rng.normal(size=(len(prompt), D))
    gold = items @ rng.normal(size=D)
    gold += spread * rng.normal(size=N_PROMPTS)[prompt]
    ids = rng.integers(len(prompt), size=(4 * n_pairs, 2))
    crosses = prompt[ids[:, 0]] != prompt[ids[:, 1]]
    within = rng.integers(N_RESPONSES, size=(n_pairs, 2))
    within += N_RESPONSES * rng.integers(N_PROMPTS, size=(n_pairs, 1))
    within = within[within[:, 0] != within[:, 1]]
    n_across = round(across * n_pairs)
    ids = np.concatenate([ids[crosses][:n_across], within[: n_pairs - n_across]])
    delta = gold[ids[:, 0]] - gold[ids[:, 1]]
    y = rng.random(len(ids)) < 1 / (1 + np.exp(-delta))
    return Pairs(items, ids, prompt_ids=prompt), y.astype(float), gold


def within_prompts(gold, prompt):
    """Pair all items of each prompt, with gold labels."""
    first, second = np.triu_indices(len(gold), 1)
    same = prompt[first] == prompt[second]
    ids = np.column_stack([first, second])[same]
    return ids, (gold[ids[:, 0]] > gold[ids[:, 1]]).astype(float)


def joint_minimum(comparisons, alpha, size):
    """Minimise the objective over weights and effects, by scipy."""
    x = comparisons.items - comparisons.items.mean(axis=0)
    d, n_prompts = x.shape[1], int(comparisons.groups.max()) + 1
    one_hot = size * np.eye(n_prompts)[comparisons.groups]
    columns = np.hstack([x, one_hot])
    gap = columns[comparisons.winner] - columns[comparisons.loser]

    def cost(w):
        lead = gap @ w
        slope = -comparisons.weight / (1 + np.exp(lead))
        value = comparisons.weight @ np.logaddexp(0, -lead) + alpha / 2 * w @ w
        return value, slope @ gap + alpha * w

    w = minimize(
        cost, np.zeros(d + n_prompts), jac=True, tol=1e-12, method="L-BFGS-B"
    ).x
    chance = 1 / (1 + np.exp(-gap @ w))
    bend = comparisons.weight * chance * (1 - chance)
    hessian = (gap * bend[:, None]).T @ gap + alpha * np.eye(d + n_prompts)
    return w[:d], size * w[d:], np.linalg.inv(hessian)[:d, :d]


def test_weights_effects_and_posterior_are_those_of_the_joint_fit():
    """Against a dense solution of the whole problem."""
    pairs, y, _ = draw()
    head = LinearBradleyTerry(5.0, prompt_effects=True).fit(pairs, y)
    comparisons = make_comparisons(pairs, y)
    size = effects_for(comparisons, None).size
    coef, values, covariance = joint_minimum(comparisons, 5.0, size)
    np.testing.assert_allclose(head.coef_, coef, atol=1e-4)
    np.testing.assert_allclose(head.prompt_values_, values, atol=1e-3)
    np.testing.assert_allclose(head.covariance_, covariance, rtol=1e-3, atol=1e-7)


def test_auto_orders_responses_better_where_prompts_differ():
    """The differences between prompts are no noise any more."""
    pairs, y, gold = draw()
    ids, better = within_prompts(gold, pairs.prompt_ids)
    test = Pairs(pairs.items, ids)
    scores = {}
    for choice in ("auto", False):
        head = LinearBradleyTerry(prompt_effects=choice).fit(pairs, y)
        assert head.prompt_effects_ is (choice == "auto")
        truth = gold - gold.reshape(N_PROMPTS, -1).mean(axis=1).repeat(N_RESPONSES)
        scores[choice] = np.corrcoef(head.reward(pairs.items), truth)[0, 1]
        assert head.score(test, better) > 0.8
    assert scores["auto"] > scores[False]


def test_auto_does_without_where_vectors_tell_all():
    """Intercepts that explain nothing cost held-out loss."""
    pairs, y, _ = draw(400, spread=0.0)
    assert not LinearBradleyTerry().fit(pairs, y).prompt_effects_


def test_a_given_penalty_means_the_plain_objective():
    """As with standardise: what is given is what is minimised."""
    pairs, y, _ = draw(400)
    head = LinearBradleyTerry(alpha=1.0).fit(pairs, y)
    assert not head.prompt_effects_
    plain = LinearBradleyTerry(alpha=1.0, prompt_effects=False).fit(pairs, y)
    np.testing.assert_array_equal(head.coef_, plain.coef_)


@pytest.mark.parametrize("known", [True, False], ids=["same prompt", "no prompts"])
def test_effects_that_cancel_or_are_unknown_are_left_out(known):
    """Pairs within prompts, and pairs of nobody knows what, are fitted as ever."""
    pairs, y, _ = draw(300, across=0.0)
    if not known:
        pairs = Pairs(pairs.items, pairs.ids)
    forced, plain = (
        LinearBradleyTerry(prompt_effects=choice).fit(pairs, y)
        for choice in (True, False)
    )
    assert not forced.prompt_effects_
    assert forced.prompt_values_ is None
    np.testing.assert_array_equal(forced.coef_, plain.coef_)


def test_too_many_prompts_are_not_tried(monkeypatch):
    """Their columns would take too much memory, or too long."""
    comparisons = make_comparisons(*draw(300)[:2])
    assert effects_for(comparisons, None) is not None
    monkeypatch.setattr(prompt_effects, "MOST_COLUMNS", N_PROMPTS)
    assert effects_for(comparisons, None) is None
    monkeypatch.setattr(prompt_effects, "MOST_COLUMNS", 1000)
    monkeypatch.setattr(prompt_effects, "_MOST_BYTES", 1000)
    assert effects_for(comparisons, None) is None


def test_rewards_in_training_have_what_prompts_are_worth():
    """They predict the labels of cross-prompt pairs better than rewards do."""
    pairs, y, _ = draw()
    comparisons = make_comparisons(pairs, y)
    head = LinearBradleyTerry(5.0, prompt_effects=True).fit_comparisons(comparisons)
    rows = np.stack([comparisons.winner, comparisons.loser])
    known = head.reward_in_training(comparisons, rows)
    reward = head.reward(comparisons.items)[rows]
    values = head.prompt_values_[comparisons.groups[rows]]
    np.testing.assert_allclose(known, reward + values)
    assert np.mean(known[0] > known[1]) > np.mean(reward[0] > reward[1]) + 0.1


def test_a_stored_head_says_whether_prompts_had_effects():
    """The effects themselves are of no use to it."""
    pairs, y, _ = draw(400)
    head = LinearBradleyTerry(5.0, prompt_effects=True).fit(pairs, y)
    again = LinearBradleyTerry().set_state(head.get_state())
    assert again.prompt_effects_
    assert again.prompt_values_ is None
    for mine, theirs in zip(
        again.decision_function(pairs, return_std=True),
        head.decision_function(pairs, return_std=True),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_a_warm_start_ends_where_a_cold_one_does():
    """Also when effects are fitted along."""
    pairs, y, _ = draw(600)
    head = LinearBradleyTerry(5.0, prompt_effects=True, warm_start=True)
    first = head.fit(pairs, y).coef_
    np.testing.assert_allclose(head.fit(pairs, y).coef_, first, atol=1e-6)


def test_a_warm_start_from_other_prompts_is_as_good(monkeypatch):
    """What conditioned a fit with more prompts does not fit this one."""
    monkeypatch.setattr(in_place_problem, "_WORTH_LEAVING", 0)
    pairs, y, _ = draw(1500)
    head = LinearBradleyTerry(prompt_effects=True, warm_start=True).fit(pairs, y)
    head.set_params(alpha=5.0)
    few = pairs.prompt_ids[pairs.ids].max(axis=1) < 30
    cold = LinearBradleyTerry(5.0, prompt_effects=True).fit(pairs[few], y[few])
    head.fit(pairs[few], y[few])
    np.testing.assert_allclose(head.coef_, cold.coef_, atol=1e-5)


@pytest.mark.parametrize("way", ["noise", "annotator", "ties", "probit"])
def test_every_label_model_goes_with_effects(way):
    """They are columns like others."""
    pairs, y, gold = draw(1000)
    params = {
        "noise": {"noise": 0.1},
        "annotator": {"noise": "estimate"},
        "ties": {"ties": "rao-kupper"},
        "probit": {"link": "probit"},
    }[way]
    if way == "ties":
        y[::7] = 0.5
    told = {"annotator": np.arange(len(y)) % 2} if way == "annotator" else {}
    head = LinearBradleyTerry(prompt_effects=True, **params).fit(pairs, y, **told)
    assert head.prompt_effects_
    ids, better = within_prompts(gold, pairs.prompt_ids)
    assert head.score(Pairs(pairs.items, ids), better) > 0.8


def test_the_siamese_head_keeps_the_effects_of_its_linear_part():
    """Its mix of linear part and networks is chosen with them."""
    pairs, y, gold = draw(1500)
    head = SiameseBradleyTerry(random_state=0, max_epochs=5).fit(pairs, y)
    assert head.linear_.prompt_effects_
    assert head.linear_weight_ > 0.2
    ids, better = within_prompts(gold, pairs.prompt_ids)
    assert head.score(Pairs(pairs.items, ids), better) > 0.8


def test_whitening_does_not_go_with_effects():
    """The shape of the prior is that of the items' columns."""
    pairs, y, _ = draw(100)
    with pytest.raises(InvalidInputError, match="whitening=0 with prompt_effects"):
        LinearBradleyTerry(prompt_effects=True, whitening=0.5).fit(pairs, y)
    assert not LinearBradleyTerry(whitening=0.5).fit(pairs, y).prompt_effects_
