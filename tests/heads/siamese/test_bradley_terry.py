"""SiameseBradleyTerry learns what a line cannot, and is no worse where it can."""

import subprocess
import sys

import numpy as np
import pytest

from embrm import Pairs
from embrm.exceptions import IntegrityError, InvalidInputError
from embrm.heads import LinearBradleyTerry, SiameseBradleyTerry
from embrm.heads.state import HeadState


@pytest.fixture
def bent_preferences():
    """Train and test pairs of a reward that no line orders: |x0| + x1 * x2."""
    rng = np.random.default_rng(0)
    items = rng.normal(size=(2000, 4))
    gold = 2 * np.abs(items[:, 0]) + items[:, 1] * items[:, 2]
    ids = rng.permutation(1000).reshape(-1, 2), rng.permutation(1000).reshape(-1, 2)
    train = np.concatenate(ids)
    test = 1000 + train
    return [
        (Pairs(items, pairs), gold[pairs[:, 0]] > gold[pairs[:, 1]])
        for pairs in (train[(train[:, 0] != train[:, 1])], test)
    ]


def test_a_bent_reward_is_learned(bent_preferences):
    """Where the linear head guesses, the network does not."""
    train, test = bent_preferences
    linear = LinearBradleyTerry().fit(*train).score(*test)
    siamese = SiameseBradleyTerry(random_state=0).fit(*train).score(*test)
    assert linear < 0.6
    assert siamese > 0.75


def test_a_network_alone_learns_too(bent_preferences):
    """Without the linear start as well."""
    train, test = bent_preferences
    head = SiameseBradleyTerry(linear_start=False, random_state=0).fit(*train)
    assert head.linear_ is None
    assert head.score(*test) > 0.75


def test_a_linear_reward_with_noise_stays_with_the_linear_head(make_preferences):
    """The network takes nothing away where there is nothing for it to learn."""
    data = make_preferences(n_prompts=150, d=30, error_rate=0.4)
    head = SiameseBradleyTerry(random_state=0).fit(data.pairs, data.y)
    linear = LinearBradleyTerry().fit(data.pairs, data.y)
    truth = data.gold[data.pairs.first] > data.gold[data.pairs.second]
    assert head.score(data.pairs, truth) > linear.score(data.pairs, truth) - 0.02


def test_the_reward_is_the_weighted_sum_of_its_parts(bent_preferences):
    """Up to a constant, a times the linear reward plus b times the network's."""
    train, (pairs, _) = bent_preferences
    head = SiameseBradleyTerry(random_state=0).fit(*train)
    assert head.linear_weight_ > 0
    assert head.network_weight_ > 0
    items = ((pairs.items - head.mean_) / head.scale_).astype(np.float32)
    total = head.linear_weight_ * head.linear_.reward(pairs.items)
    network = head.network_(items) - head.network_offsets_.mean()
    total += head.network_weight_ * network
    np.testing.assert_allclose(
        head.reward(pairs.items), total - head.offset_, rtol=1e-4, atol=1e-4
    )


def test_too_few_wins_to_hold_out_leave_the_linear_head(make_preferences):
    """There is no evidence for a network: rewards are those of LinearBradleyTerry."""
    data = make_preferences(n_prompts=3, n_responses=3)
    head = SiameseBradleyTerry(random_state=0).fit(data.pairs, data.y)
    linear = LinearBradleyTerry().fit(data.pairs, data.y)
    assert head.best_epoch_ == 0
    np.testing.assert_allclose(
        head.reward(data.pairs.items), linear.reward(data.pairs.items), atol=1e-9
    )
    assert not head.reward(data.pairs.items, return_std=True)[1].any()


def test_the_linear_penalty_is_searched_once(make_preferences, monkeypatch):
    """Linear heads that tell how much to trust it take its penalty over."""
    alphas = []
    fit = LinearBradleyTerry.fit_comparisons

    def counted(self, comparisons):
        alphas.append(self.alpha)
        return fit(self, comparisons)

    monkeypatch.setattr(LinearBradleyTerry, "fit_comparisons", counted)
    data = make_preferences(n_prompts=60)
    head = SiameseBradleyTerry(max_epochs=1, random_state=0).fit(data.pairs, data.y)
    assert alphas[0] == "auto"
    assert alphas[1:] == [head.linear_.alpha_] * 4


