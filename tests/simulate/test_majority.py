"""The majority of votes comes out as an enumeration of all votes says."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.simulate.majority import majority_outcomes


def enumerate_votes(first, tie, n_votes):
    """Sum the probability of every sequence of votes by which side has more."""
    chance = {1: first, 0: tie, -1: 1 - first - tie}
    won = drawn = 0.0
    for votes in itertools.product((1, 0, -1), repeat=n_votes):
        probability = np.prod([chance[vote] for vote in votes])
        won += probability * (sum(votes) > 0)
        drawn += probability * (sum(votes) == 0)
    return won, drawn


@given(
    first=st.floats(0, 1),
    tie=st.floats(0, 1),
    n_votes=st.integers(1, 5),
)
@settings(deadline=None, max_examples=100)
def test_the_majority_agrees_with_all_votes(first, tie, n_votes):
    """Ties of single votes and of the whole included."""
    tie = min(tie, 1 - first)
    win, draw = majority_outcomes(np.array([first]), np.array([tie]), n_votes)
    expected = enumerate_votes(first, tie, n_votes)
    draw = np.zeros(1) if draw is None else draw
    assert (win[0], draw[0]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n_votes", "can_draw"), [(3, False), (4, True)])
def test_an_odd_number_of_votes_cannot_draw(n_votes, can_draw):
    """Where no single vote is a tie."""
    draw = majority_outcomes(np.array([0.6]), None, n_votes)[1]
    assert (draw is not None) == can_draw


def test_thousands_of_votes_do_not_overflow():
    """They come to a clear majority."""
    win, draw = majority_outcomes(np.array([0.4, 0.5, 0.6]), None, 4000)
    assert win.round(6).tolist() == [0.0, pytest.approx(0.4937, abs=1e-4), 1.0]
    assert draw[1] == pytest.approx(1 - 2 * win[1])


def test_one_vote_is_its_own_majority():
    """Nothing is computed."""
    first, tie = np.array([0.3]), np.array([0.2])
    assert majority_outcomes(first, tie, 1) == (first, tie)
