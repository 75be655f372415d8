"""Sums, softmax and draws within the prompts of a pool, without a loop over them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from embrm._typing import FloatArray, IntArray
from embrm._validation import as_numbers
from embrm.evaluate.inputs import item_codes
from embrm.exceptions import invalid_input


@dataclass(frozen=True, eq=False)
class Prompts:
    """Which items answer which prompt.

    Attributes
    ----------
    codes : ndarray of int of shape (n_items,)
        Number of each item's prompt, in order of the ids.
    order : ndarray of int of shape (n_items,)
        Items prompt by prompt.
    starts : ndarray of int of shape (n_prompts,)
        Where each prompt begins in `order`.
    """

    codes: IntArray
    order: IntArray
    starts: IntArray

    @classmethod
    def of(cls, prompt_ids: ArrayLike, n_items: int) -> Self:
        """Find the prompts of items."""
        codes, _ = item_codes(prompt_ids, n_items)
        sizes = np.bincount(codes)
        return cls(codes, np.argsort(codes, kind="stable"), np.cumsum(sizes) - sizes)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def sizes(self) -> IntArray:
        """Number of responses to each prompt, shape (n_prompts,)."""
        return np.diff(self.starts, append=len(self.codes))

    def sum(self, values: FloatArray) -> FloatArray:
        """Sum over each prompt's items: (n_items, ...) -> (n_prompts, ...)."""
        return np.asarray(np.add.reduceat(values[self.order], self.starts, axis=0))

    def max(self, values: FloatArray) -> FloatArray:
        """Take the largest of each prompt's items: (n_items,) -> (n_prompts,)."""
        return np.asarray(np.maximum.reduceat(values[self.order], self.starts))

    def log_softmax(self, logits: FloatArray) -> FloatArray:
        """Normalise within prompts: (n_items,) -> log-probabilities (n_items,).

        A logit of -inf is probability 0; each prompt needs one that is finite.
        """
        centred = logits - self.max(logits)[self.codes]
        total = self.sum(np.exp(centred))
        return np.asarray(centred - np.log(total)[self.codes])

    def base(self, base_logprob: ArrayLike | None) -> FloatArray:
        """Normalise base log-probabilities within prompts; None is uniform."""
        if base_logprob is None:
            return -np.log(self.sizes)[self.codes]
        given = as_numbers(base_logprob, "base_logprob")
        if given.shape != self.codes.shape or not (given < np.inf).all():
            raise invalid_input(
                f"base_logprob of shape {self.codes.shape}, numbers or -inf",
                f"shape {given.shape}, {int((~(given < np.inf)).sum())} others",
                "pass the log-probability of each response under the base policy",
            )
        if not np.isfinite(self.max(given)).all():
            raise invalid_input(
                "a response with a probability above 0 to each prompt",
                "a prompt without",
                "drop the prompt, or give its responses log-probabilities",
            )
        return self.log_softmax(given)

    def expected_log_ratio(
        self, logprob: FloatArray, base: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Compute log pi / pi0 of items, 0 where pi is, and KL of each prompt."""
        shares = np.exp(logprob)
        none = np.zeros_like(logprob)
        ratio = np.subtract(logprob, base, out=none, where=shares > 0)
        return ratio, np.maximum(self.sum(shares * ratio), 0.0)

    def draw(
        self, logprob: FloatArray, prompts: IntArray, generator: np.random.Generator
    ) -> IntArray:
        """Draw one item for each listed prompt, shape (m,): the Gumbel-max trick."""
        sizes = self.sizes[prompts]
        owner = np.repeat(np.arange(len(prompts)), sizes)
        firsts = np.cumsum(sizes) - sizes
        inside = np.arange(len(owner)) - firsts[owner]
        items = self.order[self.starts[prompts][owner] + inside]
        perturbed = logprob[items] + generator.gumbel(size=len(items))
        best = np.maximum.reduceat(perturbed, firsts)
        # Perturbed values are equal with probability zero.
        return items[np.flatnonzero(perturbed == best[owner])]
