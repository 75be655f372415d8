"""MultiObjectiveReward weighs attributes by prompt, without length, in both uses."""

import json
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import HeadState, MultiObjectiveReward


class Data(NamedTuple):
    """Ratings of items of the first prompts; pairs to train and to test on."""

    items: np.ndarray
    ratings: np.ndarray
    lengths: np.ndarray
    prompts: np.ndarray
    train: Pairs
    y: np.ndarray
    test: Pairs
    gold: np.ndarray

    @property
    def fit_arguments(self):
        n = len(self.ratings)
        return (self.items[:n], self.ratings), {
            "pairs": self.train,
            "prompt_vectors": self.prompts,
            "y": self.y,
        }

    @property
    def truth(self):
        return self.gold[self.test.first] > self.gold[self.test.second]


def make_data(n_prompts=200, length_effect=0.0, seed=0):
    """Prompts decide which of three attributes is wanted."""
    rng = np.random.default_rng(seed)
    prompts, prompt = (
        rng.normal(size=(n_prompts, 4)),
        np.repeat(np.arange(n_prompts), 4),
    )
    items = rng.normal(size=(4 * n_prompts, 8))
    wanted = np.exp(2 * prompts[:, :3])
    wanted /= wanted.sum(axis=1, keepdims=True)
    gold = 3 * (wanted[prompt] * items[:, :3]).sum(axis=1)
    left, right = np.triu_indices(4, 1)
    base = 4 * np.arange(n_prompts)[:, None]
    ids = np.column_stack([(base + left).ravel(), (base + right).ravel()])
    chance = 1 / (1 + np.exp(gold[ids[:, 1]] - gold[ids[:, 0]]))
    y = (rng.random(len(ids)) < chance).astype(int)
    train = ids[:, 0] < 3 * n_prompts
    rated = items[: 3 * n_prompts, :3] + length_effect * items[: 3 * n_prompts, [3]]
    return Data(
        items,
        rated + 0.5 * rng.normal(size=rated.shape),
        np.exp(items[:, 3] + 0.3 * rng.normal(size=len(items))),
        prompts,
        Pairs(items, ids[train], prompt),
        y[train],
        Pairs(items, ids[~train], prompt),
        gold,
    )


@pytest.fixture(scope="module")
def data():
    return make_data()


@pytest.fixture(scope="module")
def head(data):
    """Fitted with everything automatic."""
    arguments, named = data.fit_arguments
    return MultiObjectiveReward().fit(*arguments, **named)


def test_the_prompt_tells_which_attribute_counts(head, data):
    """Held-out prompts are ordered far better than by any fixed mixture."""
    gated = head.score(data.test, data.truth, prompt_vectors=data.prompts)
    fixed = head.score(data.test, data.truth)
    assert gated > 0.9
    assert gated > fixed + 0.1


def test_hidden_layers_do_as_well(data):
    """The multilayer gate, deterministic given a seed."""
    arguments, named = data.fit_arguments
    one, two = (
        MultiObjectiveReward(hidden_sizes=(8,), random_state=0).fit(*arguments, **named)
        for _ in range(2)
    )
    assert one.score(data.test, data.truth, prompt_vectors=data.prompts) > 0.88
    np.testing.assert_array_equal(one.gate(data.prompts), two.gate(data.prompts))


def test_the_reward_is_the_gated_sum_of_standardised_ridges(data):
    """Written out with scikit-learn's ridge."""
    (items, ratings), named = data.fit_arguments
    head = MultiObjectiveReward(alpha=2.0, gate_alpha=1.0).fit(items, ratings, **named)
    predicted = Ridge(alpha=2.0).fit(items, ratings).predict
    mean, spread = predicted(items).mean(axis=0), predicted(items).std(axis=0)
    prompt = np.asarray(data.test.prompt_ids)
    weights = head.gate(data.prompts)[prompt]
    wanted = (weights * (predicted(data.items) - mean) / spread).sum(axis=1)
    wanted *= np.exp(head.gate_.log_factor)
    got = head.reward(data.items, data.prompts, prompt)
    np.testing.assert_allclose(np.diff(got), np.diff(wanted), atol=1e-8)
    np.testing.assert_allclose(head.attributes(items), predicted(items), atol=1e-8)
    one_each = head.reward(data.items, data.prompts[prompt])
    np.testing.assert_array_equal(one_each, got)


