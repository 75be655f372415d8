"""Bootstrap resamples of comparisons are counts of whole units."""

import numpy as np
import pytest

from embrm import Pairs
from embrm.heads.comparisons import make_comparisons
from embrm.heads.wrappers.resamples import draw_counts


@pytest.fixture
def cross_prompt_wins():
    """Wins within and across 20 prompts of three items."""
    rng = np.random.default_rng(0)
    ids = np.array([rng.choice(60, 2, replace=False) for _ in range(300)])
    pairs = Pairs(rng.normal(size=(60, 3)), ids, np.repeat(np.arange(20), 3))
    return make_comparisons(pairs)


def test_wins_of_one_prompt_are_drawn_together(make_preferences):
    """All wins of a prompt count as often as the prompt was drawn."""
    data = make_preferences(n_prompts=10)
    wins = make_comparisons(data.pairs, data.y)
    counts = draw_counts(wins, "prompt", np.random.default_rng(0))
    by_prompt = [counts[wins.groups[wins.winner] == g] for g in range(10)]
    assert all(np.ptp(part) == 0 for part in by_prompt)
    assert sum(part[0] for part in by_prompt) == 10
    assert len({part[0] for part in by_prompt}) > 1


def test_a_win_across_prompts_counts_the_product(cross_prompt_wins):
    """The pigeonhole bootstrap, with the prompts' counts read off the wins inside."""
    wins = cross_prompt_wins
    first, second = wins.groups[wins.winner], wins.groups[wins.loser]
    counts = draw_counts(wins, "prompt", np.random.default_rng(1))
    inside = first == second
    of_prompt = dict(zip(first[inside], counts[inside], strict=True))
    both = [i for i in np.flatnonzero(~inside) if {first[i], second[i]} <= {*of_prompt}]
    assert len(both) > 50
    wanted = [of_prompt[first[i]] * of_prompt[second[i]] for i in both]
    np.testing.assert_array_equal(counts[both], wanted)


def test_counts_are_one_in_expectation(cross_prompt_wins):
    """No win is favoured."""
    rng = np.random.default_rng(2)
    draws = [draw_counts(cross_prompt_wins, "prompt", rng) for _ in range(4000)]
    np.testing.assert_allclose(np.mean(draws, axis=0), 1.0, atol=0.2)


def test_both_wins_of_a_soft_label_are_one_pair():
    """A pair of items is drawn with all the wins between the two."""
    pairs = Pairs(np.eye(40), np.arange(40).reshape(20, 2))
    wins = make_comparisons(pairs, np.full(20, 0.3))
    counts = draw_counts(wins, "pair", np.random.default_rng(0))
    assert counts.sum() == 2 * 20
    low = np.minimum(wins.winner, wins.loser)
    for item in np.unique(low):
        assert np.ptp(counts[low == item]) == 0


def test_one_pair_is_never_drawn_away():
    """There is always something to fit."""
    wins = make_comparisons(Pairs(np.eye(2), [[0, 1]]))
    rng = np.random.default_rng(0)
    assert all(draw_counts(wins, "prompt", rng).all() for _ in range(50))


def test_without_any_luck_all_wins_count_once():
    """Two items of one win are drawn both or not at all."""

    class SameUnit:
        def integers(self, n, size):
            return np.zeros(size, dtype=int)

    wins = make_comparisons(Pairs(np.eye(2), [[0, 1]]))
    np.testing.assert_array_equal(draw_counts(wins, "prompt", SameUnit()), [1.0])
