"""Claims: paired differences, their intervals over seeds, and verdicts."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from benchmarks.paper.claims import (
    Claim,
    Estimate,
    Rule,
    Verdict,
    average,
    cells_of,
    change,
    halves,
    judge,
    over_seeds,
    paired,
    recovery_of,
)

OBJECTIVES = [("logistic", "linear"), ("mlp", "siamese")]


def test_the_interval_is_that_of_a_t_test():
    """As scipy computes it."""
    values = np.array([0.01, 0.03, 0.02, 0.05])
    estimate = over_seeds(values, 4)
    expected = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected))


def test_one_seed_has_no_interval():
    """And no seed no mean."""
    one, none = over_seeds([0.5], 1), over_seeds([], 0)
    assert np.isnan([one.low, one.high, none.mean]).all()
    assert (str(one), str(none)) == ("+0.5000 (one seed)", "no cells")


def test_zero_has_no_minus_sign():
    """A rounded -0.00001 is 0."""
    assert str(over_seeds([-0.00001], 1)) == "+0.0000 (one seed)"


def test_differences_are_between_cells_that_differ_in_one_factor(made_up):
    """What seeds have in common cancels."""
    frame = made_up(lambda row: 0.05 * (row["head"] == "mlp"), parts=("a",))
    differences = paired(frame, "head", OBJECTIVES, "order_consistency")
    assert len(differences) == 2 * 3 * 2 * 3
    by_pair = differences.groupby("pair")["difference"].mean()
    np.testing.assert_allclose(by_pair, [0.0, 0.05], atol=0.002)
    assert average(differences).mean == pytest.approx(0.025, abs=0.001)


def test_a_cell_without_a_result_takes_its_partner_along(made_up):
    """The others are compared all the same."""
    frame = made_up(parts=("a",))
    failed = (frame["head"] == "mlp") & (frame["seed"] == 1) & (frame["noise"] == 0.1)
    frame.loc[failed, "order_consistency"] = np.nan
    differences = paired(frame, "head", OBJECTIVES, "order_consistency")
    assert len(differences) == 2 * 3 * 2 * 3 - 2
    assert average(differences).n_cells == len(differences)


def test_a_level_that_is_not_there_gives_no_differences(made_up):
    """An estimate of nothing is no error."""
    differences = paired(
        made_up(parts=("a",)), "head", [("bt", "linear")], "order_consistency"
    )
    assert (len(differences), average(differences).n_seeds) == (0, 0)


def test_a_change_is_the_difference_of_differences(made_up):
    """Of a gap that grows with noise, by as much."""
    frame = made_up(lambda row: row["noise"] * (row["head"] == "mlp"), parts=("a",))
    differences = paired(frame, "head", OBJECTIVES[1:], "order_consistency")
    low, high = halves(differences["noise"])
    estimate = change(differences, "noise", high, low)
    assert (low, high) == ([0.1], [0.4])
    assert estimate.mean == pytest.approx(0.3, abs=0.002)
    assert estimate.low == pytest.approx(0.3, abs=0.005)


def test_cells_that_are_not_alone_are_refused(made_up):
    """Two rows of one cell would be counted twice."""
    frame = made_up(parts=("a",))
    twice = frame.iloc[[0, *range(len(frame))]]
    with pytest.raises(ValueError, match="unique"):
        paired(twice, "head", [("linear", "mlp")], "order_consistency")


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


def test_where_all_cells_failed_the_largest_choice_is_named():
    """Contrasts of it are empty, and no error."""
    failed = pd.DataFrame({"best_of_4_recovery": [float("nan")]})
    assert recovery_of(failed) == "best_of_4_recovery"


def test_cells_are_counted_with_their_levels(made_up):
    """Each factor that they vary in."""
    words = cells_of(made_up(parts=("b",)))
    assert words == (
        "108 paired cells: noise 10%, 20%, 40%; budgets 100, 400; heads linear, "
        "logistic; 3 seeds"
    )
