r"""A reward net of style, and what style alone would say.

Style control as on public leaderboards [1]_: what a reward owes to length, lists and
markup is told from the rest. A reward of vectors knows style too, since vectors carry
some of it; which block the priors credit for that says nothing. So the reward is
residualised on style over the items that were fitted on, within their prompts,

.. math:: r_{\text{net}}(x) = r(x) - (s(x) - \bar s)^\top b

with b of least squares. For a linear head this is the reward of vectors that are
themselves residualised on style.

References
----------
.. [1] Li, Angelopoulos, Chiang (2024). Does style matter? Disentangling style and
   substance in Chatbot Arena. LMSYS blog.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lstsq
from sklearn.exceptions import ConvergenceWarning

from embrm._typing import AnyArray, FloatArray, Text
from embrm.datasets import Preferences
from embrm.embed.style import STYLE_FEATURES, StyleEncoder
from embrm.evaluate.scores import Evaluation, evaluate_deltas
from embrm.exceptions import LeftOutWarning, invalid_input
from embrm.heads import LinearBradleyTerry
from embrm.pairs import Pairs

_SMALLEST = 1e-6
"""Singular values of standardised features, relative to the largest, that count."""


@dataclass(frozen=True, eq=False)
class StyleControl:
    """What a fitted reward owes to style.

    Attributes
    ----------
    mean, coef : ndarray of shape (16,)
        Mean of the features, and reward that goes with each of them, in nats.
    alone : ndarray of shape (16,) or None
        Weights of a linear reward that knows style alone; None without pairs.
    """

    mean: FloatArray
    coef: FloatArray
    alone: FloatArray | None = None

    @classmethod
    def of(
        cls,
        preferences: Preferences,
        reward: FloatArray,
        prompts: AnyArray | None,
    ) -> "StyleControl":
        """Measure what a reward of training items owes to style.

        Parameters
        ----------
        preferences : Preferences
            That the reward was fitted on.
        reward : ndarray of shape (n_items,)
        prompts : ndarray of shape (n_items,) or None
            Which prompt each item answers, where that is known.
        """
        style = StyleEncoder().encode(preferences.texts).astype(np.float64)
        one = np.zeros(len(style), dtype=np.intp)
        coef = _slopes(style, reward, one if prompts is None else prompts)
        return cls(style.mean(axis=0), coef, _style_alone(preferences, style))

    def owed(self, style: FloatArray) -> FloatArray:
        """Compute what rewards of items owe to their style, (n_items, 16) -> nats."""
        return np.asarray((style - self.mean) @ self.coef)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and names, as a saved model keeps them."""
        return {
            "features": list(STYLE_FEATURES),
            "mean": self.mean.tolist(),
            "coef": self.coef.tolist(),
            "alone": None if self.alone is None else self.alone.tolist(),
        }

    @classmethod
    def from_json(cls, known: Mapping[str, Any] | None) -> "StyleControl":
        """Read what `to_json` returned.

        Raises
        ------
        InvalidInputError
            If nothing is known: the model was fitted without texts, or saved before
            there was style control.
        """
        if known is None or known.get("features") != list(STYLE_FEATURES):
            raise invalid_input(
                expected="a model that knows what its reward owes to style",
                got="one that was fitted by an earlier version",
                fix="fit it again, or leave out control='style'",
            )
        alone = known.get("alone")
        return cls(
            np.asarray(known["mean"], dtype=np.float64),
            np.asarray(known["coef"], dtype=np.float64),
            None if alone is None else np.asarray(alone, dtype=np.float64),
        )


def evaluate_style(
    control: StyleControl,
    preferences: Preferences,
    pairs: Pairs,
    head: Any,
    *,
    random_state: int = 0,
) -> dict[str, Evaluation]:
    """Evaluate style alone, a reward net of style, and the whole, on the same pairs.

    Parameters
    ----------
    control : StyleControl
        Of the fitted head.
    preferences : Preferences
    pairs : Pairs
        Of these preferences.
    head : RewardHead
    random_state : int, default=0

    Returns
    -------
    dict of str to Evaluation
        `style alone` is left out where it is unknown.
    """
    style = style_of(preferences.texts)
    whole, owed = head.decision_function(pairs), control.owed(style)
    deltas = {
        "net of style": whole - (owed[pairs.first] - owed[pairs.second]),
        "reward": whole,
    }
    if control.alone is not None:
        alone = style @ control.alone
        told = {"style alone": alone[pairs.first] - alone[pairs.second]}
        deltas = told | deltas
    return {
        name: evaluate_deltas(
            delta,
            preferences.y,
            groups=pairs.groups,
            sample_weight=preferences.weight,
            random_state=random_state,
        )
        for name, delta in deltas.items()
    }


def style_of(texts: Sequence[Text]) -> FloatArray:
    """Compute the style features of items, shape (n_items, 16), float64."""
    return StyleEncoder().encode(texts).astype(np.float64)


def _slopes(style: FloatArray, reward: FloatArray, prompts: AnyArray) -> FloatArray:
    """Regress rewards on style within prompts; over all items if prompts have one."""
    codes = np.unique(prompts, return_inverse=True)[1]
    if 2 * (int(codes.max()) + 1) > len(codes):
        codes = np.zeros(len(codes), dtype=np.intp)
    both = np.column_stack([style, reward])
    sums = np.zeros((int(codes.max()) + 1, both.shape[1]))
    np.add.at(sums, codes, both)
    both -= (sums / np.bincount(codes)[:, None])[codes]
    deviation = both[:, :-1].std(axis=0)
    deviation[deviation <= _SMALLEST * deviation.max()] = np.inf
    if not np.isfinite(deviation).any():
        return np.zeros(style.shape[1])
    slopes = lstsq(both[:, :-1] / deviation, both[:, -1], cond=_SMALLEST)[0]
    return np.asarray(slopes / deviation)


def _style_alone(preferences: Preferences, style: FloatArray) -> FloatArray | None:
    if not len(preferences):
        return None
    pairs: Pairs = preferences.to_pairs(style)
    if np.array_equal(style[pairs.first], style[pairs.second]):
        return np.zeros(style.shape[1])
    head = LinearBradleyTerry(posterior=False)
    with warnings.catch_warnings():
        # Responses of one style are no mistake, and this is a baseline.
        warnings.simplefilter("ignore", LeftOutWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        head.fit(pairs, preferences.y, sample_weight=preferences.weight)
    return head.coef_


def check_style_block(blocks: Mapping[str, slice] | None) -> slice:
    """Take the block of style, or refuse to control for style without texts."""
    if blocks is None or "style" not in blocks:
        raise invalid_input(
            expected="vectors with a block 'style', to take it out of their reward",
            got=f"blocks {', '.join(blocks)}" if blocks else "no blocks",
            fix="call reward(data, control='style'), which reads the texts",
        )
    return blocks["style"]
