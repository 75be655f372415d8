"""RewardEnsemble mixes members, and says how far they agree."""

import json
import warnings

import numpy as np
import pytest

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import (
    CalibratedReward,
    HeadState,
    LinearBradleyTerry,
    RewardEnsemble,
    make_comparisons,
    make_head,
)
from embrm.heads.wrappers.ensemble import draw_counts
from embrm.testing import check_head

LINEAR = LinearBradleyTerry(alpha=1.0)
MLP = make_head("mlp", hidden_layer_sizes=(4,), max_iter=20)


@pytest.fixture
def data(make_preferences):
    """Preferences with one label in five wrong."""
    return make_preferences(error_rate=0.2)


@pytest.mark.parametrize(
    "head",
    [
        RewardEnsemble(LINEAR, 4),
        RewardEnsemble(LINEAR, 4, bagging="pair", aggregate="lower", k=0.5),
        RewardEnsemble(
            (LINEAR, make_head("logistic")), bagging=None, uncertainty_weighted=True
        ),
    ],
    ids=["prompt", "pair", "mixed"],
)
def test_an_ensemble_keeps_every_promise_of_a_head(head):
    """All checks that heads are put to."""
    check_head(head)


def test_the_mean_of_linear_heads_is_the_head_of_mean_coefficients(data):
    """Linear rewards mix by their coefficients."""
    head = RewardEnsemble(LINEAR, 5, random_state=0).fit(data.pairs, data.y)
    coef = np.mean([member.coef_ for member in head.members_], axis=0)
    ids = data.pairs.ids
    np.testing.assert_allclose(
        head.decision_function(data.pairs),
        (data.pairs.items[ids[:, 0]] - data.pairs.items[ids[:, 1]]) @ coef,
        atol=1e-12,
    )


def test_a_member_is_a_fit_on_copies_of_the_drawn_prompts(data):
    """Weights by counts are what copying the prompts would give."""
    head = RewardEnsemble(LINEAR, 3, random_state=5).fit(data.pairs, data.y)
    wins = make_comparisons(data.pairs, data.y)
    rng = np.random.default_rng(5)
    for member in head.members_:
        counts = draw_counts(wins, "prompt", rng).astype(int)
        ids = np.column_stack([wins.winner, wins.loser])
        copies = Pairs(wins.items, np.repeat(ids, counts, axis=0))
        wanted = LinearBradleyTerry(alpha=1.0).fit(copies).coef_
        np.testing.assert_allclose(member.coef_, wanted, atol=1e-9)


def test_equal_members_agree_exactly(data):
    """Standard deviation 0, and the member's own delta, with no rounding on top."""
    head = RewardEnsemble(LINEAR, 7, bagging=None).fit(data.pairs, data.y)
    reward, std = head.reward(data.pairs.items, return_std=True)
    delta, std_of_delta = head.decision_function(data.pairs, return_std=True)
    assert not std.any()
    assert not std_of_delta.any()
    np.testing.assert_array_equal(reward, head.member_rewards(data.pairs.items)[0])
    np.testing.assert_allclose(
        delta, head.members_[0].decision_function(data.pairs), atol=1e-12
    )


def test_the_spread_of_delta_is_that_of_the_members_deltas(data):
    """By hand, from the fitted members."""
    head = RewardEnsemble(LINEAR, 4, random_state=0).fit(data.pairs, data.y)
    deltas = [member.decision_function(data.pairs) for member in head.members_]
    delta, std = head.decision_function(data.pairs, return_std=True)
    np.testing.assert_allclose(std, np.std(deltas, axis=0), atol=1e-12)
    np.testing.assert_array_equal(delta, head.decision_function(data.pairs))


@pytest.mark.parametrize("aggregate", ["mean", "min", "lower", "quantile"])
def test_a_swap_negates_delta_and_leaves_its_spread(data, aggregate):
    """Antisymmetry is exact for every aggregate."""
    head = RewardEnsemble(LINEAR, 4, aggregate=aggregate, random_state=0)
    head.fit(data.pairs, data.y)
    delta, std = head.decision_function(data.pairs, return_std=True)
    swapped, std_of_swapped = head.decision_function(data.pairs.swap(), return_std=True)
    np.testing.assert_array_equal(swapped, -delta)
    np.testing.assert_array_equal(std_of_swapped, std)