def test_a_reward_of_sure_networks_is_in_nats(bent_preferences):
    """Whatever loss trains them, the scale is that of held-out log loss."""
    train, (pairs, y) = bent_preferences
    for loss in ("logistic", "savage"):
        head = SiameseBradleyTerry(loss=loss, linear_start=False, random_state=0)
        delta = head.fit(*train).decision_function(pairs) * np.where(y, 1, -1)
        losses = [np.logaddexp(0, -s * delta).mean() for s in (0.5, 1.0, 2.0)]
        assert losses[1] == min(losses)


def test_rewards_have_mean_zero_over_the_training_items(make_preferences):
    """As the linear head's do."""
    data = make_preferences()
    head = SiameseBradleyTerry(8, linear_start=False, random_state=0)
    head.fit(data.pairs, data.y)
    assert head.reward(data.pairs.items).mean() == pytest.approx(0, abs=1e-6)


def test_the_scale_of_the_items_does_not_matter(make_preferences):
    """The input is standardised inside."""
    data = make_preferences(error_rate=0.1)
    head = SiameseBradleyTerry(8, linear_start=False, random_state=0)
    # A power of two scales every float exactly.
    scaled = Pairs(1024 * data.pairs.items, data.pairs.ids, data.pairs.prompt_ids)
    one = head.fit(data.pairs, data.y).decision_function(data.pairs)
    other = head.fit(scaled, data.y).decision_function(scaled)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_constant_columns_do_no_harm(make_preferences):
    """A column without spread is centred and not divided by zero."""
    data = make_preferences()
    items = np.column_stack([data.pairs.items, np.full(len(data.gold), 0.1)])
    pairs = Pairs(items.astype(np.float32), data.pairs.ids, data.pairs.prompt_ids)
    head = SiameseBradleyTerry(8, linear_start=False, random_state=0)
    assert head.fit(pairs, data.y).score(pairs, data.y) > 0.8
    assert head.scale_[-1] == 1.0


@pytest.mark.parametrize("sizes", [(8, 4), [8, 4]])
def test_hidden_sizes_may_be_a_tuple_or_a_list(make_preferences, sizes):
    """Each number is a layer."""
    data = make_preferences()
    head = SiameseBradleyTerry(sizes, max_epochs=1, random_state=0)
    head.fit(data.pairs, data.y)
    assert [w.shape for w in head.network_.weights] == [
        (4, 5, 8),
        (4, 8, 4),
        (4, 4, 1),
    ]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"hidden_sizes": "big"},
            "hidden_sizes: .*an integer >= 1 or 'auto'; got 'big'",
        ),
        ({"hidden_sizes": (8, 0)}, "hidden_sizes: an integer >= 1"),
        ({"learning_rate": 0}, "learning_rate: a finite number > 0"),
        ({"max_epochs": 0}, "max_epochs: an integer >= 1"),
        ({"batch_size": 0.5}, "batch_size: an integer >= 1"),
        ({"weight_decay": -1}, "weight_decay: a finite number >= 0"),
        ({"dropout": 1.0}, r"dropout: a number in \[0, 1\)"),
        ({"patience": 0}, "patience: an integer >= 1"),
        ({"validation_fraction": 0.0}, r"validation_fraction: a number in \(0, 1\)"),
        ({"linear_start": "no"}, "linear_start: True or False; got 'no'"),
        ({"loss": "bt"}, "loss: 'logistic', 'hinge'.* or 'robust'; got 'bt'"),
        ({"schedule": "linear"}, "schedule: 'constant' or 'cosine'"),
        ({"batching": "items"}, "batching: 'pairs' or 'prompts'"),
        ({"precision": "float16"}, "precision: 'auto', 'float32' or 'bfloat16'"),
        ({"label_smoothing": 0.5}, r"label_smoothing: a number in \[0, 0.5\)"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"centering": -1.0}, "centering"),
        ({"ensemble_size": 0}, "ensemble_size"),
        ({"max_grad_norm": 0.0}, "max_grad_norm: a number > 0"),
        ({"max_grad_norm": np.nan}, "max_grad_norm"),
        ({"random_state": "seed"}, "random_state that is None"),
    ],
)
def test_parameters_out_of_range_are_refused(params, message):
    """The message names the parameter and its range."""
    with pytest.raises(InvalidInputError, match=message):
        SiameseBradleyTerry(**params).fit(Pairs(np.eye(2), [[0, 1]]))


