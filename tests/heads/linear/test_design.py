"""Columns of a linear fit: their scale, and the intercepts of prompts."""

import numpy as np
import pytest
from scipy.optimize import minimize

from embrm import Pairs
from embrm.exceptions import EmbrmWarning, InvalidInputError
from embrm.heads import LinearBradleyTerry, SiameseBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear import design, problem
from embrm.heads.linear.design import PromptEffects, mean_and_scale
from embrm.heads.state import HeadState

UNITS = np.array([1e-4, 1.0, 30.0, 1e2, 0.1])
N_PROMPTS, N_RESPONSES, D = 40, 6, 5


@pytest.fixture
def data(make_preferences):
    """Preferences over items in five dimensions."""
    return make_preferences(n_prompts=60, error_rate=0.1)


def in_units(pairs, units):
    return Pairs(pairs.items * units, pairs.ids, pairs.prompt_ids)


def test_mean_and_scale_are_those_of_numpy():
    """Whatever the number of blocks."""
    items = np.random.default_rng(0).normal(3.0, 2.0, size=(9000, 3))
    mean, scale = mean_and_scale(items.astype(np.float32))
    np.testing.assert_allclose(mean, items.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scale, items.std(axis=0), rtol=1e-6)


def test_a_constant_column_has_scale_one():
    """Rounding is no variance."""
    items = np.random.default_rng(0).normal(size=(50, 2))
    items[:, 1] = 0.1
    assert mean_and_scale(items)[1][1] == 1.0


@pytest.mark.parametrize("blocked", [False, True])
def test_the_units_of_columns_do_not_matter(monkeypatch, data, blocked):
    """A standardised prior, chosen or given, means the same in any units."""
    if blocked:
        monkeypatch.setattr(problem, "_LARGEST_COPY", 0)
    other = in_units(data.pairs, UNITS)
    for head in (LinearBradleyTerry(1.0, standardise=True), LinearBradleyTerry()):
        one = head.fit(data.pairs, data.y)
        wanted = one.reward(data.pairs.items, return_std=True)
        again = one.with_selected_params(standardise=True).fit(other, data.y)
        got = again.reward(other.items, return_std=True)
        # Deviations also tell how the penalty was chosen, where it was.
        same = slice(None) if head.alpha != "auto" else slice(1)
        np.testing.assert_allclose(got[same], wanted[same], rtol=1e-4, atol=1e-5)


def test_a_given_penalty_is_that_of_the_weights_themselves(data):
    """As in logistic regression, unless asked for."""
    head = LinearBradleyTerry(alpha=1.0).fit(data.pairs, data.y)
    assert (head.scale_ == 1.0).all()


def test_few_items_are_not_standardised(make_preferences):
    """The variance of a column of twelve says little."""
    few = make_preferences(n_prompts=3)
    head = LinearBradleyTerry().fit(few.pairs, few.y)
    assert (head.scale_ == 1.0).all()


def test_the_posterior_is_that_of_scaled_items(data):
    """Standard deviations and covariance, in the units of the user."""
    items = data.pairs.items * UNITS
    head = LinearBradleyTerry(1.0, standardise=True)
    head.fit(in_units(data.pairs, UNITS), data.y)
    gap = items - head.mean_
    wanted = np.sqrt(np.einsum("ij,jk,ik->i", gap, head.covariance_, gap))
    np.testing.assert_allclose(head.reward(items, return_std=True)[1], wanted)


def test_learning_in_parts_keeps_the_scale(data):
    """partial_fit adds to the posterior of the same standardised weights."""
    pairs, half = in_units(data.pairs, UNITS), len(data.y) // 2
    whole = LinearBradleyTerry(1.0, standardise=True).fit(pairs, data.y)
    parts = LinearBradleyTerry(1.0, standardise=True)
    parts.fit(pairs[:half], data.y[:half]).partial_fit(pairs[half:], data.y[half:])
    one, other = (head.reward(pairs.items) for head in (whole, parts))
    assert np.corrcoef(one, other)[0, 1] > 0.99


