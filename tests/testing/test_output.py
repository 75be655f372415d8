"""Each check of output fails for a head that breaks its promise."""

import numpy as np
import pytest
from scipy.special import expit

from embrm.heads import LinearBradleyTerry
from embrm.testing import head_checks


class PrefersFirst(LinearBradleyTerry):
    def decision_function(self, pairs):
        return super().decision_function(pairs) + 0.1


class Doubles(LinearBradleyTerry):
    def decision_function(self, pairs):
        return 2 * super().decision_function(pairs)


class Overconfident(LinearBradleyTerry):
    def predict_proba(self, pairs):
        return 1.01 * super().predict_proba(pairs)


class AnotherLink(LinearBradleyTerry):
    def predict_proba(self, pairs):
        delta = 2 * self.decision_function(pairs)
        return np.column_stack([expit(-delta), expit(delta)])


class CountsTiesAsWins(LinearBradleyTerry):
    def predict(self, pairs):
        return (self.decision_function(pairs) >= 0).astype(int)


class IgnoresScoreWeights(LinearBradleyTerry):
    def score(self, pairs, y=None, sample_weight=None):
        return super().score(pairs, y)


class ScoresPredictions(LinearBradleyTerry):
    def score(self, pairs, y=None, sample_weight=None):
        return np.mean(self.predict(pairs) == np.asarray(y))


class ScoresLabelTies(LinearBradleyTerry):
    def score(self, pairs, y=None, sample_weight=None):
        return np.mean(self.predict(pairs) == (np.asarray(y) > 0.5))


class Columns(LinearBradleyTerry):
    def reward(self, X):
        return super().reward(X)[:, None]


class CentresEachBatch(LinearBradleyTerry):
    def _reward(self, items):
        reward = super()._reward(items)
        return reward - reward.mean()


class WantsArrays(LinearBradleyTerry):
    def decision_function(self, pairs):
        assert hasattr(pairs, "dtype")
        return super().decision_function(pairs)


BROKEN = {
    "swapping_a_pair_negates_delta": PrefersFirst,
    "delta_is_the_difference_of_rewards": Doubles,
    "probabilities_sum_to_one": Overconfident,
    "probability_is_the_logistic_of_delta": AnotherLink,
    "predictions_follow_delta": CountsTiesAsWins,
    "score_is_order_consistency": IgnoresScoreWeights,
    "score_counts_a_tie_of_the_head_one_half": ScoresPredictions,
    "score_leaves_label_ties_out": ScoresLabelTies,
    "rewards_are_one_float64_per_item": Columns,
    "rewards_do_not_depend_on_the_batch": CentresEachBatch,
    "lists_are_taken_as_arrays": WantsArrays,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_head_fails_the_check(name, assert_fails):
    """And the sound head that it was made from passes."""
    dict(head_checks())[name](LinearBradleyTerry(alpha=1.0))
    assert_fails(BROKEN[name](alpha=1.0), name)


class TurnsAround(LinearBradleyTerry):
    """Claims to be transitive, and prefers what has the smaller reward."""

    delta_is_reward_difference = False

    def decision_function(self, pairs, **options):
        return -super().decision_function(pairs, **options)


def test_a_transitive_head_orders_pairs_by_reward(assert_fails):
    """Whatever else its delta is."""
    assert_fails(TurnsAround(alpha=1.0), "delta_is_the_difference_of_rewards")
