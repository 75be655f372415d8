"""The heads and annotators that the studies put side by side."""

from typing import Any

from sklearn.preprocessing import StandardScaler

from embrm import CandidatePool
from embrm.experiment import AtErrorRate
from embrm.heads import LinearBradleyTerry, SiameseBradleyTerry, make_head
from embrm.simulate import BradleyTerryAnnotator, SamePrompt, calibrate

OBJECTIVES = (("logistic", "linear"), ("mlp", "siamese"))
"""A classification head, and the Bradley-Terry head of the same kind of model."""

TREES, NETWORK, BOOSTED = "lightgbm", "mlp", "boosted"
"""The heads of the claim that trees can stand in for networks, and trees on pairs."""

ALL_HEADS = ("linear", "siamese", "boosted", "logistic", "mlp", "lightgbm")

LADDER = tuple(10 ** (1.5 * step) for step in range(-2, 4))
"""Penalties from 1/1000 to 30,000 in units of the one that the logistic head takes by
itself, each some thirty times the one before: the best should lie between the ends."""

STYLE_ALONE, WITH_STYLE = "linear, style alone", "linear, vectors and style"
"""The linear head on style features, and on vectors and style with a prior of each."""

FREE_BRADLEY_TERRY = "siamese, free"
"""A network of 64 units that nothing holds back."""

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


def with_penalty(kind: str, factor: float) -> str:
    """Name a linear head of a given penalty.

    Examples
    --------
    >>> with_penalty("logistic", LADDER[1])
    'logistic, penalty x 0.032'
    """
    return f"{kind}, penalty x {float(f'{factor:.2g}'):,g}"


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
    >>> heads["linear, penalty x 1"].alpha
    3072.0
    >>> heads["logistic, penalty x 1"].estimator_params["C"] == 1 / 3072
    True
    """
    heads: dict[str, Any] = {}
    for factor in LADDER:
        alpha = 8 * n_features * factor
        heads[with_penalty("linear", factor)] = LinearBradleyTerry(
            alpha=alpha, preprocessor=StandardScaler(), posterior=False
        )
        heads[with_penalty("logistic", factor)] = make_head("logistic", C=1 / alpha)
    # So small a share holds nothing out: training ends after ten epochs.
    heads[FREE_BRADLEY_TERRY] = SiameseBradleyTerry(
        64,
        linear_start=False,
        weight_decay=0.0,
        validation_fraction=1e-6,
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
