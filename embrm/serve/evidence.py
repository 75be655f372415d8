"""What a reward rests on: the nearest training pairs, distance, and style.

A head knows what its training pairs taught it. Far from them its reward is a guess,
whatever its interval says; and part of a reward may be for looks alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embrm._typing import FloatArray, IntArray, Text
from embrm.datasets import Preferences
from embrm.messages import prompt_text
from embrm.model import RewardModel
from embrm.model.style_control import StyleControl, style_of

_EXCERPT = 300
_QUANTILE = 0.05


@dataclass(frozen=True)
class Evidence:
    """Training items of a model, to compare others with.

    Parameters
    ----------
    preferences : Preferences
        What the model was fitted on.
    mean : ndarray of shape (d,)
    directions : ndarray of shape (n_items, d)
        Vectors of the training items, less the mean, of length 1.
    near : float
        Similarity to the nearest item of another prompt that 95% of the training items
        reach.
    style : ndarray of shape (16,)
        Slopes of the reward on `STYLE_FEATURES`, between training items of one prompt.
    """

    preferences: Preferences
    mean: FloatArray
    directions: FloatArray
    near: float
    style: FloatArray

    @classmethod
    def of(cls, model: RewardModel, preferences: Preferences) -> "Evidence":
        """Embed training items, by the model's cache, and learn what is usual."""
        vectors = model.embed(preferences.texts).vectors.astype(np.float64)
        rewards, _ = model.reward_vectors(vectors, with_std=False)
        mean = vectors.mean(axis=0)
        directions = _unit(vectors - mean)
        prompts = preferences.items["prompt_id"].to_numpy()
        _, groups = np.unique(prompts, return_inverse=True)
        nearest = _nearest_of_others(directions, groups)
        known = model.training_.get("style")
        style = (
            StyleControl.from_json(known)
            if known
            else StyleControl.of(preferences, rewards, prompts)
        )
        return cls(
            preferences,
            mean,
            directions,
            float(np.quantile(nearest, _QUANTILE)),
            style.coef,
        )

    def explain(
        self, texts: Sequence[Text], vectors: FloatArray, rewards: Sequence[float]
    ) -> list[dict[str, Any]]:
        """Say of each item what its reward rests on, ready for JSON.

        Returns
        -------
        list of dict
            `nearest`: three training pairs, with their similarity in [-1, 1];
            `similarity` to the nearest training item; `outside`: whether 95% of the
            training items are nearer to others; `style_share`: the part of the
            difference from the mean of these items that style counts predict, in
            [0, 1], None for a single item.
        """
        to_items = _unit(vectors.astype(np.float64) - self.mean) @ self.directions.T
        shares = self._style_shares(texts, np.asarray(rewards, dtype=np.float64))
        ids = self.preferences.pairs[["first", "second"]].to_numpy()
        answers = []
        for row, share in zip(to_items, shares, strict=True):
            to_pairs = row[ids].max(axis=1)
            best = self._of_three_prompts(np.argsort(-to_pairs), ids)
            answers.append(
                {
                    "similarity": float(row.max()),
                    "outside": bool(row.max() < self.near),
                    "style_share": share,
                    "nearest": [
                        {**self._pair(ids[n]), "similarity": float(to_pairs[n])}
                        | {"y": float(self.preferences.y[n])}
                        for n in best
                    ],
                }
            )
        return answers

    def _of_three_prompts(self, order: IntArray, ids: IntArray) -> list[int]:
        """Take the first pair of each of the first three prompts."""
        prompts = self.preferences.items["prompt_id"].to_numpy()[ids[order, 0]]
        _, firsts = np.unique(prompts, return_index=True)
        return [int(order[n]) for n in np.sort(firsts)[:3]]

    def _pair(self, pair: IntArray) -> dict[str, str]:
        (prompt, first), (_, second) = (self.preferences.texts[int(n)] for n in pair)
        named = {"prompt": prompt_text(prompt), "first": first, "second": second}
        return {name: text[:_EXCERPT] for name, text in named.items()}

    def _style_shares(
        self, texts: Sequence[Text], rewards: FloatArray
    ) -> list[float | None]:
        """Divide each difference from the mean into style and the rest."""
        if len(texts) < 2:
            return [None] * len(texts)
        counts = style_of(texts)
        style = (counts - counts.mean(axis=0)) @ self.style
        rest = rewards - rewards.mean() - style
        total = np.abs(style) + np.abs(rest)
        none = np.zeros_like(total)
        shares = np.divide(np.abs(style), total, out=none, where=total > 0)
        return [float(share) for share in shares]


def _unit(vectors: FloatArray) -> FloatArray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12))


def _nearest_of_others(directions: FloatArray, groups: IntArray) -> FloatArray:
    """Find each item's similarity to the nearest item of another prompt, in blocks."""
    nearest = np.empty(len(directions))
    for start in range(0, len(directions), 1024):
        block = slice(start, start + 1024)
        similar = directions[block] @ directions.T
        similar[groups[block, None] == groups] = -1.0
        nearest[block] = similar.max(axis=1)
    return nearest
