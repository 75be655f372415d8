"""Claims of the paper, and the verdict that a contrast gives on each."""

from dataclasses import dataclass, field
from enum import StrEnum

from embrm.studies.contrasts import Estimate

CONSISTENCY = "order_consistency"
"""Column of the main metric: share of same-prompt test pairs ordered as gold does."""

MARGINS = {CONSISTENCY: 0.01, "recovery": 0.02}
"""Differences that count as none: a hundredth of the pairs, and as large a part of the
way from chance to perfect for the recovery, whose range is twice as wide."""


class Rule(StrEnum):
    """What a claim says of a difference."""

    ABOVE = "above 0"
    NOT_BELOW = "not below"
    NOT_ABOVE = "not above"
    DIFFERS = "other than 0"


class Verdict(StrEnum):
    """What comes out."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """One claim, and the paired difference that it is judged by.

    Attributes
    ----------
    study : str
    words : str
        The claim.
    measure : str
        The difference, in words, with its unit.
    rule : Rule
    margin : float >= 0
        By which "not below" and "not above" may be missed, and within which "other
        than 0" is refuted.
    estimate : Estimate
    cells : str
        What it stands on.
    details : tuple of (str, Estimate)
        Parts of the difference.
    of_paper : bool
        Whether the paper claims it; else it is a question that we add.
    """

    study: str
    words: str
    measure: str
    rule: Rule
    margin: float
    estimate: Estimate
    cells: str
    details: tuple[tuple[str, Estimate], ...] = field(default=())
    of_paper: bool = True

    @property
    def verdict(self) -> Verdict:
        """Judge by the interval alone."""
        return judge(self.estimate, self.rule, self.margin)

    @property
    def needed(self) -> str:
        """Say where the whole interval must lie for the claim to hold.

        Examples
        --------
        >>> estimate = Estimate(0.0, -0.1, 0.1, 3, 9)
        >>> Claim("a", "", "", Rule.NOT_BELOW, 0.01, estimate, "").needed
        'not below -0.01'
        """
        if self.rule is Rule.NOT_BELOW:
            return f"{self.rule} -{self.margin:g}"
        if self.rule is Rule.NOT_ABOVE:
            return f"{self.rule} +{self.margin:g}"
        return str(self.rule)


def judge(estimate: Estimate, rule: Rule, margin: float) -> Verdict:
    """Judge a claim by the whole interval: all of it on one side, or undecided.

    Parameters
    ----------
    estimate : Estimate
        One without an interval is undecided.
    rule : Rule
    margin : float >= 0

    Returns
    -------
    Verdict

    Examples
    --------
    >>> str(judge(Estimate(0.02, 0.01, 0.03, 3, 9), Rule.ABOVE, 0.01))
    'holds'
    >>> str(judge(Estimate(0.0, -0.005, 0.005, 3, 9), Rule.DIFFERS, 0.01))
    'does not hold'
    >>> str(judge(Estimate(0.0, -0.02, 0.02, 3, 9), Rule.NOT_BELOW, 0.01))
    'undecided'
    """
    # Differences of equal numbers may be off by rounding errors.
    low, high = estimate.low - _ROUNDING, estimate.high + _ROUNDING
    if rule is Rule.DIFFERS:
        holds, fails = low > 0 or high < 0, -margin < low and high < margin
    elif rule is Rule.NOT_ABOVE:
        holds, fails = high < margin, low > margin
    else:
        bound = -margin if rule is Rule.NOT_BELOW else 0.0
        holds, fails = low > bound, high < bound
    if holds:
        return Verdict.HOLDS
    return Verdict.DOES_NOT_HOLD if fails else Verdict.UNDECIDED


_ROUNDING = 1e-9
