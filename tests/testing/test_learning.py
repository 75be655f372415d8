"""Each check of learning fails for a head that does not learn, or does not survive."""

import numpy as np
import pytest

from embrm.heads import LinearBradleyTerry
from embrm.testing import head_checks


class Guesses(LinearBradleyTerry):
    def _reward(self, items):
        return np.sin(1e5 * items[:, 0])


class Contrary(LinearBradleyTerry):
    def _reward(self, items):
        return -super()._reward(items)


class GivesUpOnContradictions(LinearBradleyTerry):
    def _fit(self, comparisons):
        super()._fit(comparisons)
        wins = set(zip(comparisons.winner, comparisons.loser, strict=True))
        if wins & {win[::-1] for win in wins}:
            self.coef_ = self.coef_ * np.nan


class DivergesOnSeparableData(LinearBradleyTerry):
    def _fit(self, comparisons):
        super()._fit(comparisons)
        reward = super()._reward(comparisons.items)
        if (reward[comparisons.winner] > reward[comparisons.loser]).all():
            self.coef_ = self.coef_ * np.inf


class Overflows(LinearBradleyTerry):
    def predict_proba(self, pairs):
        first = 1 / (1 + np.exp(-self.decision_function(pairs)))
        return np.column_stack([1 - first, first])


class IgnoresMargins(LinearBradleyTerry):
    def fit(self, pairs, y=None, *, sample_weight=None, margin=None):
        return super().fit(pairs, y, sample_weight=sample_weight)


class SaysItRefusesMargins(IgnoresMargins):
    accepts_margin = False


BROKEN = {
    "a_planted_reward_is_learned": Guesses,
    "one_pair_is_enough": Contrary,
    "contradictions_are_taken": GivesUpOnContradictions,
    "separable_pairs_are_taken": DivergesOnSeparableData,
    "extreme_items_stay_finite": Overflows,
    "a_margin_is_respected_or_refused": IgnoresMargins,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_head_fails_the_check(name, assert_fails):
    """And the sound head that it was made from passes."""
    dict(head_checks())[name](LinearBradleyTerry(alpha=1e-4))
    assert_fails(BROKEN[name](alpha=1e-4), name)


def test_a_margin_that_should_be_refused_has_to_be(assert_fails):
    """Saying so is not enough."""
    assert_fails(SaysItRefusesMargins(alpha=1e-4), "a_margin_is_respected_or_refused")
