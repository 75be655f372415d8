"""Distance from the training data, and an alarm when best-of-n leaves them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray
from embrm._validation import as_numbers, check_inner_share
from embrm.evaluate.inputs import check_scores, item_codes, prompts_by_size
from embrm.evaluate.resampling import Interval, prompt_bootstrap
from embrm.exceptions import invalid_input


@dataclass(frozen=True)
class HullAlarm:
    """Whether the picks of best-of-n lie farther from the training data than others.

    Attributes
    ----------
    outside : Interval
        Share of the picks beyond the hull.
    outside_at_random : float
        The same share of all candidates, as picking at random gives it.
    excess : Interval
        Difference of the two, over prompts.
    sounds : bool
        Whether picks are outside more often beyond noise.
    """

    outside: Interval
    outside_at_random: float
    excess: Interval
    sounds: bool

    def __str__(self) -> str:
        words = "leave" if self.sounds else "do not leave"
        return (
            f"Picks {words} the training hull: {self.outside.estimate:.1%} of them are "
            f"outside, {self.outside_at_random:.1%} of all candidates."
        )


@dataclass(frozen=True, eq=False)
class TrainingHull:
    r"""Mahalanobis distance in the metric of the training items.

    Attributes
    ----------
    mean : ndarray of shape (d,)
    root : ndarray of shape (d, d)
        :math:`R` with :math:`R R^\top = (\Sigma + \lambda I)^{-1}`.
    radius : float
        Distance within which the share `level` of held-out training items lies.
    level : float in (0, 1)

    Examples
    --------
    >>> import numpy as np
    >>> items = np.random.default_rng(0).normal(size=(500, 3))
    >>> hull = TrainingHull.fit(items)
    >>> hull.outside(np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]]))
    array([False,  True])
    """

    mean: FloatArray
    root: FloatArray
    radius: float
    level: float

    @classmethod
    def fit(
        cls,
        items: ArrayLike,
        *,
        level: float = 0.99,
        shrinkage: float = 0.01,
        random_state: int = 0,
    ) -> Self:
        """Learn the metric from training items, and the radius from a fifth of them.

        Parameters
        ----------
        items : array-like of shape (n_items, d)
        level : float in (0, 1), default=0.99
        shrinkage : float in (0, 1), default=0.01
            Share of the mean variance that is added to each direction.
        random_state : int, default=0
            Chooses the fifth.

        Returns
        -------
        TrainingHull

        Raises
        ------
        InvalidInputError
            On fewer than ten items or a wrong shape.
        """
        vectors = as_numbers(items, "items")
        if vectors.ndim != 2 or len(vectors) < 10:
            raise invalid_input(
                "at least ten items of shape (n_items, d)",
                f"shape {vectors.shape}",
                "pass the vectors the head was fitted on",
            )
        check_inner_share(level, "level", "0.99")
        check_inner_share(shrinkage, "shrinkage", "0.01")
        order = np.random.default_rng(random_state).permutation(len(vectors))
        held_out, train = np.split(order, [max(2, len(vectors) // 5)])
        mean = vectors[train].mean(axis=0)
        centred = vectors[train] - mean
        covariance = centred.T @ centred / max(1, len(train) - 1)
        values, directions = np.linalg.eigh(covariance)
        floor = shrinkage * max(float(values.mean()), 1e-12)
        root = directions / np.sqrt(np.maximum(values, 0) + floor)
        hull = cls(mean, root, np.inf, level)
        radius = float(np.quantile(hull.distance(vectors[held_out]), level))
        return cls(mean, root, radius, level)

    def distance(self, items: ArrayLike) -> FloatArray:
        """Compute the distance of items, shape (n_items,)."""
        vectors = as_numbers(items, "items")
        if vectors.ndim != 2 or vectors.shape[1] != len(self.mean):
            raise invalid_input(
                f"items of shape (n_items, {len(self.mean)})",
                f"shape {vectors.shape}",
                "pass vectors of the same encoder",
            )
        return np.asarray(np.linalg.norm((vectors - self.mean) @ self.root, axis=1))

    def outside(self, items: ArrayLike) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Say which items are farther than the radius."""
        return np.asarray(self.distance(items) > self.radius)

    def best_of_n(
        self, items: ArrayLike, reward: ArrayLike, prompt_ids: ArrayLike
    ) -> HullAlarm:
        """Compare the best of each prompt's candidates with all of them.

        Parameters
        ----------
        items : array-like of shape (n_items, d)
        reward : array-like of shape (n_items,)
        prompt_ids : array-like of shape (n_items,)

        Returns
        -------
        HullAlarm
        """
        outside = self.outside(items).astype(float)
        rewards = check_scores(reward, "reward", len(outside))
        codes, prompts = item_codes(prompt_ids, len(outside))
        picked, random = np.zeros((2, len(prompts)))
        for at, rows in prompts_by_size(codes):
            best = rewards[rows] == rewards[rows].max(axis=1, keepdims=True)
            picked[at] = (outside[rows] * best).sum(axis=1) / best.sum(axis=1)
            random[at] = outside[rows].mean(axis=1)
        groups = np.arange(len(prompts))
        excess = prompt_bootstrap(picked - random, groups)
        return HullAlarm(
            outside=prompt_bootstrap(picked, groups),
            outside_at_random=float(random.mean()),
            excess=excess,
            sounds=bool(excess.low > 0),
        )
