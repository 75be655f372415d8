"""Which texts go to an embeddings server together, and in which order.

A server with a prefix cache computes a prompt once, if one of its responses is done
before the others come: requests that arrive together each compute it
(https://github.com/vllm-project/vllm/issues/9643).
"""

from collections.abc import Hashable, Sequence


def request_waves(
    groups: Sequence[Hashable], *, batch_items: int, concurrency: int
) -> list[list[list[int]]]:
    """Plan requests: one text of every prompt first, then the rest prompt by prompt.

    Parameters
    ----------
    groups : sequence of hashable
        The prompt of each text.
    batch_items : int
        Texts of a request at most, >= 1.
    concurrency : int
        Requests under way at once, >= 1. A wave that would be fewer requests is cut
        into that many.

    Returns
    -------
    list of list of list of int
        At most two waves; each is a list of requests, each a list of positions. A
        wave is sent when the one before it is answered.

    Examples
    --------
    >>> request_waves("aabaab", batch_items=2, concurrency=1)
    [[[0, 2]], [[1, 3], [4, 5]]]
    >>> request_waves("abcd", batch_items=32, concurrency=2)
    [[[0, 1], [2, 3]]]
    """
    members: dict[Hashable, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    first = [rows[0] for rows in members.values()]
    rest = [row for rows in members.values() for row in rows[1:]]
    return [
        _cut(wave, min(batch_items, -(-len(wave) // concurrency)))
        for wave in (first, rest)
        if wave
    ]


def _cut(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
