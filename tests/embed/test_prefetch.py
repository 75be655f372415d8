"""Prefetching: in order, one ahead, errors when their turn comes."""

import threading

import pytest

from embrm.embed.prefetch import prefetched


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_results_come_in_the_order_of_the_parts(n):
    """However many there are."""
    assert list(prefetched(lambda part: part * 2, range(n))) == [
        2 * part for part in range(n)
    ]


def test_the_next_part_is_computed_while_this_one_is_used():
    """Otherwise this would wait for ever."""
    begun = {part: threading.Event() for part in range(3)}

    def work(part: int) -> int:
        begun[part].set()
        return part

    for part in prefetched(work, range(3)):
        assert begun[min(part + 1, 2)].wait(timeout=10)


def test_the_first_part_is_computed_by_the_caller():
    """Nothing runs beside it."""
    names = list(prefetched(lambda _: threading.current_thread().name, range(2)))
    assert names[0] == threading.current_thread().name
    assert names[1].startswith("embrm-prefetch")


def test_errors_are_raised_after_the_results_before_them():
    """What was computed is not lost."""
    got = []

    def work(part: int) -> float:
        return 1 / part

    with pytest.raises(ZeroDivisionError):
        got.extend(prefetched(work, [1, 2, 0, 4]))
    assert got == [1.0, 0.5]


def test_a_caller_that_stops_leaves_no_thread_behind():
    """The thread ends with the loop."""
    running = prefetched(str, range(10))
    assert next(running) == "0"
    running.close()
    assert not [thread for thread in threading.enumerate() if "prefetch" in thread.name]
