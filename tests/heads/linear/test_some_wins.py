"""A part of very many wins, by whole units of splitting."""

import numpy as np

from embrm.heads.comparisons import make_comparisons
from embrm.heads.linear.some_wins import some_wins


def test_few_wins_are_left_as_they_are(make_preferences):
    """There is nothing to leave out."""
    data = make_preferences(n_prompts=5)
    wins = make_comparisons(data.pairs, data.y)
    assert some_wins(wins, len(wins)) is wins


def test_prompts_are_kept_whole(make_preferences):
    """All wins within a kept prompt are kept, and about as many as asked for."""
    data = make_preferences(n_prompts=40)
    wins = make_comparisons(data.pairs, data.y)
    few = some_wins(wins, 60)
    assert 60 <= len(few) < len(wins)
    before = np.bincount(wins.groups[wins.winner])
    after = np.bincount(few.groups[few.winner], minlength=len(before))
    assert set(after) - {0} <= set(before)


def test_wins_keep_their_vectors_and_weights(make_preferences):
    """Items are numbered anew, and mean the same."""
    data = make_preferences(n_prompts=40, error_rate=0.2)
    weight = np.random.default_rng(0).uniform(1, 2, len(data.y))
    wins = make_comparisons(data.pairs, data.y, weight)
    few = some_wins(wins, 50)

    def content(comparisons):
        ends = [comparisons.items[comparisons.winner]]
        ends += [comparisons.items[comparisons.loser], comparisons.weight[:, None]]
        return {row.tobytes() for row in np.hstack(ends)}

    assert content(few) <= content(wins)
    assert len(np.unique([few.winner, few.loser])) == len(few.items)