@pytest.mark.parametrize(
    ("params", "formula"),
    [
        ({"aggregate": "min"}, lambda r: r.min(axis=0)),
        (
            {"aggregate": "lower", "k": 2.0},
            lambda r: r.mean(axis=0) - 2.0 * r.std(axis=0),
        ),
        (
            {"aggregate": "quantile", "quantile": 0.25},
            lambda r: np.quantile(r, 0.25, axis=0),
        ),
    ],
    ids=["min", "lower", "quantile"],
)
def test_aggregates_are_what_their_names_say(data, params, formula):
    """Compared with numpy on the members' centred rewards."""
    head = RewardEnsemble(LINEAR, 6, random_state=0, **params).fit(data.pairs, data.y)
    members = head.member_rewards(data.pairs.items)
    np.testing.assert_allclose(
        head.reward(data.pairs.items), formula(members), atol=1e-12
    )


def test_members_rewards_have_mean_zero_over_the_training_items(data):
    """The constant of a reward is no disagreement."""
    head = RewardEnsemble(make_head("logistic"), 3, random_state=0)
    head.fit(data.pairs, data.y)
    mean = head.member_rewards(data.pairs.items).mean(axis=1)
    np.testing.assert_allclose(mean, 0.0, atol=1e-12)


def test_members_of_different_kinds_are_brought_to_one_scale(data):
    """A head of large rewards has no louder voice."""
    heads = [LinearBradleyTerry(alpha=1e3), make_head("logistic")]
    head = RewardEnsemble(heads, bagging=None).fit(data.pairs, data.y)
    spread = head.member_rewards(data.pairs.items).std(axis=1)
    np.testing.assert_allclose(spread, 1.0)


def test_members_of_one_kind_keep_their_nats(data):
    """Their scale means something."""
    heads = [LinearBradleyTerry(alpha=1e3), LinearBradleyTerry(alpha=1.0)]
    head = RewardEnsemble(heads, bagging=None).fit(data.pairs, data.y)
    np.testing.assert_array_equal(head.scale_, 1.0)


