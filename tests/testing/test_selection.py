"""Each check of model selection fails for a head that scikit-learn cannot handle."""

import itertools

import numpy as np
import pytest

from embrm.heads import LinearBradleyTerry
from embrm.testing import head_checks


class Ages(LinearBradleyTerry):
    _scored = itertools.count()

    def score(self, pairs, y=None, sample_weight=None):
        return 1 / (1 + next(self._scored))


class WantsHardLabels(LinearBradleyTerry):
    def fit(self, pairs, y=None, *, sample_weight=None, margin=None):
        if not np.isin(y, [0, 1]).all():
            raise ValueError("hard labels only")
        return super().fit(pairs, y, sample_weight=sample_weight)


class ScoresALoss(LinearBradleyTerry):
    def score(self, pairs, y=None, sample_weight=None):
        return -1.0


class HidesItsWeights(LinearBradleyTerry):
    def fit(self, pairs, y=None, **options):
        return super().fit(pairs, y, **options)


BROKEN = {
    "cross_val_score_is_manual_cross_validation": Ages,
    "grid_search_finds_a_head": WantsHardLabels,
    "pairs_split_into_train_and_test": ScoresALoss,
    "sample_weight_is_routed": HidesItsWeights,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_head_fails_the_check(name, assert_fails):
    """And the sound head that it was made from passes."""
    dict(head_checks())[name](LinearBradleyTerry(alpha=1.0))
    assert_fails(BROKEN[name](alpha=1.0), name)