def test_rewards_are_centred_over_the_compared_items(head, data):
    """Under their own prompts."""
    used = np.unique(data.train.ids)
    prompt = np.asarray(data.train.prompt_ids)[used]
    reward = head.reward(data.items[used], data.prompts, prompt)
    assert reward.mean() == pytest.approx(0, abs=1e-9)


def test_deltas_are_calibrated(head, data):
    """Attributes have no unit, rewards have nats: the slope of gold on delta is 1."""
    delta = head.decision_function(data.test, data.prompts)
    gold = data.gold[data.test.first] - data.gold[data.test.second]
    assert np.polyfit(delta, gold, 1)[0] == pytest.approx(1.0, abs=0.2)


def test_length_is_taken_out_of_the_reward():
    """In training and in use: new items' rewards do not follow length."""
    data = make_data(length_effect=1.5)
    arguments, named = data.fit_arguments
    prompt = np.asarray(data.test.prompt_ids)
    found = {}
    for lengths in (None, data.lengths[:600]):
        head = MultiObjectiveReward().fit(*arguments, **named, lengths=lengths)
        reward = head.reward(data.items, data.prompts, prompt)[600:]
        found[lengths is None] = (
            spearmanr(reward, data.lengths[600:]).statistic,
            head.score(data.test, data.truth, prompt_vectors=data.prompts),
        )
    assert abs(found[False][0]) < 0.2 < 0.3 < found[True][0]
    assert found[False][1] > found[True][1] + 0.05
    assert np.abs(head.spearman_after_).max() <= 0.03 < head.spearman_before_.min()
    assert (head.length_penalty_ > 0).all()


def test_the_gate_is_fitted_to_what_it_is_applied_to():
    """The reference computes a debiasing matrix and trains without it: not here."""
    data = make_data(length_effect=1.5, n_prompts=60)
    arguments, named = data.fit_arguments
    lengths = data.lengths[: len(data.ratings)]
    head = MultiObjectiveReward(gate_alpha=1.0, alpha=1.0)
    head.fit(*arguments, **named, lengths=lengths)
    items, _ = arguments
    plain = head.attributes_(items)
    unpenalised = MultiObjectiveReward(gate_alpha=1.0, alpha=0.0)
    unpenalised.fit(items, plain, **named)
    np.testing.assert_allclose(
        unpenalised.gate(data.prompts), head.gate(data.prompts), atol=0.02
    )


def test_swapping_pairs_negates_delta_exactly(head, data):
    """With prompts and without."""
    for vectors in (None, data.prompts):
        delta = head.decision_function(data.test, vectors)
        swapped = head.decision_function(data.test.swap(), vectors)
        np.testing.assert_array_equal(swapped, -delta)
        assert head.predict_proba(data.test, vectors).shape == (len(data.test), 2)


def test_cross_prompt_pairs_use_both_prompts(head, data):
    """Each item is weighed by the gate of its own prompt."""
    pairs = Pairs(data.items, [[0, 799]], data.test.prompt_ids)
    first = head.reward(data.items[:1], data.prompts[:1])
    second = head.reward(data.items[799:], data.prompts[199:])
    delta = head.decision_function(pairs, data.prompts)
    np.testing.assert_allclose(delta, first - second)


def test_order_orientation_and_copies_of_pairs_do_not_matter(data):
    """Weight 2 is two copies, a flipped label a swapped pair."""
    (items, ratings), _ = data.fit_arguments
    pairs, y = data.train[:60], data.y[:60]
    weight = 1.0 + np.arange(60) % 2
    head = MultiObjectiveReward(gate_alpha=1.0)
    one = head.fit(
        items,
        ratings,
        pairs=pairs,
        y=y,
        prompt_vectors=data.prompts,
        sample_weight=weight,
    ).gate(data.prompts)
    copies = np.random.default_rng(0).permutation(
        np.repeat(np.arange(60), weight.astype(int))
    )
    two = clone(head).fit(
        items[::-1],
        ratings[::-1],
        pairs=pairs[copies].swap(),
        y=1 - y[copies],
        prompt_vectors=data.prompts,
    )
    np.testing.assert_allclose(two.gate(data.prompts), one, atol=1e-9)


