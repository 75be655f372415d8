r"""Prompt effects: what a prompt is worth, apart from what its responses are worth.

A comparison across prompts is one of prompts, too: gold differs between prompts for
reasons that vectors hardly show, and to a linear head that is noise, which is the same
in all pairs of a prompt. So each prompt p has an intercept of its own,

.. math:: \delta = w^\top (x_1 - x_2) + b_{p_1} - b_{p_2}, \qquad
          b_p \sim N(0, \sigma_b^2)

as in a mixed-effects model [1]_. It is fitted along with w and then left out: it
cancels where responses to one prompt are compared, and of new prompts it is not known.

References
----------
.. [1] Gelman, Hill (2007). Data analysis using regression and multilevel/hierarchical
   models, chapter 11.
"""

from dataclasses import dataclass, replace

import numpy as np

from embrm._typing import FloatArray
from embrm.heads.comparisons import Comparisons
from embrm.heads.validation_split import share_across_prompts

_RELATIVE_VARIANCE = 3.0
"""Prior variance of a prompt's effect over that of an item's reward."""

MOST_COLUMNS = 3072
"""Of items and prompts together; with more, a search takes too long."""

_MOST_BYTES = 2**30
_ENOUGH_WINS = 4096


@dataclass(frozen=True)
class PromptEffects:
    """Columns of the items that say which prompt they answer.

    Attributes
    ----------
    size : float > 0
        Of the one entry in each row. With penalty alpha an effect has the prior
        variance size^2 / alpha, where an item has E ||x_1 - x_2||^2 / (2 alpha).
    n_prompts : int
    """

    size: float
    n_prompts: int

    def append_to(self, comparisons: Comparisons) -> Comparisons:
        """Append the columns to the items; they must have groups."""
        items, groups = comparisons.items, comparisons.groups
        columns = np.zeros((len(items), self.n_prompts), dtype=items.dtype)
        columns[np.arange(len(items)), groups] = self.size
        return replace(comparisons, items=np.hstack([items, columns]))

    def pad(self, scale: FloatArray | None) -> FloatArray | None:
        """Lengthen the scale of the items' columns: effects are not scaled."""
        return None if scale is None else np.append(scale, np.ones(self.n_prompts))

    def square(self, comparisons: Comparisons) -> float:
        """Compute their part of the mean squared difference of winner and loser."""
        return 2 * self.size**2 * share_across_prompts(comparisons)


def effects_for(
    comparisons: Comparisons, scale: FloatArray | None
) -> PromptEffects | None:
    """Make the effects of the prompts, None where they do not pay.

    Parameters
    ----------
    comparisons : Comparisons
    scale : ndarray of shape (d,) or None
        By which columns are divided.

    Returns
    -------
    PromptEffects or None
        None where prompts are unknown, most wins are within prompts, or prompts are so
        many that items with their columns would take over 1 GiB.

    Examples
    --------
    >>> from embrm import Pairs
    >>> from embrm.heads.comparisons import make_comparisons
    >>> items = np.diag([1.0, 1.0, 2.0, 2.0])
    >>> pairs = Pairs(items, [[0, 1], [2, 3]], prompt_ids=["a", "b", "c", "d"])
    >>> effects = effects_for(make_comparisons(pairs), None)
    >>> effects.n_prompts, round(effects.size**2, 6)  # 3 x (2 + 8) / 4
    (4, 7.5)
    """
    if comparisons.groups is None or share_across_prompts(comparisons) <= 0.5:
        return None
    n_prompts = int(comparisons.groups.max()) + 1
    n_columns = comparisons.items.shape[1] + n_prompts
    n_bytes = len(comparisons.items) * n_columns * comparisons.items.itemsize
    if n_columns > MOST_COLUMNS or n_bytes > _MOST_BYTES:
        return None
    step = max(1, len(comparisons) // _ENOUGH_WINS)
    winner, loser = comparisons.winner[::step], comparisons.loser[::step]
    gap = comparisons.items[winner] - comparisons.items[loser]
    if scale is not None:
        gap = gap / scale
    square = np.einsum("ij,ij->i", gap, gap, dtype=np.float64)
    mean = float(np.average(square, weights=comparisons.weight[::step]))
    size = float(np.sqrt(_RELATIVE_VARIANCE * mean / 2))
    return PromptEffects(size, n_prompts) if size > 0 else None
