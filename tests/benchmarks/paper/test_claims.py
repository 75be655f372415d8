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
    holm,
    judge,
    over_seeds,
    p_values,
    paired,
    recovery_of,
)
from benchmarks.paper.pools import TEST_SHARE, make_splits
from embrm import CandidatePool

OBJECTIVES = [("logistic", "linear"), ("mlp", "siamese")]


def test_the_interval_is_that_of_a_t_test_widened_for_shared_prompts():
    """As scipy computes it, times what Nadeau and Bengio's correction makes of it."""
    values = np.array([0.01, 0.03, 0.02, 0.05])
    estimate = over_seeds(values, 4)
    plain = ttest_1samp(values, 0.0).confidence_interval(0.95)
    half = (plain.high - plain.low) / 2 * np.sqrt(1 + 4 * TEST_SHARE / (1 - TEST_SHARE))
    expected = (values.mean() - half, values.mean() + half)
    assert (estimate.low, estimate.high) == pytest.approx(expected)


def test_intervals_cover_though_seeds_share_prompts():
    """At least 95 in 100, whether test or training prompts make the noise."""
    rng = np.random.default_rng(0)
    pool = CandidatePool(np.eye(400), np.arange(400) // 4, gold=np.arange(400.0))
    held_out = [
        np.isin(pool.prompts, split.test.prompts)
        for split in make_splits(pool, range(10))
    ]
    tests = np.array([is_test / is_test.sum() for is_test in held_out])
    trains = np.array([~is_test / (~is_test).sum() for is_test in held_out])
    for share in (0.0, 0.3, 0.6):
        covered = []
        for _ in range(400):
            on_test, on_train = rng.normal(size=(2, len(pool.prompts)))
            own = rng.normal(size=10) / np.sqrt(len(pool.prompts))
            values = tests @ on_test + share * (trains @ on_train) + own
            estimate = over_seeds(values, 10)
            covered.append(estimate.low < 0 < estimate.high)
        assert np.mean(covered) >= 0.95, share


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


def test_p_values_are_below_a_twentieth_where_intervals_decide():
    """A bound at an end of the interval is p = 0.05."""
    made = estimate(0.01, 0.03)
    assert p_values(made, Rule.NOT_ABOVE, 0.03)[0] == pytest.approx(0.05)
    assert p_values(made, Rule.NOT_ABOVE, 0.01)[1] == pytest.approx(0.05)
    assert p_values(made, Rule.DIFFERS, 0.03)[1] == pytest.approx(0.05)


def claim_of(low, high, **options):
    return Claim("a", "", "", Rule.ABOVE, 0.01, estimate(low, high), "", **options)


def test_holm_multiplies_p_values_and_undoes_weak_verdicts():
    """By hand, for three claims."""
    claims = [claim_of(0.001, 0.02), claim_of(0.0199, 0.0201), claim_of(0.0, 0.02)]
    alone = [claim.p for claim in claims]
    corrected = holm(claims)
    largest = max(2 * alone[0], alone[2])
    expected = [2 * alone[0], 3 * alone[1], largest]
    assert [claim.p for claim in corrected] == pytest.approx(expected)
    assert [str(claim.verdict) for claim in claims][:2] == ["holds", "holds"]
    assert [str(claim.verdict) for claim in corrected] == [
        "undecided",
        "holds",
        "undecided",
    ]


def test_claims_of_nothing_are_rarely_decided_after_holm():
    """In 18 studies of noise, some verdict falls 1 time in 20 at most."""
    rng = np.random.default_rng(0)
    decided = 0
    for _ in range(200):
        claims = [
            Claim("a", "", "", Rule.ABOVE, 0.0, over_seeds(values, 10), "")
            for values in rng.normal(size=(18, 10))
        ]
        assert all(
            p.p >= alone.p for p, alone in zip(holm(claims), claims, strict=True)
        )
        decided += any(claim.verdict is not Verdict.UNDECIDED for claim in holm(claims))
    assert decided <= 10


def test_effects_that_cancel_are_opposite_by_kind():
    """A mean of about 0 is not called undecided then, nor a small one decided."""
    up, down, none = estimate(0.02, 0.021), estimate(-0.021, -0.02), estimate(-1, 1)
    assert claim_of(-0.01, 0.01, kinds=(("x", up), ("y", down))).verdict == (
        "opposite by kind"
    )
    assert claim_of(0.01, 0.02, kinds=(("x", up), ("y", none))).verdict == "holds"


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
