"""What a saved model makes of data: probabilities of heads not fitted on a prompt."""

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from embrm._typing import FloatArray
from embrm.datasets import Preferences
from embrm.evaluate.inputs import group_codes
from embrm.exceptions import invalid_input
from embrm.model import RewardModel
from embrm.model.training_data import training_data
from embrm.pairs import Pairs
from embrm.report.leaderboard import cross_fit


def held_out_probability(
    model: RewardModel,
    preferences: Preferences,
    pairs: Pairs,
    *,
    n_splits: int = 5,
    random_state: int = 0,
    after_fit: Callable[[], None] | None = None,
) -> FloatArray:
    """Compute P(first preferred) by a head that was not fitted on the pair's prompt.

    Where the model was fitted on none of the prompts, it is the model's own; else its
    kind of head is fitted again, on all folds of the data but one in turn.

    Parameters
    ----------
    model : RewardModel
        Fitted.
    preferences : Preferences
    pairs : Pairs
        What the model's `to_pairs` makes of vectors of its encoder.
    n_splits, random_state, after_fit
        As in `cross_fit`.

    Returns
    -------
    ndarray of shape (n_pairs,) in [0, 1]
        NaN for pairs across two folds.

    Raises
    ------
    InvalidInputError
        If the model was fitted on these data, and they have one prompt only.
    """
    if not model.seen_pairs(preferences).any():
        return np.asarray(expit(model.head_.decision_function(pairs)))
    if group_codes(pairs.groups)[1] < 2:
        raise invalid_input(
            expected="two prompts or more, to hold one out",
            got="one, which the model was fitted on",
            fix="give data with more prompts, or with others",
        )
    fitted = cross_fit(
        model.head_,
        pairs,
        preferences.y,
        data=training_data(model.head_, preferences),
        n_splits=n_splits,
        random_state=random_state,
        after_fit=after_fit,
    )
    return np.asarray(expit(fitted.delta))
