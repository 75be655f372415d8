"""Checks that a head learns what there is to learn, and survives what there is not."""

from typing import Any

import numpy as np

from embrm.heads.base import order_consistency
from embrm.pairs import Pairs
from embrm.testing.expectations import expect, expect_close, expect_refusal
from embrm.testing.samples import fresh, make_sample, tolerance_of

_ENOUGH = 0.8


def a_planted_reward_is_learned(head: Any) -> None:
    """Expect held-out prompts to be ordered as a planted reward orders them."""
    s = make_sample(n_prompts=80, n_responses=4, error_rate=0.0)
    n_train = 2 * len(s.pairs) // 3
    fitted = fresh(head).fit(s.pairs[:n_train], s.y[:n_train])
    test = s.pairs[n_train:]
    consistency = order_consistency(fitted.decision_function(test), s.y[n_train:])
    expect(
        consistency > _ENOUGH,
        f"held-out order consistency is {consistency:.3f}, not above {_ENOUGH}",
    )


def one_pair_is_enough(head: Any) -> None:
    """Expect one pair to give finite rewards, and no preference for the loser."""
    s = make_sample()
    fitted = fresh(head).fit(s.pairs[:1])
    expect(np.isfinite(fitted.reward(s.items)).all(), "rewards are finite")
    delta = float(fitted.decision_function(s.pairs[:1])[0])
    expect(delta >= 0, f"the only winner gets a delta of {delta:.3g}")


def contradictions_are_taken(head: Any) -> None:
    """Expect pairs with both labels, or with ties alone, to give finite rewards."""
    s = make_sample()
    both = np.concatenate([np.arange(len(s.y))] * 2)
    fitted = fresh(head).fit(s.pairs[both], np.repeat([1, 0], len(s.y)))
    expect(np.isfinite(fitted.reward(s.items)).all(), "contradictions: finite rewards")
    tied = fresh(head).fit(s.pairs, np.full(len(s.y), 0.5))
    expect(np.isfinite(tied.reward(s.items)).all(), "ties: finite rewards")


def separable_pairs_are_taken(head: Any) -> None:
    """Expect data that a head can order perfectly to give finite rewards."""
    s = make_sample(error_rate=0.0)
    fitted = fresh(head).fit(s.pairs, s.y)
    expect(np.isfinite(fitted.reward(s.items)).all(), "rewards are finite")
    expect(np.isfinite(fitted.predict_proba(s.pairs)).all(), "proba is finite")


def extreme_items_stay_finite(head: Any) -> None:
    """Expect items ten thousand times as large to give finite rewards."""
    s = make_sample()
    large = Pairs(1e4 * s.items, s.pairs.ids, s.pairs.prompt_ids)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        fitted = fresh(head).fit(large, s.y)
        reward = fitted.reward(1e4 * s.items)
        proba = fitted.predict_proba(Pairs(1e8 * s.items, s.pairs.ids))
    expect(np.isfinite(reward).all(), "rewards of large items are finite")
    expect(np.isfinite(proba).all(), "probabilities of large items are finite")


def a_margin_is_respected_or_refused(head: Any) -> None:
    """Expect a margin to widen the winners' lead, or to be refused."""
    s = make_sample()
    plain = fresh(head).fit(s.pairs, s.y).decision_function(s.pairs)
    zero = fresh(head).fit(s.pairs, s.y, margin=np.zeros(len(s.y)))
    expect_close(
        zero.decision_function(s.pairs),
        plain,
        "margin 0 is no margin",
        tolerance=tolerance_of(head),
    )
    margin = np.full(len(s.y), 2.0)
    if not head.accepts_margin:
        expect_refusal(
            lambda: fresh(head).fit(s.pairs, s.y, margin=margin),
            "margin",
            claim="a head that cannot represent margins refuses them",
        )
        return
    wide = fresh(head).fit(s.pairs, s.y, margin=margin).decision_function(s.pairs)
    side = 2 * s.y - 1
    expect(
        np.mean(side * wide) > np.mean(side * plain),
        "a margin widens the winners' mean lead",
    )


LEARNING_CHECKS = (
    a_planted_reward_is_learned,
    one_pair_is_enough,
    contradictions_are_taken,
    separable_pairs_are_taken,
    extreme_items_stay_finite,
    a_margin_is_respected_or_refused,
)
