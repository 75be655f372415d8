"""Every held-out win is scored by a head that saw neither of its items."""

import numpy as np

from embrm import Pairs
from embrm.heads import LinearBradleyTerry
from embrm.heads.comparisons import make_comparisons
from embrm.heads.wrappers.out_of_fold import score_out_of_fold


def test_no_head_scores_an_item_of_its_training_prompts(make_preferences):
    """Nor is a win left out."""
    data = make_preferences(n_prompts=30)
    comparisons = make_comparisons(data.pairs, data.y)
    seen = []

    def fit(wins):
        seen.append(np.unique(wins.groups[[wins.winner, wins.loser]]))
        return LinearBradleyTerry(alpha=1.0).fit_comparisons(wins)

    held_out = score_out_of_fold(fit, comparisons, 5)
    assert len(seen) == 5
    assert len(held_out.delta) == len(comparisons)
    assert sum(30 - len(groups) for groups in seen) == 30
    assert sorted(held_out.weight) == sorted(comparisons.weight)


def test_wins_that_cannot_be_divided_give_nothing():
    """Two items are either trained on or held out."""
    comparisons = make_comparisons(Pairs(np.eye(2), [[0, 1]]))
    held_out = score_out_of_fold(LinearBradleyTerry().fit_comparisons, comparisons, 5)
    assert len(held_out.delta) == len(held_out.weight) == len(held_out.fold) == 0