def test_a_member_with_equal_rewards_is_not_divided_by_zero(data):
    """A tree that never split has no say, and does no harm."""
    blunt = make_head("lightgbm", n_estimators=1, min_child_samples=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        head = RewardEnsemble(["linear", blunt], bagging=None)
        head.fit(data.pairs, data.y)
    assert np.isfinite(head.reward(data.pairs.items)).all()
    assert head.score(data.pairs, data.y) > 0.6


def test_seeds_make_members_differ(data):
    """On the same data, a network with another start is another network."""
    head = RewardEnsemble(MLP, 2, bagging="seed", random_state=0)
    head.fit(data.pairs, data.y)
    _, std = head.reward(data.pairs.items, return_std=True)
    assert (std > 0).all()


def test_bagging_by_seed_refuses_heads_without_one(data):
    """Ten equal members would pass for certainty."""
    with pytest.raises(InvalidInputError, match="got LinearBradleyTerry, which is the"):
        RewardEnsemble("linear", bagging="seed").fit(data.pairs, data.y)


def test_the_uncertainty_weighted_fit_is_a_second_fit(data):
    """Of weights 1 / (1 + Var_w + Var_l) times the first fit's."""
    first = RewardEnsemble(LINEAR, 4, bagging="pair", random_state=3)
    first.fit(data.pairs, data.y)
    wins = make_comparisons(data.pairs, data.y)
    _, std = first.reward(wins.items, return_std=True)
    doubt = 1 / (1 + std[wins.winner] ** 2 + std[wins.loser] ** 2)
    rng = np.random.default_rng(3)
    ids = np.column_stack([wins.winner, wins.loser])
    coefs = [
        LinearBradleyTerry(alpha=1.0)
        .fit(
            Pairs(wins.items, ids),
            sample_weight=doubt * draw_counts(wins, "pair", rng),
        )
        .coef_
        for _ in range(4)
    ]
    second = RewardEnsemble(
        LINEAR, 4, bagging="pair", uncertainty_weighted=True, random_state=3
    ).fit(data.pairs, data.y)
    got = [member.coef_ for member in second.members_]
    np.testing.assert_allclose(got, coefs, atol=1e-8)


def test_threads_change_nothing(data):
    """n_jobs is about time only."""
    one = RewardEnsemble(LINEAR, 4, random_state=0).fit(data.pairs, data.y)
    two = RewardEnsemble(LINEAR, 4, random_state=0, n_jobs=2).fit(data.pairs, data.y)
    np.testing.assert_array_equal(
        one.reward(data.pairs.items), two.reward(data.pairs.items)
    )


def test_a_seed_reproduces_and_another_does_not(data):
    """All randomness comes from random_state."""
    rewards = [
        RewardEnsemble(LINEAR, 3, random_state=seed)
        .fit(data.pairs, data.y)
        .reward(data.pairs.items)
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(rewards[0], rewards[1])
    assert not np.array_equal(rewards[0], rewards[2])


def test_spread_falls_as_prompts_are_added(make_preferences):
    """More data, more agreement: about by the square root of their number."""
    spread = []
    for n_prompts in (30, 480):
        data = make_preferences(n_prompts=n_prompts, error_rate=0.3)
        head = RewardEnsemble(LINEAR, 10, random_state=0).fit(data.pairs, data.y)
        spread.append(head.decision_function(data.pairs, return_std=True)[1].mean())
    assert spread[1] < spread[0] / 2


def test_spread_agrees_with_the_sandwich_error(make_preferences):
    """The bootstrap by prompt and the clustered sandwich estimate one variance."""
    data = make_preferences(n_prompts=200, error_rate=0.3)
    head = RewardEnsemble(LINEAR, 100, random_state=0).fit(data.pairs, data.y)
    _, std = head.decision_function(data.pairs, return_std=True)
    fitted = LinearBradleyTerry(alpha=1.0).fit(data.pairs, data.y)
    x = data.pairs.items[data.pairs.first] - data.pairs.items[data.pairs.second]
    p = fitted.predict_proba(data.pairs)[:, 1]
    hessian = (x.T * (p * (1 - p))) @ x + np.eye(x.shape[1])
    prompt = data.pairs.groups
    scores = np.stack(
        [(x * (data.y - p)[:, None])[prompt == g].sum(axis=0) for g in range(200)]
    )
    inverse = np.linalg.inv(hessian)
    covariance = inverse @ scores.T @ scores @ inverse
    wanted = np.sqrt(np.einsum("ij,jk,ik->i", x, covariance, x))
    assert np.median(std / wanted) == pytest.approx(1.0, abs=0.15)


def test_a_mixed_ensemble_travels_as_json_and_arrays(data):
    """Members are stored with their specs."""
    head = RewardEnsemble(["linear", "lightgbm"], random_state=0)
    head.fit(data.pairs, data.y)
    state = head.get_state()
    travelled = HeadState(
        state.arrays, json.loads(json.dumps(dict(state.values))), state.blobs
    )
    again = RewardEnsemble().set_state(travelled)
    np.testing.assert_array_equal(
        again.reward(data.pairs.items), head.reward(data.pairs.items)
    )


def test_wrapped_heads_may_be_members(data):
    """Calibrated members are of one kind, whatever is inside, and stay in nats."""
    heads = [CalibratedReward(LINEAR), CalibratedReward("logistic")]
    head = RewardEnsemble(heads, random_state=0).fit(data.pairs, data.y)
    np.testing.assert_array_equal(head.scale_, 1.0)
    assert head.score(data.pairs, data.y) > 0.7


def test_a_state_that_lacks_members_is_refused(data):
    """Scales and members belong together."""
    state = RewardEnsemble(LINEAR, 2).fit(data.pairs, data.y).get_state()
    damaged = HeadState(state.arrays, {**state.values, "n_members": 1}, state.blobs)
    with pytest.raises(IntegrityError, match="size members = 2"):
        RewardEnsemble().set_state(damaged)


def test_float16_items_are_scored_as_float32(data):
    """Also where the spread is asked for, and behind a preprocessor."""
    from sklearn.preprocessing import StandardScaler

    head = RewardEnsemble(LINEAR, 2, random_state=0, preprocessor=StandardScaler())
    head.fit(data.pairs, data.y)
    half = data.pairs.items.astype(np.float16)
    reward, std = head.reward(half, return_std=True)
    np.testing.assert_array_equal(reward, head.reward(half.astype(np.float32)))
    assert std.dtype == np.float64


def test_no_items_have_no_rewards(data):
    """An empty matrix is a matrix."""
    head = RewardEnsemble(LINEAR, 2).fit(data.pairs, data.y)
    reward, std = head.reward(data.pairs.items[:0], return_std=True)
    assert reward.shape == std.shape == (0,)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_members": 0}, "n_members: an integer >= 1"),
        ({"heads": []}, "heads: at least one"),
        ({"heads": [3]}, "expected a head"),
        ({"bagging": "prompts"}, "bagging: 'prompt', 'pair', 'seed' or None"),
        ({"aggregate": "max"}, "aggregate: 'mean', 'min', 'lower' or 'quantile'"),
        ({"k": -1.0}, "k: a finite number"),
        ({"quantile": 1.5}, "quantile: a number in"),
    ],
)
def test_wrong_parameters_are_refused_in_fit(data, params, message):
    """With what they may be."""
    with pytest.raises(InvalidInputError, match=message):
        RewardEnsemble(**params).fit(data.pairs, data.y)


