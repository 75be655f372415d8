"""What a head is told in `fit` beside pairs and labels, as far as the data know it."""

import inspect
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import AnyArray
from embrm.datasets import Preferences
from embrm.model.frames import response_lengths

NOBODY = "unknown"
"""Name of the annotator of pairs that have none."""


def fit_params(head: Any, preferences: Preferences) -> dict[str, AnyArray]:
    """Collect what a head's `fit` takes, from the columns of preferences.

    Parameters
    ----------
    head : RewardHead
    preferences : Preferences

    Returns
    -------
    dict
        Arrays with one row per pair, in order: `sample_weight` and `margin` where the
        preferences have them; `lengths` (n_pairs, 2) in characters where `fit` takes
        them; `annotator`, from the column of that name, for heads that estimate flip
        rates (noise="estimate"), or that hold such heads. Pairs without an annotator
        share one, "unknown".

    Examples
    --------
    >>> from embrm.datasets import read_preferences
    >>> from embrm.heads import LinearBradleyTerry
    >>> row = {"prompt": "2+2?", "chosen": "4", "rejected": "5", "annotator": "Ann"}
    >>> fit_params(LinearBradleyTerry(noise="estimate"), read_preferences([row]))
    {'annotator': array(['Ann'], dtype='<U3')}
    """
    known = inspect.signature(head.fit).parameters
    found = {"sample_weight": preferences.weight, "margin": preferences.margin}
    told: dict[str, AnyArray] = {
        name: array for name, array in found.items() if array is not None
    }
    if "lengths" in known:
        told["lengths"] = response_lengths(preferences)
    estimates = getattr(head, "estimates_noise", False)
    if estimates and "annotator" in known and "annotator" in preferences.pairs:
        told["annotator"] = _names(preferences.pairs["annotator"])
    return told


def _names(annotators: pd.Series) -> AnyArray:
    """Write annotators as text, whatever mixture of names and numbers they are."""
    return np.array([_name(who) for who in annotators])


def _name(who: Any) -> str:
    # A frame holds whole numbers as floats where some are missing.
    if isinstance(who, float) and who.is_integer():
        who = int(who)
    return NOBODY if pd.isna(who) else str(who)