def test_a_stored_head_scores_the_same_bits(data):
    """Through JSON and bytes, preprocessor, length and constant gate included."""
    arguments, named = data.fit_arguments
    head = MultiObjectiveReward(preprocessor=StandardScaler())
    head.fit(*arguments, **named, lengths=data.lengths[:600])
    state = head.get_state()
    travelled = HeadState(
        {name: np.array(array, order="C") for name, array in state.arrays.items()},
        json.loads(json.dumps(dict(state.values), allow_nan=False)),
    )
    again = clone(head).set_state(travelled)
    for vectors in (None, data.prompts):
        np.testing.assert_array_equal(
            again.decision_function(data.test, vectors),
            head.decision_function(data.test, vectors),
        )
    with pytest.raises(IntegrityError, match="in the stored state"):
        MultiObjectiveReward().set_state(HeadState({}, {"n_features_in": 8}))


def test_one_pair_and_one_attribute_are_taken():
    """A softmax over one attribute weighs it 1."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(10, 3))
    pairs = Pairs(items, [[0, 1]], np.zeros(10, int))
    head = MultiObjectiveReward()
    head.fit(items, items[:, 0], pairs=pairs, prompt_vectors=[[1.0, 2.0]])
    assert head.gate([[0.0, 0.0]]).tolist() == [[1.0]]
    assert np.isfinite(head.reward(items)).all()
    assert head.reward(items[:0]).shape == (0,)


@pytest.mark.parametrize("scale", [1e4, 1e-4])
def test_extreme_scales_stay_finite(data, scale):
    """Of items, ratings and prompts; the order stays."""
    arguments, named = data.fit_arguments
    named = named | {
        "pairs": Pairs(scale * data.items, data.train.ids, data.train.prompt_ids),
        "prompt_vectors": scale * data.prompts,
    }
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        head = MultiObjectiveReward().fit(
            scale * arguments[0], scale * arguments[1], **named
        )
    test = Pairs(scale * data.items, data.test.ids, data.test.prompt_ids)
    assert head.score(test, data.truth, prompt_vectors=scale * data.prompts) > 0.9


@pytest.mark.parametrize(
    ("params", "changed", "message"),
    [
        ({"gate_alpha": 0.0}, {}, "gate_alpha: a finite number > 0"),
        ({"temperature": 0.0}, {}, "temperature: a finite number > 0"),
        ({"hidden_sizes": (0,)}, {}, "hidden_sizes: an integer >= 1"),
        ({"max_length_correlation": 1.0}, {}, "max_length_correlation"),
        ({"max_iter": 0}, {}, "max_iter: an integer >= 1"),
        ({}, {"y": [0.5]}, r"y of shape"),
        ({}, {"lengths": [1.0]}, r"lengths of shape \(600,\)"),
        ({}, {"prompt_vectors": np.ones((3, 2))}, r"prompt_ids in \[0, 3\)"),
        (
            {},
            {"pairs": Pairs(np.ones((2, 5)), [[0, 1]], [0, 1]), "y": [1]},
            "d = 8, as in fit",
        ),
    ],
)
def test_bad_parameters_and_arguments_are_refused(data, params, changed, message):
    """At fit, in three parts."""
    arguments, named = data.fit_arguments
    with pytest.raises(InvalidInputError, match=message):
        MultiObjectiveReward(**params).fit(*arguments, **(named | changed))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda h, d: h.reward(d.items, d.prompts), "a prompt vector for each of 800"),
        (lambda h, d: h.reward(d.items[:, 1:]), "d = 8, as in fit"),
        (lambda h, d: h.gate(d.prompts[:, 1:]), "d = 4, as in fit"),
        (lambda h, d: h.decision_function(d.items, d.prompts), r"use reward\(X\)"),
        (lambda h, d: h.score(d.test, d.truth, None, d.prompts[:5]), "prompt_ids in"),
    ],
)
def test_bad_items_and_prompts_are_refused(head, data, call, message):
    """In scoring too."""
    with pytest.raises(InvalidInputError, match=message):
        call(head, data)


@pytest.mark.parametrize("method", ["reward", "attributes", "gate"])
def test_an_unfitted_head_says_so(method):
    """As scikit-learn wants it."""
    with pytest.raises(NotFittedError):
        getattr(MultiObjectiveReward(), method)(np.eye(2))
