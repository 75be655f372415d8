"""The heads and annotators that the studies put side by side."""

import math
from types import MappingProxyType
from typing import Any

from sklearn.preprocessing import StandardScaler

from embrm import CandidatePool
from embrm.experiment import AtErrorRate
from embrm.heads import LinearBradleyTerry, SiameseBradleyTerry, make_head
from embrm.simulate import BradleyTerryAnnotator, SamePrompt, calibrate

OBJECTIVES = (("logistic", "linear"), ("mlp", "siamese"))
"""A classification head, and the Bradley-Terry head of the same kind of model."""

TREES, NETWORK = "lightgbm", "mlp"
"""The heads of the claim that trees can stand in for networks."""

ALL_HEADS = ("linear", "siamese", "logistic", "mlp", "lightgbm")

PENALTIES = MappingProxyType({"weak": 1e-3, "medium": math.sqrt(1e-3), "strong": 1.0})
"""Penalties in units of the one that the logistic head takes by itself."""

FREE_BRADLEY_TERRY, FREE_CLASSIFIER = "siamese, free", "mlp, free"
"""Networks of 64 units that nothing holds back."""

PUBLISHED = "siamese, published network"
"""1024 and 512 units, early stopping, no weight decay, no linear start."""

PROMPTS_ALIKE = "linear, prompts alike"
"""The linear head without an intercept for each prompt."""


def heads_by_name(names: tuple[str, ...]) -> dict[str, Any]:
    """Make heads that choose their capacity themselves, by word.

    Examples
    --------
    >>> heads_by_name(("linear",))
    {'linear': LinearBradleyTerry()}
    """
    return {name: make_head(name) for name in names}


def with_penalty(kind: str, strength: str) -> str:
    """Name a linear head of a given penalty.

    Examples
    --------
    >>> with_penalty("logistic", "weak")
    'logistic, weak penalty'
    """
    return f"{kind}, {strength} penalty"


def matched_heads(n_features: int) -> dict[str, Any]:
    r"""Make heads that differ in the objective, or in what holds them back, alone.

    Parameters
    ----------
    n_features : int
        d: the penalty of the logistic head is 8 d, of standardised items.

    Returns
    -------
    dict of str to RewardHead
        "linear" and "logistic" minimise sums of log losses of the same wins plus
        :math:`\tfrac{\alpha}{2} w^\top w`, on equally standardised items: of
        differences of items in the one case, of items in the other.

    Examples
    --------
    >>> heads = matched_heads(384)
    >>> heads["linear, strong penalty"].alpha
    3072.0
    >>> heads["logistic, strong penalty"].estimator_params["C"] == 1 / 3072
    True
    """
    heads: dict[str, Any] = {}
    for strength, factor in PENALTIES.items():
        alpha = 8 * n_features * factor
        heads[with_penalty("linear", strength)] = LinearBradleyTerry(
            alpha=alpha, preprocessor=StandardScaler()
        )
        heads[with_penalty("logistic", strength)] = make_head("logistic", C=1 / alpha)
    # So small a share holds nothing out: training ends after ten epochs.
    heads[FREE_BRADLEY_TERRY] = SiameseBradleyTerry(
        64,
        linear_start=False,
        weight_decay=0.0,
        validation_fraction=1e-6,
        ensemble_size=1,
    )
    heads[FREE_CLASSIFIER] = make_head("mlp", alpha=0.0)
    heads[PUBLISHED] = SiameseBradleyTerry(
        (1024, 512),
        linear_start=False,
        weight_decay=0.0,
        max_epochs=30,
        patience=3,
        batch_size=10_240,
        validation_fraction=0.2,
        ensemble_size=1,
    )
    return heads


def noise_name(error_rate: float) -> str:
    """Name an annotator by its error rate.

    Examples
    --------
    >>> noise_name(0.05)
    'errs 5%'
    """
    return f"errs {100 * error_rate:g}%"


def equally_wrong(rates: tuple[float, ...]) -> dict[str, Any]:
    """Set annotators to the same error rate on the pairs of every design."""
    return {
        noise_name(rate): AtErrorRate(BradleyTerryAnnotator(), rate) for rate in rates
    }


def one_annotator(rates: tuple[float, ...], pool: CandidatePool) -> dict[str, Any]:
    """Set annotators to error rates on same-prompt pairs, whatever they then annotate.

    On pairs that are easier to tell apart they err less.
    """
    return {
        noise_name(rate): calibrate(
            BradleyTerryAnnotator(), pool, SamePrompt(), rate, random_state=0
        )
        for rate in rates
    }
