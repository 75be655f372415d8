"""In which order texts go to a server."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from embrm.embed.server.waves import request_waves

plans = given(
    st.lists(st.integers(0, 5), max_size=60), st.integers(1, 9), st.integers(1, 9)
)


@settings(deadline=None)
@plans
def test_every_text_is_sent_once(groups, batch_items, concurrency):
    """Nothing is lost or doubled."""
    waves = request_waves(groups, batch_items=batch_items, concurrency=concurrency)
    rows = [row for wave in waves for request in wave for row in request]
    assert sorted(rows) == list(range(len(groups)))


@settings(deadline=None)
@plans
def test_the_first_wave_holds_one_text_of_each_prompt(groups, batch_items, concurrency):
    """It fills the prefix cache."""
    waves = request_waves(groups, batch_items=batch_items, concurrency=concurrency)
    first = [groups[row] for request in (waves or [[]])[0] for row in request]
    assert sorted(first) == sorted(set(groups))


@settings(deadline=None)
@plans
def test_the_rest_stays_together_by_prompt(groups, batch_items, concurrency):
    """A prompt's cached prefix is used before others push it out."""
    waves = request_waves(groups, batch_items=batch_items, concurrency=concurrency)
    rest = [groups[row] for wave in waves[1:] for request in wave for row in request]
    changes = sum(one != other for one, other in itertools.pairwise(rest))
    assert changes <= max(0, len(set(rest)) - 1)


@settings(deadline=None)
@plans
def test_requests_are_bounded_and_never_empty(groups, batch_items, concurrency):
    """As many texts as the server takes at most."""
    waves = request_waves(groups, batch_items=batch_items, concurrency=concurrency)
    sizes = [len(request) for wave in waves for request in wave]
    assert all(1 <= size <= batch_items for size in sizes)


def test_a_short_wave_uses_all_connections():
    """Four texts over two connections are two requests, not one."""
    assert request_waves("aaaaa", batch_items=32, concurrency=2) == [
        [[0]],
        [[1, 2], [3, 4]],
    ]
