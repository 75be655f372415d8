"""What two sequences have in common at their beginnings."""

from collections.abc import Sequence
from typing import Any


def common_prefix_length(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Count the leading entries that `a` and `b` share.

    Examples
    --------
    >>> common_prefix_length("The sky is blue.", "The sky is green.")
    11
    """
    low, high = 0, min(len(a), len(b))
    # Bisection compares slices, which is quicker than going letter by letter.
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
