"""scorer: rewards in blocks, deltas of any head."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.heads.registry import make_head
from embrm.simulate.experiment import scorer as module
from embrm.simulate.experiment.scorer import Scorer


@pytest.fixture
def ids(train):
    """All same-prompt pairs."""
    return train.same_prompt_ids()


def fitted(head, pool, ids):
    return head.fit(pool.pairs(ids), pool.gold_labels(ids))


def fitted_to_cycles(pool, ids):
    """Fit a general preference to labels that no reward gives."""
    first, second = pool.items[ids[:, 0]], pool.items[ids[:, 1]]
    y = first[:, 0] * second[:, 1] > first[:, 1] * second[:, 0]
    head = make_head("general", alpha=1.0, block_alpha=0.01)
    return head.fit(pool.pairs(ids), y)


def test_deltas_are_those_of_the_head(train, ids):
    """For a head with a reward they are differences, asked for once per item."""
    head = fitted(LinearBradleyTerry(alpha=1.0), train, ids)
    scorer = Scorer(head, train, ids[:50])
    assert not scorer.by_pair
    np.testing.assert_array_equal(
        scorer.delta(ids), head.decision_function(train.pairs(ids))
    )
    np.testing.assert_array_equal(scorer.reward, head.reward(train.items))


def test_a_head_of_pairs_is_asked_about_pairs(train, ids):
    """A general preference has deltas that no rewards differ by."""
    head = fitted_to_cycles(train, ids)
    scorer = Scorer(head, train, ids[:50])
    assert scorer.by_pair
    np.testing.assert_array_equal(
        scorer.delta(ids), head.decision_function(train.pairs(ids))
    )
    difference = scorer.reward[ids[:, 0]] - scorer.reward[ids[:, 1]]
    np.testing.assert_array_equal(scorer.reward_sign(ids, None), np.sign(difference))


def test_items_are_handed_over_in_blocks(train, ids, monkeypatch):
    """The rewards are the same."""
    head = fitted(LinearBradleyTerry(alpha=1.0), train, ids)
    whole = Scorer(head, train, ids[:9]).reward
    monkeypatch.setattr(module, "_ENTRIES", 3 * train.items.shape[1])
    np.testing.assert_allclose(Scorer(head, train, ids[:9]).reward, whole, rtol=1e-6)


def test_a_reward_that_is_not_finite_is_an_error(train, ids):
    """It would order nothing."""
    head = fitted(LinearBradleyTerry(alpha=1.0), train, ids)
    head.coef_ = head.coef_ * np.inf
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(InvalidInputError, match="finite reward"),
    ):
        Scorer(head, train, ids[:9])


def test_the_seconds_in_the_head_are_counted(train, ids):
    """Asking for pairs adds to them."""
    head = fitted_to_cycles(train, ids)
    scorer = Scorer(head, train, ids[:50])
    before = scorer.seconds
    scorer.delta(ids)
    assert 0 < before < scorer.seconds