def fitted_state(make_preferences):
    data = make_preferences()
    head = SiameseBradleyTerry(8, linear_start=False, random_state=0)
    return head.fit(data.pairs, data.y).get_state()


def test_layers_that_do_not_fit_are_refused(make_preferences):
    """A state whose shapes contradict each other is damaged."""
    state = fitted_state(make_preferences)
    arrays = {**state.arrays, "weight1": np.ones((4, 3, 1), dtype=np.float32)}
    with pytest.raises(IntegrityError, match="layers that fit each other"):
        SiameseBradleyTerry().set_state(HeadState(arrays, state.values))


def test_a_missing_layer_is_refused(make_preferences):
    """A state that lacks a layer is damaged."""
    state = fitted_state(make_preferences)
    arrays = {name: a for name, a in state.arrays.items() if name != "weight0"}
    with pytest.raises(IntegrityError, match="array 'weight0'"):
        SiameseBradleyTerry().set_state(HeadState(arrays, state.values))


def test_a_stored_head_scores_without_torch():
    """Import, set_state and reward load no torch."""
    code = """
import sys
import numpy as np
from embrm.heads import SiameseBradleyTerry
from embrm.heads.state import HeadState
arrays = {"weight0": np.ones((1, 2, 1), np.float32), "mean": np.zeros(2),
          "scale": np.ones(2), "held_out_loss": np.empty(0)}
values = {"n_layers": 1, "offset": 1.0, "best_epoch": 1, "linear_start": False,
          "linear_weight": 0.0, "network_weight": 0.5, "n_features_in": 2}
head = SiameseBradleyTerry().set_state(HeadState(arrays, values))
assert head.reward([[1.0, 2.0]]) == [0.5]
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_members_of_an_ensemble_differ_and_their_mean_is_the_reward(bent_preferences):
    """return_std tells how far; an ensemble of one does not differ from itself."""
    train, (pairs, _) = bent_preferences
    for m, differs in ((1, False), (3, True)):
        head = SiameseBradleyTerry(
            ensemble_size=m, linear_start=False, max_epochs=5, random_state=0
        ).fit(*train)
        reward, std = head.reward(pairs.items, return_std=True)
        delta, std_of_delta = head.decision_function(pairs, return_std=True)
        np.testing.assert_array_equal(reward, head.reward(pairs.items))
        np.testing.assert_array_equal(delta, head.decision_function(pairs))
        assert bool(std.any()) is bool(std_of_delta.any()) is differs


def test_constants_of_members_are_no_uncertainty(bent_preferences):
    """A reward is defined up to a constant, and so is each member's."""
    (pairs, y), _ = bent_preferences
    head = SiameseBradleyTerry(
        ensemble_size=3, linear_start=False, max_epochs=5, random_state=0
    ).fit(pairs, y)
    items = ((pairs.items - head.mean_) / head.scale_).astype(np.float32)
    centred = head.network_.members(items) - head.network_offsets_[:, None]
    used = np.unique(pairs.ids)
    np.testing.assert_allclose(centred[:, used].mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(
        head.reward(pairs.items, return_std=True)[1],
        head.network_weight_ * centred.std(axis=0),
        rtol=1e-3,
        atol=1e-5,
    )
    first, second = centred[:, pairs.first], centred[:, pairs.second]
    np.testing.assert_allclose(
        head.decision_function(pairs, return_std=True)[1],
        head.network_weight_ * (first - second).std(axis=0),
        rtol=1e-3,
        atol=1e-5,
    )


@pytest.mark.parametrize("loss", ["hinge", "squared", "exponential", "savage"])
def test_every_loss_learns_a_bent_reward(bent_preferences, loss):
    """Better than chance by far, from a network alone."""
    train, test = bent_preferences
    head = SiameseBradleyTerry(loss=loss, linear_start=False, random_state=0)
    assert head.fit(*train).score(*test) > 0.7


def test_prompts_can_be_batched_whole(bent_preferences):
    """K-wise batching learns as well."""
    train, test = bent_preferences
    head = SiameseBradleyTerry(batching="prompts", linear_start=False, random_state=0)
    assert head.fit(*train).score(*test) > 0.7
