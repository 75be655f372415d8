"""Training leaves torch's global state alone and keeps the epoch it should."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from embrm.embed import sliced_encoder
from embrm.heads import SiameseBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.siamese import _training as training
from embrm.heads.siamese._mixing import scaled_loss
from embrm.heads.siamese._training import (
    TrainingPlan,
    Wins,
    _Trainer,
    train_network,
)
from embrm.heads.siamese.losses import LOSSES
from embrm.heads.siamese.network import Network

PLAN = TrainingPlan(
    hidden_sizes=(16,),
    n_members=1,
    loss=LOSSES["logistic"],
    learning_rate=1e-2,
    cosine=False,
    max_epochs=30,
    batch_size=32,
    whole_prompts=False,
    weight_decay=0.0,
    dropout=0.0,
    max_grad_norm=1.0,
    centering=0.0,
    patience=5,
    bfloat16=False,
)


@pytest.fixture
def comparisons(make_preferences):
    data = make_preferences(n_prompts=40)
    return make_comparisons(data.pairs, data.y)


@pytest.fixture
def train(comparisons):
    """Train on most wins, with a fresh generator; keywords change the plan."""

    def run(*, validation=True, logit=0.0, seed=0, **changes):
        last = np.arange(len(comparisons)) % 5 == 0
        plan = replace(PLAN, **changes)
        splits = [(~last, last)] * plan.n_members if validation else []
        return train_network(
            # A negative margin is a logit that another model would give.
            replace(wins_of(comparisons), margin=np.full(len(comparisons), -logit)),
            splits,
            plan,
            np.random.default_rng(seed),
        )

    return run


def wins_of(comparisons):
    items = comparisons.items.astype(np.float32)
    return Wins.of(items, comparisons)


def all_wins(comparisons, n_members=1):
    return np.ones((n_members, len(comparisons)), dtype=bool)


def same(one, other):
    return all(
        np.array_equal(a, b)
        for a, b in zip(
            one.weights + one.biases, other.weights + other.biases, strict=True
        )
    )


def test_training_lowers_the_held_out_loss(train):
    """From log 2, which is the loss of a network that says nothing."""
    losses = train().held_out_loss
    assert losses[0] == pytest.approx(np.log(2))
    assert min(losses) < 0.2


def test_the_best_epoch_is_restored(train, comparisons):
    """The network that is kept has the least loss at its best scale, not the last."""
    training = train(learning_rate=0.3)
    assert training.best_epoch == int(np.argmin(training.held_out_loss[1:])) + 1
    score = training.network(comparisons.items.astype(np.float32)).astype(float)
    held = np.arange(len(comparisons)) % 5 == 0
    delta = (score[comparisons.winner] - score[comparisons.loser])[held]
    scales = np.geomspace(1e-3, 1e3, 2000)
    losses = [np.logaddexp(0, -scale * delta).mean() for scale in scales]
    assert min(losses) == pytest.approx(
        training.held_out_loss[training.best_epoch], rel=0.05
    )


def test_being_too_sure_does_not_end_training(train, comparisons):
    """A network of twice the size is judged alike: the scale is fitted."""
    wins = wins_of(comparisons)
    network = train().network
    double = Network([*network.weights[:-1], 2 * network.weights[-1]], network.biases)
    split = [(all_wins(comparisons)[0], all_wins(comparisons)[0])]
    loss = [
        scaled_loss(wins.deltas(n, split), wins.held_out(split))
        for n in (network, double)
    ]
    assert loss[0] == pytest.approx(loss[1], rel=1e-4)


def test_patience_ends_training(train):
    """It ends `patience` epochs after the best one, or at the last."""
    training = train(learning_rate=0.3, patience=3, max_epochs=100)
    assert len(training.held_out_loss) - 1 == training.best_epoch + 3


def test_a_network_has_to_say_something(train):
    """With a logit that orders everything, an epoch is kept all the same."""
    training = train(logit=50.0)
    assert training.best_epoch >= 1


def test_each_member_is_judged_by_its_own_wins(train, comparisons):
    """Leads come in the order of splits, each from the member of that number."""
    wins = wins_of(comparisons)
    network = train(n_members=2).network
    first = np.arange(len(comparisons)) % 2 == 0
    deltas = wins.deltas(network, [(~first, first), (first, ~first)])
    score = network.members(wins.items)
    delta = score[:, wins.winner] - score[:, wins.loser]
    expected = np.concatenate([delta[0, first], delta[1, ~first]])
    np.testing.assert_allclose(deltas, expected, rtol=1e-4, atol=1e-5)


def test_members_do_not_see_what_they_hold_out(comparisons):
    """Other labels on a member's held-out wins leave that member as it is."""
    wins = wins_of(comparisons)
    held_out = np.arange(len(comparisons)) % 5 == 0
    masks = np.stack([~held_out, ~held_out | True])
    flipped = replace(
        wins,
        winner=np.where(held_out, wins.loser, wins.winner),
        loser=np.where(held_out, wins.winner, wins.loser),
    )
    ends = []
    for each in (wins, flipped):
        plan = replace(PLAN, n_members=2)
        trainer = _Trainer(each, masks, plan, np.random.default_rng(0))
        trainer.run_epoch()
        ends.append(trainer.network.copy_out())
    one, other = (end.members(wins.items) for end in ends)
    np.testing.assert_allclose(one[0], other[0], rtol=1e-4, atol=1e-5)
    assert not np.allclose(one[1], other[1], atol=1e-3)


