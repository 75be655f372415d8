"""Work on the next part while the caller uses this one."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def prefetched(
    work: Callable[[Part], Result], parts: Iterable[Part]
) -> Iterator[Result]:
    """Yield `work(part)` for each part, computed one ahead in a thread of its own.

    The first is computed in the caller's thread: nothing runs beside it. What `work`
    raises is raised here, when its turn comes.

    Parameters
    ----------
    work : callable
    parts : iterable

    Yields
    ------
    object
        What `work` returned, in the order of the parts.

    Examples
    --------
    >>> list(prefetched(len, ["a", "bb"]))
    [1, 2]
    """
    remaining = iter(parts)
    with ThreadPoolExecutor(1, thread_name_prefix="embrm-prefetch") as ahead:
        for first in remaining:
            ready = work(first)
            for part in remaining:
                running = ahead.submit(work, part)
                yield ready
                ready = running.result()
            yield ready