@pytest.fixture
def cross_prompt_wins():
    """Wins within and across 20 prompts of three items."""
    rng = np.random.default_rng(0)
    ids = np.array([rng.choice(60, 2, replace=False) for _ in range(300)])
    pairs = Pairs(rng.normal(size=(60, 3)), ids, np.repeat(np.arange(20), 3))
    return make_comparisons(pairs)


def test_wins_of_one_prompt_are_drawn_together(make_preferences):
    """All wins of a prompt count as often as the prompt was drawn."""
    data = make_preferences(n_prompts=10)
    wins = make_comparisons(data.pairs, data.y)
    counts = draw_counts(wins, "prompt", np.random.default_rng(0))
    by_prompt = [counts[wins.groups[wins.winner] == g] for g in range(10)]
    assert all(np.ptp(part) == 0 for part in by_prompt)
    assert sum(part[0] for part in by_prompt) == 10
    assert len({part[0] for part in by_prompt}) > 1


def test_a_win_across_prompts_counts_the_product(cross_prompt_wins):
    """The pigeonhole bootstrap, with the prompts' counts read off the wins inside."""
    wins = cross_prompt_wins
    first, second = wins.groups[wins.winner], wins.groups[wins.loser]
    counts = draw_counts(wins, "prompt", np.random.default_rng(1))
    inside = first == second
    of_prompt = dict(zip(first[inside], counts[inside], strict=True))
    both = [i for i in np.flatnonzero(~inside) if {first[i], second[i]} <= {*of_prompt}]
    assert len(both) > 50
    wanted = [of_prompt[first[i]] * of_prompt[second[i]] for i in both]
    np.testing.assert_array_equal(counts[both], wanted)


def test_counts_are_one_in_expectation(cross_prompt_wins):
    """No win is favoured."""
    rng = np.random.default_rng(2)
    draws = [draw_counts(cross_prompt_wins, "prompt", rng) for _ in range(4000)]
    np.testing.assert_allclose(np.mean(draws, axis=0), 1.0, atol=0.2)


def test_both_wins_of_a_soft_label_are_one_pair():
    """A pair of items is drawn with all the wins between the two."""
    pairs = Pairs(np.eye(40), np.arange(40).reshape(20, 2))
    wins = make_comparisons(pairs, np.full(20, 0.3))
    counts = draw_counts(wins, "pair", np.random.default_rng(0))
    assert counts.sum() == 2 * 20
    low = np.minimum(wins.winner, wins.loser)
    for item in np.unique(low):
        assert np.ptp(counts[low == item]) == 0


def test_one_pair_is_never_drawn_away():
    """There is always something to fit."""
    wins = make_comparisons(Pairs(np.eye(2), [[0, 1]]))
    rng = np.random.default_rng(0)
    assert all(draw_counts(wins, "prompt", rng).all() for _ in range(50))


def test_without_any_luck_all_wins_count_once():
    """Two items of one win are drawn both or not at all."""

    class SameUnit:
        def integers(self, n, size):
            return np.zeros(size, dtype=int)

    wins = make_comparisons(Pairs(np.eye(2), [[0, 1]]))
    np.testing.assert_array_equal(draw_counts(wins, "prompt", SameUnit()), [1.0])