def test_without_validation_a_lone_network_trains_for_ten_epochs(train):
    """There is nothing to say when to stop."""
    training = train(validation=False)
    assert training.best_epoch == 10
    assert training.held_out_loss == []


def test_the_same_seed_gives_the_same_bits(train):
    """Dropout included."""
    assert same(train(dropout=0.3).network, train(dropout=0.3).network)


def test_another_seed_gives_another_network(train):
    """The generator is used."""
    assert not same(train(seed=1).network, train(seed=2).network)


def test_dropout_changes_training(train):
    """It drops something."""
    assert not same(train(dropout=0.5).network, train().network)


def test_the_global_generator_and_threads_are_left_alone(train):
    """A caller's torch.manual_seed still means what it meant."""
    torch.manual_seed(11)
    state, threads = torch.get_rng_state().clone(), torch.get_num_threads()
    train(dropout=0.2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_the_global_seed_does_not_matter(train):
    """Nor does training read torch's generator."""
    torch.manual_seed(1)
    one = train(dropout=0.2).network
    torch.manual_seed(2)
    assert same(one, train(dropout=0.2).network)


def test_weight_decay_shrinks_weights(train):
    """Decoupled decay pulls every weight towards zero."""
    free = train(validation=False)
    decayed = train(validation=False, weight_decay=10.0)

    def norm(training):
        return sum(np.linalg.norm(weight) for weight in training.network.weights)

    assert norm(decayed) < norm(free)


def test_no_hidden_layer_is_a_linear_network(train):
    """hidden_sizes=() has one weight matrix and no bias."""
    network = train(hidden_sizes=()).network
    assert [w.shape for w in network.weights] == [(1, 5, 1)]
    assert network.biases == []


def test_huge_leads_keep_weights_finite(train):
    """|delta| of 1e4 gives finite losses and gradients."""
    for logit in (1e4, -1e4):
        training = train(logit=logit)
        assert np.isfinite(training.held_out_loss).all()
        assert all(np.isfinite(weight).all() for weight in training.network.weights)


def test_a_network_is_relu_layers_without_an_output_bias():
    """Worked by hand: max(x W + b, 0) v."""
    network = Network(
        [np.array([[[1.0, -1.0]]]), np.array([[[2.0], [3.0]]])],
        [np.array([[0.5, 0.0]])],
    )
    np.testing.assert_allclose(network(np.array([[1.0], [-2.0]])), [3.0, 6.0])


def test_members_train_as_they_would_alone(comparisons):
    """Two members with equal weights stay equal; one of them is what one alone is."""
    ends = []
    for n_members in (1, 2):
        rng = np.random.default_rng(0)
        plan = replace(PLAN, n_members=n_members, max_grad_norm=0.1)
        masks = all_wins(comparisons, n_members)
        trainer = _Trainer(wins_of(comparisons), masks, plan, rng)
        first = np.random.default_rng(5).normal(0, 0.5, (5, 16)).astype(np.float32)
        with torch.no_grad():
            trainer.network.weights[0].copy_(torch.from_numpy(first))
        trainer.rng = np.random.default_rng(1)
        for _ in range(3):
            trainer.run_epoch()
        ends.append(trainer.network.copy_out())
    alone, both = ends
    for a, b in zip(
        alone.weights + alone.biases, both.weights + both.biases, strict=True
    ):
        np.testing.assert_allclose(b[0], a[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(b[1], a[0], rtol=1e-4, atol=1e-6)


def test_clipped_gradients_take_bounded_steps(comparisons):
    """Each member's gradient is at most as long as allowed."""
    plan = replace(PLAN, n_members=2, max_grad_norm=1e-3)
    wins = wins_of(comparisons)
    train = np.arange(len(comparisons))
    masks = all_wins(comparisons, 2)
    trainer = _Trainer(wins, masks, plan, np.random.default_rng(0))
    trainer._loss(train).backward()
    trainer._clip()
    parameters = trainer.network.parameters_of_members()
    norms = sum(p.grad.flatten(1).square().sum(dim=1) for p in parameters).sqrt()
    assert (norms <= 1e-3 * (1 + 1e-5)).all()


def test_an_epoch_is_no_more_than_some_of_many_wins(comparisons, monkeypatch):
    """Every win has its turn before one has its second."""
    monkeypatch.setattr(training, "WINS_OF_EPOCH", 32)
    plan = replace(PLAN, batch_size=16)
    trainer = _Trainer(
        wins_of(comparisons), all_wins(comparisons), plan, np.random.default_rng(0)
    )
    n_wins = len(comparisons)
    epochs = [np.concatenate(list(trainer._epoch())) for _ in range(n_wins // 32)]
    assert all(abs(len(epoch) - 32) <= 4 for epoch in epochs)
    seen = np.concatenate(epochs)
    assert len(np.unique(seen)) == len(seen)


def test_whole_prompts_stay_together_and_count_alike(comparisons):
    """No prompt is divided between batches; its weights sum to the same number."""
    wins = wins_of(comparisons)
    train = np.arange(len(comparisons))
    plan = replace(PLAN, whole_prompts=True)
    trainer = _Trainer(wins, all_wins(comparisons), plan, np.random.default_rng(0))
    batches = list(trainer._batches(np.random.default_rng(1)))
    assert np.array_equal(np.sort(np.concatenate(batches)), train)
    prompts = [set(wins.prompt[batch].tolist()) for batch in batches]
    assert len(batches) > 1
    assert sum(map(len, prompts)) == len(set().union(*prompts))
    total = np.bincount(wins.prompt, trainer.weight)
    np.testing.assert_allclose(total[total > 0], total[total > 0][0])


def test_a_cosine_schedule_ends_near_zero(comparisons):
    """The rate of the last epoch is a small part of the first."""
    plan = replace(PLAN, cosine=True, max_epochs=10)
    masks = all_wins(comparisons)
    trainer = _Trainer(wins_of(comparisons), masks, plan, np.random.default_rng(0))
    for _ in range(9):
        trainer.run_epoch()
    rate = trainer.optimiser.param_groups[0]["lr"]
    assert rate < 0.05 * plan.learning_rate


def test_centering_keeps_rewards_near_zero(train, comparisons):
    """With the penalty, winner and loser lie on both sides of zero."""
    items = comparisons.items.astype(np.float32)

    def offset(centering):
        score = train(centering=centering, validation=False).network(items)
        return np.abs(score[comparisons.winner] + score[comparisons.loser]).mean()

    assert offset(1.0) < 0.5 * offset(0.0)


def test_bfloat16_training_finds_nearly_the_same(train):
    """Held-out loss is within a few hundredths of a nat."""
    exact, rounded = (min(train(bfloat16=b).held_out_loss) for b in (False, True))
    assert rounded == pytest.approx(exact, abs=0.05)


def plan(n_wins=1000, n_features=8, **params):
    head = SiameseBradleyTerry(**params)
    return TrainingPlan.of(head.get_params(deep=False), n_wins, n_features)


@pytest.mark.parametrize(
    ("n_wins", "sizes"),
    [(500, (64,)), (99_999, (64,)), (100_000, (256,))],
)
def test_auto_takes_wider_layers_for_more_wins(n_wins, sizes):
    """Capacity follows the amount of data."""
    assert plan(n_wins).hidden_sizes == sizes


@pytest.mark.parametrize(("n_wins", "size"), [(10, 128), (20_000, 400), (10**6, 1024)])
def test_auto_batches_are_a_fiftieth_of_the_wins_within_bounds(n_wins, size):
    """From 128 to 1024."""
    assert plan(n_wins).batch_size == size


@pytest.mark.parametrize(
    ("flags", "native"), [("avx512f avx512_bf16", True), ("avx512f", False)]
)
def test_auto_precision_is_bfloat16_for_large_fits_where_cpus_have_it(
    flags, native, tmp_path, monkeypatch
):
    """Small fits stay in float32; words decide where they are given."""
    path = tmp_path / "cpuinfo"
    path.write_text(f"flags : {flags}")
    monkeypatch.setattr(sliced_encoder, "_CPUINFO", path)
    monkeypatch.setattr(sliced_encoder, "_NVIDIA_DRIVER", tmp_path / "none")
    sliced_encoder.cpu_flags.cache_clear()
    try:
        assert not plan(1000).bfloat16
        assert plan(40_000, 2048).bfloat16 == native
        assert plan(10, precision="bfloat16").bfloat16
        assert not plan(40_000, 2048, precision="float32").bfloat16
    finally:
        sliced_encoder.cpu_flags.cache_clear()


def test_gradients_may_be_left_unclipped():
    """Infinity is a legal bound."""
    assert plan(max_grad_norm=float("inf")).max_grad_norm == float("inf")