def test_the_scale_is_part_of_the_state(data):
    """Standard deviations after loading are the same."""
    head = LinearBradleyTerry().fit(in_units(data.pairs, UNITS), data.y)
    items = data.pairs.items * UNITS
    restored = LinearBradleyTerry().set_state(head.get_state())
    np.testing.assert_array_equal(restored.scale_, head.scale_)
    np.testing.assert_array_equal(
        restored.reward(items, return_std=True)[1],
        head.reward(items, return_std=True)[1],
    )


def test_a_warm_start_is_in_the_units_of_the_user(data):
    """A second fit starts at the first one's minimum."""
    pairs = in_units(data.pairs, UNITS)
    head = LinearBradleyTerry(1.0, standardise=True, warm_start=True)
    first = head.fit(pairs, data.y).n_iter_
    assert head.fit(pairs, data.y).n_iter_ < first


def test_columns_are_left_alone_where_that_does_better(make_preferences):
    """A reward in the columns of large variance is what the plain ridge expects."""
    rng = np.random.default_rng(0)
    data = make_preferences(n_prompts=80, d=60, error_rate=0.1)
    spread = np.concatenate([[8.0, 4.0], np.full(58, 0.1)])
    items = data.pairs.items * spread
    gold = items[:, 0] + items[:, 1]
    y = gold[data.pairs.first] > gold[data.pairs.second]
    y = np.where(rng.random(len(y)) < 0.2, ~y, y)
    pairs = Pairs(items, data.pairs.ids, data.pairs.prompt_ids)
    assert not LinearBradleyTerry().fit(pairs, y).standardise_


def test_columns_are_standardised_where_small_ones_tell(make_preferences):
    """The plain ridge cannot see a column in units of a millionth."""
    data = make_preferences(n_prompts=80, d=6, error_rate=0.1)
    items = data.pairs.items * np.array([1e-6, 1.0, 1.0, 1.0, 1.0, 1e-6])
    pairs = Pairs(items, data.pairs.ids, data.pairs.prompt_ids)
    head = LinearBradleyTerry().fit(pairs, data.y)
    assert head.standardise_
    plain = LinearBradleyTerry(standardise=False).fit(pairs, data.y)
    gold = np.argsort(np.argsort(data.gold))
    far = [np.corrcoef(h.reward(items), gold)[0, 1] for h in (head, plain)]
    assert far[0] > far[1] + 0.1


def test_another_word_for_standardise_is_refused(data):
    """The message names what is known."""
    with pytest.raises(InvalidInputError, match="standardise"):
        LinearBradleyTerry(standardise="yes").fit(data.pairs, data.y)


