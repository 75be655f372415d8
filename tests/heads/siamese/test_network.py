"""Networks score alike in numpy and torch, alone and in a batch of members."""

import numpy as np
import pytest
import torch

from embrm.heads.siamese.network import (
    TrainableNetwork,
    choose_device,
)


def make(n_members=1, hidden=(5, 3), *, dropout=0.0, bfloat16=False, seed=0):
    network = TrainableNetwork(
        4,
        hidden,
        n_members=n_members,
        dropout=dropout,
        device="cpu",
        bfloat16=bfloat16,
        rng=np.random.default_rng(seed),
    )
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for parameter in network.parameters_of_members():
            parameter += torch.from_numpy(
                rng.normal(0, 0.5, parameter.shape).astype(np.float32)
            )
    return network


@pytest.fixture
def items():
    return np.random.default_rng(2).normal(size=(11, 4)).astype(np.float32)


def test_scores_start_at_zero(items):
    """The output layer is zero, so training starts from the start."""
    network = TrainableNetwork(
        4,
        (5,),
        n_members=2,
        dropout=0.0,
        device="cpu",
        bfloat16=False,
        rng=np.random.default_rng(0),
    )
    assert not network.score(torch.from_numpy(items)).any()


@pytest.mark.parametrize("hidden", [(), (5,), (5, 3)])
def test_numpy_scores_are_those_of_torch(items, hidden):
    """copy_out gives the same function, member by member."""
    network = make(3, hidden)
    expected = network.score(torch.from_numpy(items)).detach().numpy()
    copied = network.copy_out()
    np.testing.assert_allclose(copied.members(items), expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(
        copied(items), expected.mean(axis=0), rtol=2e-5, atol=1e-6
    )


def test_float32_scores_agree_with_float64(items):
    """The float64 product by hand is within float32 rounding."""
    network = make().copy_out()
    hidden = items.astype(np.float64)
    for weight, bias in zip(network.weights[:-1], network.biases, strict=True):
        hidden = np.maximum(hidden @ weight[0].astype(float) + bias[0], 0)
    expected = (hidden @ network.weights[-1][0].astype(float))[:, 0]
    np.testing.assert_allclose(network(items), expected, rtol=1e-5, atol=1e-6)


def test_members_do_not_see_one_another(items):
    """A member of three scores as it would alone."""
    network = make(3).copy_out()
    np.testing.assert_allclose(
        network.member(1)(items), network.members(items)[1], rtol=1e-5, atol=1e-6
    )


def test_many_items_are_scored_in_blocks(items):
    """Scores do not depend on how many items are scored at a time."""
    network = make(2).copy_out()
    many = np.tile(items, (800, 1))
    np.testing.assert_allclose(
        network(many), np.tile(network(items), 800), rtol=1e-5, atol=1e-6
    )


def test_no_items_have_no_scores(items):
    """An empty matrix gives an empty vector."""
    assert make(2).copy_out()(items[:0]).shape == (0,)


def test_bfloat16_is_close(items):
    """Matrix products in bfloat16 keep about three digits."""
    exact = make().score(torch.from_numpy(items)).detach()
    rounded = make(bfloat16=True).score(torch.from_numpy(items)).detach()
    assert rounded.dtype == torch.float32
    np.testing.assert_allclose(rounded, exact, rtol=0.05, atol=0.05)


def test_dropout_keeps_the_mean(items):
    """Units that stay are scaled up."""
    network = make(dropout=0.5, hidden=(5,))
    rows = torch.from_numpy(np.repeat(items[:1], 20_000, axis=0))
    mean = float(network.score(rows).detach().mean())
    exact = float(make(hidden=(5,)).score(rows[:1]).detach()[0, 0])
    assert abs(mean - exact) < 0.1 * max(1.0, abs(exact))


def test_the_device_is_a_gpu_where_there_is_one():
    """Without CUDA the device is the CPU."""
    assert choose_device(torch) == ("cuda" if torch.cuda.is_available() else "cpu")
