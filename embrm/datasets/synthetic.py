"""Synthetic preferences with a known linear reward, for tests and documentation."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import (
    check_choice,
    check_count,
    check_positive,
    check_random_state,
    check_share,
)
from embrm.pairs import Pairs
from embrm.pool import CandidatePool


@dataclass(frozen=True, eq=False, repr=False)
class SyntheticPreferences:
    """Preferences of which the truth is known.

    Attributes
    ----------
    pairs : Pairs
        Over the items of the pool, with their prompt ids.
    y : ndarray of shape (n_pairs,)
        Labels, 1 where first is preferred, else 0.
    pool : CandidatePool
        All items, with `gold`: the planted reward, of variance 1.
    coef : ndarray of shape (n_features,)
        The planted weights: `pool.items @ coef` is `pool.gold`.
    beta : float
        Inverse temperature of the labels, per unit of gold; infinity without noise.
    """

    pairs: Pairs
    y: FloatArray
    pool: CandidatePool
    coef: FloatArray
    beta: float

    @property
    def error_rate(self) -> float:
        """Share of the labels that contradict gold."""
        return float(np.mean(self.y != self.pool.gold_labels(self.pairs.ids)))

    def __repr__(self) -> str:
        return (
            f"SyntheticPreferences({self.pairs!r}, beta={self.beta:g}, "
            f"{self.error_rate:.1%} of labels against gold)"
        )


def make_preferences(
    n_pairs: int = 500,
    n_features: int = 16,
    n_prompts: int = 100,
    responses_per_prompt: int = 4,
    noise: Literal["logistic", "none"] = "logistic",
    beta: float = 1.0,
    cross_prompt: float = 0.0,
    random_state: RandomState = None,
) -> SyntheticPreferences:
    r"""Make preferences from a planted linear reward.

    Items are standard normal vectors x, gold is :math:`w^\top x` scaled to variance 1,
    and :math:`P(y = 1) = \sigma(\beta\,(\text{gold}_\text{first} -
    \text{gold}_\text{second}))`, the Bradley-Terry model.

    Parameters
    ----------
    n_pairs : int, default=500
        Drawn with replacement: a pair may occur more than once, with labels of its own.
    n_features : int, default=16
    n_prompts : int, default=100
    responses_per_prompt : int, default=4
    noise : {"logistic", "none"}, default="logistic"
        With `"none"` the label is 1 exactly where first has the higher gold.
    beta : float, default=1.0
        Inverse temperature, > 0, per unit of gold. At 1 about 28% of labels
        contradict gold, at 10 about 4%.
    cross_prompt : float, default=0.0
        Share of pairs, in [0, 1], whose items answer different prompts; that share of
        `n_pairs` is met exactly, up to rounding.
    random_state : int, Generator, RandomState or None, default=None

    Returns
    -------
    SyntheticPreferences

    Raises
    ------
    InvalidInputError
        If a size is too small or another argument is out of range.

    Examples
    --------
    The planted reward is found again by logistic regression on differences:

    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from embrm.datasets.synthetic import make_preferences
    >>> data = make_preferences(n_pairs=2000, random_state=0)
    >>> first, second = (data.pool.items[data.pairs.ids[:, side]] for side in (0, 1))
    >>> fitted = LogisticRegression(fit_intercept=False).fit(first - second, data.y)
    >>> reward = data.pool.items @ fitted.coef_[0]
    >>> bool(np.corrcoef(reward, data.pool.gold)[0, 1] > 0.95)
    True
    """
    _check_sizes(n_pairs, n_features, n_prompts, responses_per_prompt, cross_prompt)
    check_choice(noise, "noise", ("logistic", "none"))
    check_positive(beta, "beta")
    check_share(cross_prompt, "cross_prompt")
    generator = check_random_state(random_state)
    prompt_ids = np.repeat(np.arange(n_prompts), responses_per_prompt)
    items = generator.standard_normal((len(prompt_ids), n_features))
    coef = generator.standard_normal(n_features)
    coef /= np.std(items @ coef)
    gold = items @ coef
    pool = CandidatePool(items, prompt_ids, gold=gold)
    ids = _draw_pairs(n_pairs, n_prompts, responses_per_prompt, cross_prompt, generator)
    delta = gold[ids[:, 0]] - gold[ids[:, 1]]
    if noise == "logistic":
        # sigma(beta * delta) is the chance that logistic noise leaves this positive.
        delta = beta * delta + generator.logistic(size=n_pairs)
    y = (delta > 0).astype(np.float64)
    scale = beta if noise == "logistic" else np.inf
    return SyntheticPreferences(pool.pairs(ids), y, pool, coef, scale)


def _draw_pairs(
    n_pairs: int,
    n_prompts: int,
    responses_per_prompt: int,
    cross_prompt: float,
    generator: np.random.Generator,
) -> IntArray:
    """Draw pairs of different items, a share of them across prompts."""
    crosses = np.arange(n_pairs) < round(cross_prompt * n_pairs)
    generator.shuffle(crosses)
    prompts = _draw_two(n_prompts, n_pairs, generator)
    prompts[~crosses, 1] = prompts[~crosses, 0]
    responses = _draw_two(responses_per_prompt, n_pairs, generator)
    free = generator.integers(responses_per_prompt, size=n_pairs)
    responses[crosses, 1] = free[crosses]
    return prompts * responses_per_prompt + responses


def _draw_two(n: int, size: int, generator: np.random.Generator) -> IntArray:
    """Draw two different numbers below n, `size` times; equal ones where n is 1."""
    first = generator.integers(n, size=size)
    step = generator.integers(1, max(n, 2), size=size)
    return np.stack([first, (first + step) % n], axis=1)


def _check_sizes(
    n_pairs: int,
    n_features: int,
    n_prompts: int,
    responses_per_prompt: int,
    cross_prompt: float,
) -> None:
    smallest: dict[str, tuple[Any, int]] = {
        "n_pairs": (n_pairs, 1),
        "n_features": (n_features, 1),
        "n_prompts": (n_prompts, 2 if cross_prompt > 0 else 1),
        "responses_per_prompt": (responses_per_prompt, 2 if cross_prompt < 1 else 1),
    }
    for name, (value, least) in smallest.items():
        check_count(value, name, least)
