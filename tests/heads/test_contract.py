"""Every known head keeps every promise of the public contract."""

import pytest

from embrm.heads import known_heads, make_head
from embrm.testing import check_head, head_checks

CHECKS = dict(head_checks())

# Small, so that some four hundred checks take seconds.
HEADS = {
    "linear": make_head("linear"),
    "siamese": make_head("siamese", max_epochs=5),
    "siamese alone": make_head(
        "siamese",
        hidden_sizes=8,
        linear_start=False,
        learning_rate=0.03,
        max_epochs=30,
    ),
    "logistic": make_head("logistic"),
    "mlp": make_head(
        "mlp", hidden_layer_sizes=(8,), learning_rate_init=0.01, max_iter=60
    ),
    "lightgbm": make_head("lightgbm", n_estimators=40),
    "xgboost": make_head("xgboost", n_estimators=40, learning_rate=0.1),
}


def test_every_known_head_is_checked():
    """A new head cannot be forgotten here."""
    assert set(known_heads()) <= set(HEADS)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", HEADS)
def test_the_head_keeps_the_promise(name, check):
    """One claim for one head."""
    check_head(HEADS[name], checks=[check])