def test_a_column_that_rules_keeps_its_scale(make_preferences):
    """Who makes one column larger than all others together wants it so."""
    data = make_preferences(n_prompts=80, d=6, error_rate=0.1)
    items = data.pairs.items * np.array([5.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    pairs = Pairs(items, data.pairs.ids, data.pairs.prompt_ids)
    assert not LinearBradleyTerry().fit(pairs, data.y).standardise_
    assert LinearBradleyTerry(standardise=True).fit(pairs, data.y).standardise_


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
        logit = gap @ w
        slope = -comparisons.weight / (1 + np.exp(logit))
        value = comparisons.weight @ np.logaddexp(0, -logit) + alpha / 2 * w @ w
        return value, slope @ gap + alpha * w

    w = minimize(
        cost, np.zeros(d + n_prompts), jac=True, tol=1e-12, method="L-BFGS-B"
    ).x
    chance = 1 / (1 + np.exp(-gap @ w))
    curvature = comparisons.weight * chance * (1 - chance)
    hessian = (gap * curvature[:, None]).T @ gap + alpha * np.eye(d + n_prompts)
    return w[:d], size * w[d:], np.linalg.inv(hessian)[:d, :d]


def test_weights_effects_and_posterior_are_those_of_the_joint_fit():
    """Against a dense solution of the whole problem."""
    pairs, y, _ = draw()
    head = LinearBradleyTerry(5.0, prompt_effects=True).fit(pairs, y)
    comparisons = make_comparisons(pairs, y)
    size = PromptEffects.of(comparisons, None).size
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
    assert PromptEffects.of(comparisons, None) is not None
    monkeypatch.setattr(design, "MOST_COLUMNS", N_PROMPTS)
    assert PromptEffects.of(comparisons, None) is None
    monkeypatch.setattr(design, "MOST_COLUMNS", 1000)
    monkeypatch.setattr(design, "_MOST_BYTES", 1000)
    assert PromptEffects.of(comparisons, None) is None


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


def test_an_update_takes_prompt_effects_into_account():
    """What prompts are worth does not leak into the weights of a second half."""
    pairs, y, gold = draw(3000)
    test = Pairs(pairs.items, *within_prompts(gold, pairs.prompt_ids)[:1])
    better = within_prompts(gold, pairs.prompt_ids)[1]
    whole = LinearBradleyTerry().fit(pairs, y)
    head = LinearBradleyTerry().fit(pairs[:1500], y[:1500])
    first = head.score(test, better)
    assert head.prompt_effects_
    head.partial_fit(pairs[1500:], y[1500:])
    assert head.score(test, better) > first - 0.005
    assert head.score(test, better) > whole.score(test, better) - 0.01
    np.testing.assert_allclose(head.coef_, whole.coef_, rtol=0.2, atol=0.1)


def test_an_update_with_prompt_effects_is_that_of_the_joint_posterior():
    """Weights and effects of new prompts, by scipy; the effects are integrated out."""
    pairs, y, _ = draw(3000)
    old = pairs.prompt_ids[pairs.ids].max(axis=1) < 20
    new = pairs.prompt_ids[pairs.ids].min(axis=1) >= 20
    head = LinearBradleyTerry(5.0, prompt_effects=True).fit(pairs[old], y[old])
    prior, mode, std = np.linalg.inv(head.covariance_), head.coef_, head.prompt_std_
    wins = make_comparisons(pairs[new], y[new])
    n_prompts = int(wins.groups.max()) + 1
    columns = np.hstack([wins.items, np.eye(n_prompts)[wins.groups]])
    gap = columns[wins.winner] - columns[wins.loser]
    precision = np.zeros((D + n_prompts,) * 2)
    precision[:D, :D] = prior
    precision[D:, D:] = np.eye(n_prompts) / std**2
    start = np.append(mode, np.zeros(n_prompts))

    def cost(w):
        logit, away = gap @ w, w - start
        slope = -wins.weight / (1 + np.exp(logit))
        value = wins.weight @ np.logaddexp(0, -logit) + away @ precision @ away / 2
        return value, slope @ gap + precision @ away

    w = minimize(cost, start, jac=True, tol=1e-12, method="L-BFGS-B").x
    chance = 1 / (1 + np.exp(-gap @ w))
    curvature = wins.weight * chance * (1 - chance)
    hessian = (gap * curvature[:, None]).T @ gap + precision
    head.partial_fit(pairs[new], y[new])
    np.testing.assert_allclose(head.coef_, w[:D], atol=1e-4)
    wanted = np.linalg.inv(hessian)[:D, :D]
    np.testing.assert_allclose(head.covariance_, wanted, rtol=1e-3, atol=1e-7)


def test_an_update_with_too_many_prompts_warns(monkeypatch):
    """Their effects are left out, and the message says what helps."""
    pairs, y, _ = draw(600)
    head = LinearBradleyTerry(5.0, prompt_effects=True).fit(pairs[:300], y[:300])
    monkeypatch.setattr(design, "MOST_COLUMNS", N_PROMPTS)
    with pytest.warns(EmbrmWarning, match="40 prompts are too many.*fewer prompts"):
        head.partial_fit(pairs[300:], y[300:])


def test_a_head_stored_without_the_prior_of_effects_learns_on():
    """That of a first fit to the further pairs takes its place."""
    pairs, y, _ = draw(3000)
    head = LinearBradleyTerry(5.0, prompt_effects=True).fit(pairs[:1500], y[:1500])
    state = head.get_state()
    values = {k: v for k, v in state.values.items() if k != "prompt_std"}
    again = LinearBradleyTerry(5.0).set_state(HeadState(state.arrays, values))
    assert np.isnan(again.prompt_std_)
    for one in (head, again):
        one.partial_fit(pairs[1500:], y[1500:])
    np.testing.assert_allclose(again.coef_, head.coef_, rtol=0.02, atol=1e-3)


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
    monkeypatch.setattr(problem, "_LARGEST_COPY", 0)
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
