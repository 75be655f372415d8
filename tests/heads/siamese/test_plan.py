"""Parameters become a plan, or an error that names the parameter."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads import SiameseBradleyTerry
from embrm.heads.siamese.plan import make_plan


def plan(n_wins=1000, n_features=8, **params):
    head = SiameseBradleyTerry(**params)
    return make_plan(head.get_params(deep=False), n_wins, n_features)


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


def test_auto_precision_is_bfloat16_only_for_large_fits():
    """Small fits stay in float32; words decide where they are given."""
    assert not plan(1000).bfloat16
    assert plan(40_000, 2048).bfloat16
    assert plan(10, precision="bfloat16").bfloat16
    assert not plan(40_000, 2048, precision="float32").bfloat16


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"loss": "bt"}, "loss of logistic, hinge"),
        ({"schedule": "linear"}, "schedule of constant, cosine"),
        ({"batching": "items"}, "batching of pairs, prompts"),
        ({"precision": "float16"}, "precision of auto, float32, bfloat16"),
        ({"label_smoothing": 0.5}, "label_smoothing"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"centering": -1.0}, "centering"),
        ({"ensemble_size": 0}, "ensemble_size"),
        ({"max_grad_norm": 0.0}, "max_grad_norm"),
        ({"max_grad_norm": np.nan}, "max_grad_norm"),
    ],
)
def test_parameters_out_of_range_are_named(params, message):
    """Each error says which parameter, and what it may be."""
    with pytest.raises(InvalidInputError, match=message):
        plan(**params)


def test_gradients_may_be_left_unclipped():
    """Infinity is a legal bound."""
    assert plan(max_grad_norm=float("inf")).max_grad_norm == float("inf")
