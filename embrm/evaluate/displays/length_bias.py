"""Length bias: how a reward rises with the length of a response, before and after."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray, RandomState
from embrm._validation import check_count
from embrm.evaluate.displays._styles import axes_or_new, draw_band, finish
from embrm.evaluate.inputs import check_scores, item_codes
from embrm.evaluate.metrics import length_correlation
from embrm.evaluate.rank_correlation import centred_on_prompt, within_prompt_std
from embrm.evaluate.resampling import Band, PromptResampler, resampled_prompts
from embrm.exceptions import invalid_input


@dataclass(repr=False, eq=False)
class LengthBiasDisplay:
    """Reward against the length of the response, both relative to its prompt.

    Make one with `from_predictions`, draw it with `plot`.

    Parameters
    ----------
    length : ndarray of shape (n_bins,)
        Mean length in each bin, as a multiple of the mean length of the prompt's
        responses.
    rewards : mapping of str to Band
        For each name the mean reward in each bin, less the mean of its prompt, in
        standard deviations within prompts.
    correlations : mapping of str to float
        Mean Spearman correlation of reward and length within prompts.
    level : float in (0, 1), default=0.95
        Confidence level of the bands.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> display = LengthBiasDisplay.from_predictions(
    ...     {"before": [1, 2, 3, 2, 4, 6], "after": [2, 1, 2, 4, 2, 4]},
    ...     lengths=[10, 20, 30, 20, 40, 60],
    ...     prompt_ids=["a", "a", "a", "b", "b", "b"],
    ...     n_bins=3,
    ... )
    >>> display.length, round(display.correlations["before"], 3)
    (array([0.5, 1. , 1.5]), 1.0)
    """

    length: FloatArray
    rewards: Mapping[str, Band]
    correlations: Mapping[str, float]
    _: KW_ONLY
    level: float = 0.95

    def __post_init__(self) -> None:
        self.rewards = dict(self.rewards)
        self.correlations = dict(self.correlations)

    @classmethod
    def from_predictions(
        cls,
        rewards: Mapping[str, ArrayLike],
        lengths: ArrayLike,
        prompt_ids: ArrayLike,
        *,
        n_bins: int = 10,
        level: float = 0.95,
        n_resamples: int = 2000,
        random_state: RandomState = 0,
    ) -> Self:
        """Average rewards of the same items in bins of relative length.

        Parameters
        ----------
        rewards : mapping of str to array-like of shape (n_items,)
            Such as those of a head before and after length was taken out.
        lengths : array-like of shape (n_items,), > 0
            Of the responses, in characters or tokens.
        prompt_ids : array-like of shape (n_items,)
        n_bins : int >= 1, default=10
            Of about equally many items; equal lengths stay in one bin.
        level : float in (0, 1), default=0.95
        n_resamples : int >= 1, default=2000
            Resamples of prompts, for the bands.
        random_state : int, Generator, RandomState or None, default=0

        Returns
        -------
        LengthBiasDisplay

        Raises
        ------
        InvalidInputError
            If there is no reward, a shape is wrong, a value is not finite, or a
            length is not above zero.
        """
        counts = check_scores(lengths, "lengths")
        codes, prompts = item_codes(prompt_ids, len(counts))
        _check(rewards, counts)
        means = np.bincount(codes, weights=counts) / np.bincount(codes)
        relative = counts / means[codes]
        bins = _bins(relative, check_count(n_bins, "n_bins", 1))
        resampler = resampled_prompts(len(prompts), n_resamples, level, random_state)
        bands, correlations = {}, {}
        for name, reward in rewards.items():
            values = check_scores(reward, "reward", len(counts))
            spread = within_prompt_std(values, codes) or 1.0
            centred = centred_on_prompt(values, codes) / spread
            bands[name] = _band(centred, codes, bins, resampler)
            correlations[name] = length_correlation(values, counts, codes).mean
        length = np.bincount(bins, weights=relative) / np.bincount(bins)
        return cls(length, bands, correlations, level=resampler.level)

    def plot(self, ax: Any = None) -> Self:
        """Draw one line per reward, with a band over prompts.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None makes a new figure.

        Returns
        -------
        LengthBiasDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax)
        ax.axhline(0, color="0.6", linewidth=1)
        for position, (name, band) in enumerate(self.rewards.items()):
            words = f"{name}: Spearman {self.correlations[name]:.2f}"
            bounds = band.low, band.high
            draw_band(
                ax, self.length, band.mean, bounds, position=position, label=words
            )
        ax.set_xlabel("length (multiple of the prompt's mean)")
        ax.set_ylabel("reward less the prompt's mean\n(standard deviations)")
        finish(ax, f"{self.level:.0%} interval over prompts")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _bins(relative: FloatArray, n_bins: int) -> IntArray:
    """Give each item the number of its bin, none of them empty."""
    edges = np.quantile(relative, np.linspace(0, 1, n_bins + 1)[1:-1])
    places = np.searchsorted(edges, relative, side="left")
    return np.unique(places, return_inverse=True)[1]


def _band(
    values: FloatArray, codes: IntArray, bins: IntArray, resampler: PromptResampler
) -> Band:
    """Average values (n_items,) in each bin, with percentiles over prompts."""
    n_bins = int(bins.max()) + 1
    shape = (resampler.n_pairs, n_bins)
    cells = codes * n_bins + bins
    size = shape[0] * shape[1]
    sums = np.bincount(cells, weights=values, minlength=size).reshape(shape)
    counts = np.bincount(cells, minlength=size).reshape(shape)
    totals = resampler.totals(np.hstack([sums, counts]))
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = totals[:, :n_bins] / totals[:, n_bins:]
    low, high = resampler.percentiles(replicates)
    mean = sums.sum(axis=0) / counts.sum(axis=0)
    return Band(mean, low, high, (counts > 0).sum(axis=0))


def _check(rewards: Mapping[str, ArrayLike], lengths: FloatArray) -> None:
    if not rewards:
        raise invalid_input(
            expected="the reward of at least one head",
            got="none",
            fix="pass rewards={'before': ..., 'after': ...}",
        )
    if (lengths <= 0).any():
        raise invalid_input(
            expected="lengths > 0",
            got=f"another value at item {int(np.argmax(lengths <= 0))}",
            fix="count characters or tokens, and drop empty responses",
        )
