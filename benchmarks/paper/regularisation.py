"""Objective or regularisation: heads that differ in one of the two alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.paper.claims import (
    CONSISTENCY,
    MARGINS,
    Claim,
    Estimate,
    Rule,
    Verdict,
    average,
    cells_of,
    change,
    halves,
    paired,
)
from benchmarks.paper.levels import (
    FREE_BRADLEY_TERRY,
    FREE_CLASSIFIER,
    PENALTIES,
    PUBLISHED,
    with_penalty,
)

if TYPE_CHECKING:
    import pandas as pd

AS_THEY_COME = "objective: logistic less linear, as they come"
"""Name of the contrast of the two linear heads with penalties of their own."""

_CONCLUSIONS = {
    Verdict.HOLDS: "So here it is how strongly a linear head is held back, more than "
    "its objective, that explains the differences between heads.",
    Verdict.DOES_NOT_HOLD: "So here the objective of a linear head explains more than "
    "how strongly it is held back.",
    Verdict.UNDECIDED: "These cells cannot tell which of the two explains more.",
}


@dataclass(frozen=True)
class Contrast:
    """One head less another.

    Attributes
    ----------
    name : str
    difference : Estimate
        In order consistency, over all cells.
    growth : Estimate
        How much larger the difference is at the noisier than at the cleaner levels.
    """

    name: str
    difference: Estimate
    growth: Estimate


@dataclass(frozen=True)
class Regularisation:
    """What the matched heads say.

    Attributes
    ----------
    claims : list of Claim
        Questions that we add to the paper's.
    contrasts : tuple of Contrast
    conclusion : str
        One sentence.
    """

    claims: list[Claim]
    contrasts: tuple[Contrast, ...]
    conclusion: str


def regularisation(frame: "pd.DataFrame") -> Regularisation:
    """Compare heads of one kind that differ in the objective or in capacity alone.

    Parameters
    ----------
    frame : DataFrame
        From `run_part`; the rows of "a-matched" are taken, and those of "a" at the
        same noise.

    Returns
    -------
    Regularisation
    """
    cells = _matched(frame)
    objective = _paired(
        cells,
        (
            (with_penalty("logistic", strength), with_penalty("linear", strength))
            for strength in PENALTIES
        ),
    )
    penalty = _paired(
        cells,
        (
            (with_penalty(kind, "strong"), with_penalty(kind, "weak"))
            for kind in ("linear", "logistic")
        ),
    )
    more = _more_than(penalty, objective)
    capacity = _paired(cells, [("siamese", FREE_BRADLEY_TERRY)])
    low, high = halves(cells["noise"])
    claims = [
        Claim(
            "a",
            "The strength of the penalty matters more than the objective.",
            "size of the effect of the penalty (strong less weak, mean of both "
            "objectives) less that of the objective (logistic less linear, mean of "
            "three penalties), order consistency",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            more,
            cells_of(penalty),
            (("penalty", average(penalty)), ("objective", average(objective))),
            of_paper=False,
        ),
        Claim(
            "a",
            "A Siamese network that is held back is the more robust to noise.",
            "siamese as it comes less free, order consistency, noisier less cleaner "
            "noise levels",
            Rule.ABOVE,
            MARGINS[CONSISTENCY],
            change(capacity, "noise", high, low),
            cells_of(capacity),
            (("as it comes less free, all noise levels", average(capacity)),),
            of_paper=False,
        ),
    ]
    conclusion = _CONCLUSIONS[claims[0].verdict]
    return Regularisation(claims, _contrasts(cells, low, high), conclusion)


def at_penalty(strength: str) -> str:
    """Name the contrast of the two linear heads at the same penalty."""
    return f"objective: logistic less linear, {strength} penalty"


def _contrasts(
    cells: "pd.DataFrame", low: list[float], high: list[float]
) -> tuple[Contrast, ...]:
    """Estimate each contrast of two heads."""
    found = []
    for name, plus, minus in _named_pairs():
        differences = _paired(cells, [(plus, minus)])
        growth = change(differences, "noise", high, low)
        found.append(Contrast(name, average(differences), growth))
    return tuple(found)


def _named_pairs() -> list[tuple[str, str, str]]:
    return [
        (AS_THEY_COME, "logistic", "linear"),
        *(
            (
                at_penalty(strength),
                with_penalty("logistic", strength),
                with_penalty("linear", strength),
            )
            for strength in PENALTIES
        ),
        ("objective: mlp less siamese, as they come", "mlp", "siamese"),
        (
            "objective: mlp less siamese, both free",
            FREE_CLASSIFIER,
            FREE_BRADLEY_TERRY,
        ),
        *(
            (
                f"penalty: {kind}, strong less weak",
                with_penalty(kind, "strong"),
                with_penalty(kind, "weak"),
            )
            for kind in ("linear", "logistic")
        ),
        ("capacity: siamese, as it comes less free", "siamese", FREE_BRADLEY_TERRY),
        ("capacity: siamese, as it comes less published network", "siamese", PUBLISHED),
        ("capacity: mlp, as it comes less free", "mlp", FREE_CLASSIFIER),
    ]


def _matched(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Put the matched heads beside those of the first grid, as one part."""
    extra = frame["part"] == "a-matched"
    noise = frame.loc[extra, "noise"].unique()
    beside = (frame["part"] == "a") & frame["noise"].isin(noise)
    return frame[extra | beside].assign(part="matched")


def _paired(cells: "pd.DataFrame", levels: Iterable[tuple[str, str]]) -> "pd.DataFrame":
    return paired(cells, "head", levels, CONSISTENCY)


def _more_than(one: "pd.DataFrame", other: "pd.DataFrame") -> Estimate:
    """Compare the sizes of two effects, whatever their signs are."""
    import pandas as pd

    sized = [
        differences.assign(
            effect=number,
            difference=differences["difference"] * np.sign(average(differences).mean),
        )
        for number, differences in enumerate((one, other))
    ]
    return change(pd.concat(sized, ignore_index=True), "effect", [0], [1])
