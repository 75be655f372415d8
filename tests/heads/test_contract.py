"""Every known head keeps every promise of the public contract."""

from pathlib import Path

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


# Heads whose contract runs, with small settings, in the test file of their module.
CHECKED_BY = {
    "boosted": "boosted/test_bradley_terry.py",
    "boosted-xgboost": "boosted/test_bradley_terry.py",
    "general": "cyclic/test_general_preference.py",
    "two-stage": "rated/test_two_stage.py",
    "ensemble": "wrappers/test_ensemble.py",
    "stacked": "wrappers/test_stacked.py",
    "calibrated": "wrappers/test_calibrated.py",
    "centered": "wrappers/test_centered.py",
    "length-debiased": "wrappers/test_length_debiased.py",
}


def test_every_known_head_is_checked():
    """A new head cannot be forgotten: it is checked here, or where this says."""
    of_pairs = {name for name, make in known_heads().items() if _is_of_pairs(make())}
    assert of_pairs == set(HEADS) - {"siamese alone"} | set(CHECKED_BY)
    for name in CHECKED_BY.values():
        assert "check_head(" in (Path(__file__).parent / name).read_text()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", HEADS)
def test_the_head_keeps_the_promise(name, check):
    """One claim for one head."""
    check_head(HEADS[name], checks=[check])


def _is_of_pairs(head) -> bool:
    """The contract is about comparisons; heads of items have tests of their own."""
    return head.learns_from == "pairs"
