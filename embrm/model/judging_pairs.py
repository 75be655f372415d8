"""What a fitted reward model says of pairs: who is preferred, and how well it knows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from embrm._typing import BoolArray, FloatArray, IntArray
from embrm.datasets import Preferences
from embrm.datasets.prompt_sketches import PromptSketches
from embrm.datasets.reading import OnError
from embrm.evaluate.human import ceiling_of
from embrm.evaluate.scores import Evaluation, evaluate_deltas
from embrm.evaluate.subsets import subset_column
from embrm.exceptions import LeakageWarning, LeftOutWarning, warn
from embrm.model.items import equal_vectors, response_lengths, seen_pairs
from embrm.model.style_control import StyleControl, evaluate_style
from embrm.pairs import Pairs


class JudgesPairs(ABC):
    """Judges pairs by a fitted head, and is evaluated on them.

    Attributes
    ----------
    head_ : RewardHead
    training_ : mapping of str to JSON value
    training_prompts_ : ndarray of uint64
    training_sketches_ : PromptSketches or None
    """

    head_: Any
    training_: Mapping[str, Any]
    training_prompts_: IntArray
    training_sketches_: PromptSketches | None

    @property
    def style_control(self) -> StyleControl:
        """What the fitted reward owes to style; see `embrm.model.style_control`.

        Raises
        ------
        InvalidInputError
            If the model was saved before there was such.
        """
        check_is_fitted(self, "head_")
        return StyleControl.from_json(self.training_.get("style"))

    @abstractmethod
    def _read_pairs(self, data: Any, **options: Any) -> Preferences:
        """Read preferences of which there is at least one pair."""

    @abstractmethod
    def _pairs(self, preferences: Preferences) -> Pairs:
        """Give the pairs of preferences their vectors."""

    def decision_function(self, df: Any) -> FloatArray:
        """Compute delta of each pair of a pair frame, shape (n_pairs,), in nats."""
        check_is_fitted(self, "head_")
        return np.asarray(
            self.head_.decision_function(self._pairs(self._read_pairs(df)))
        )

    def predict_proba(self, df: Any) -> FloatArray:
        """Compute probabilities (n_pairs, 2): column 1 is P(first preferred).

        In frames with `chosen` and `rejected`, first is chosen.
        """
        check_is_fitted(self, "head_")
        pairs = self._pairs(self._read_pairs(df))
        return np.asarray(self.head_.predict_proba(pairs))

    def predict(self, df: Any) -> IntArray:
        """Say which item of each pair is preferred: 1 for first, 0 for second."""
        return (self.decision_function(df) > 0).astype(np.intp)

    def score(self, df: Any) -> float:
        """Compute order consistency with the labels of a pair frame."""
        check_is_fitted(self, "head_")
        preferences = self._read_pairs(df)
        pairs = self._pairs(preferences)
        return float(self.head_.score(pairs, preferences.y, preferences.weight))

    def evaluate(
        self,
        data: Any,
        *,
        format: str | None = None,  # noqa: A002
        on_error: OnError = "raise",
        by: str | None = None,
        random_state: int = 0,
        **reading: Any,
    ) -> Evaluation:
        """Evaluate the head on preferences: every metric with a 95% interval.

        Prompts that were fitted on give optimistic figures; a `LeakageWarning` says
        how many there are. `by` names a column of the pairs (subset, language, source)
        whose values are evaluated apart, too. `reading` is what `fit` takes.

        Returns
        -------
        Evaluation
            Order consistency with the length baseline beside it, log loss, Brier
            score and calibration error.
        """
        given = {"format": format, "on_error": on_error, **reading}
        preferences = self._read_pairs(data, **given)
        seen = self.seen_pairs(preferences)
        if seen.any():
            warn(
                f"{int(seen.sum())} of {len(seen)} pairs have a prompt that the head "
                "was fitted on; these figures are optimistic",
                LeakageWarning,
            )
        return self.evaluate_preferences(preferences, by=by, random_state=random_state)

    def evaluate_preferences(
        self,
        preferences: Preferences,
        *,
        by: str | None = None,
        random_state: int = 0,
    ) -> Evaluation:
        """Evaluate the head on preferences, without a check for leakage."""
        check_is_fitted(self, "head_")
        pairs = self._pairs(preferences)
        equal = equal_vectors(pairs)
        if equal.any() and not equal.all():
            warn(
                f"left out {int(equal.sum())} of {len(equal)} pairs of equal vectors: "
                "what differs may lie beyond the encoder's limit of tokens",
                LeftOutWarning,
            )
            preferences = preferences.take_pairs(~equal)
            pairs = pairs[~equal]
        subsets = None if by is None else subset_column(preferences, by)
        delta = self.head_.decision_function(pairs)
        evaluation = evaluate_deltas(
            delta,
            preferences.y,
            groups=pairs.groups,
            lengths=response_lengths(preferences),
            sample_weight=preferences.weight,
            by=subsets,
            random_state=random_state,
        )
        return replace(evaluation, human=ceiling_of(preferences, delta))

    def evaluate_style(
        self, preferences: Preferences, *, random_state: int = 0
    ) -> dict[str, Evaluation]:
        """Evaluate what of the reward is style: alone, net of it, and the whole.

        Returns
        -------
        dict of str to Evaluation
            `style alone` (a linear reward of style features, fitted on the same
            training pairs; left out where there were none), `net of style`, and
            `reward`.
        """
        return evaluate_style(
            self.style_control,
            preferences,
            self._pairs(preferences),
            self.head_,
            random_state=random_state,
        )

    def seen_pairs(self, preferences: Preferences) -> BoolArray:
        """Mark the pairs with a prompt that was fitted on: bool of shape (n_pairs,).

        Near-duplicates of one count, where they were grouped in the fit.
        """
        check_is_fitted(self, "head_")
        return seen_pairs(preferences, self.training_prompts_, self.training_sketches_)
