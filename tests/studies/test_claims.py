"""Verdicts: the whole interval on one side, or undecided."""

import pytest

from embrm.studies.claims import Claim, Rule, Verdict, judge
from embrm.studies.contrasts import Estimate, over_seeds


def estimate(low, high):
    return Estimate((low + high) / 2, low, high, 3, 9)


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        (Rule.ABOVE, 0.001, 0.02, "holds"),
        (Rule.ABOVE, -0.02, -0.001, "does not hold"),
        (Rule.ABOVE, -0.001, 0.02, "undecided"),
        (Rule.ABOVE, 1e-17, 1e-16, "undecided"),
        (Rule.NOT_BELOW, -0.009, 0.001, "holds"),
        (Rule.NOT_BELOW, -0.03, -0.011, "does not hold"),
        (Rule.NOT_BELOW, -0.03, 0.03, "undecided"),
        (Rule.NOT_ABOVE, -0.5, 0.009, "holds"),
        (Rule.NOT_ABOVE, 0.011, 0.03, "does not hold"),
        (Rule.NOT_ABOVE, 0.0, 0.02, "undecided"),
        (Rule.DIFFERS, -0.03, -0.001, "holds"),
        (Rule.DIFFERS, 0.001, 0.03, "holds"),
        (Rule.DIFFERS, -0.009, 0.009, "does not hold"),
        (Rule.DIFFERS, -0.02, 0.009, "undecided"),
    ],
)
def test_a_verdict_goes_by_the_interval(rule, low, high, verdict):
    """With a margin of 0.01 where the rule has one."""
    assert judge(estimate(low, high), rule, 0.01) == verdict


@pytest.mark.parametrize("rule", list(Rule))
def test_one_seed_decides_nothing(rule):
    """Without an interval there is no verdict."""
    assert judge(over_seeds([0.5], 1), rule, 0.01) is Verdict.UNDECIDED


def test_a_claim_says_when_it_would_hold():
    """In the words of the table."""
    made = Claim("a", "", "", Rule.NOT_ABOVE, 0.02, estimate(0.03, 0.04), "")
    assert (made.verdict, made.needed) == ("does not hold", "not above +0.02")
