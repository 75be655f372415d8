"""Studies b and c: verdicts on tables of which the answer is known."""

import pytest

from benchmarks.paper.studies import diversity_claims, pairing_claims

BETTER, PICKS, DISTANCE, ERRORS, EQUAL, APART = range(6)
SIMILAR, MORE, DIVERSE = range(3)


def verdicts(claims):
    return [str(claim.verdict) for claim in claims]


@pytest.mark.parametrize(("sign", "verdict"), [(1, "holds"), (-1, "does not hold")])
def test_cross_prompt_pairs_that_are_better_or_worse(made_up, sign, verdict):
    """In both parts."""
    frame = made_up(lambda row: sign * 0.05 * (row["design"] == "cross-prompt"))
    found = verdicts(pairing_claims(frame))
    assert found[BETTER] == found[PICKS] == found[EQUAL] == verdict


def test_better_labels_alone_are_told_from_better_pairs(made_up):
    """A gain of one annotator that is gone at equal error rates."""
    frame = made_up(
        lambda row: 0.05 * (row["part"] == "b" and row["design"] == "cross-prompt")
    )
    found = verdicts(pairing_claims(frame))
    assert found[BETTER] == "holds"
    assert found[EQUAL] != "holds"


@pytest.mark.parametrize(
    ("loss", "verdict"), [(0.05, "holds"), (-0.05, "does not hold")]
)
def test_a_head_that_takes_prompts_for_alike_is_compared_alone(made_up, loss, verdict):
    """It has no part in what is said of cross-prompt pairs."""
    frame = made_up(lambda row: -loss * (row["part"] == "b-alike"))
    claims = pairing_claims(frame)
    assert verdicts(claims)[APART] == verdict
    assert claims[APART].estimate.mean == pytest.approx(loss, abs=0.005)
    assert claims[APART].estimate.n_cells == 3 * 2 * 3
    plain = pairing_claims(made_up())
    assert claims[BETTER].estimate == plain[BETTER].estimate


def test_propositions_are_checked_on_the_pairs_drawn(made_up):
    """Once for each draw, whatever the number of heads."""
    claims = pairing_claims(made_up())
    assert verdicts(claims)[DISTANCE] == verdicts(claims)[ERRORS] == "holds"
    assert claims[DISTANCE].estimate.mean == pytest.approx(0.3)
    assert claims[DISTANCE].estimate.n_cells == 3 * 2 * 3


def test_a_gain_where_responses_are_similar(made_up):
    """All three claims of study c hold."""
    frame = made_up(
        lambda row: (
            0.05 * (row["diversity"] == "similar" and row["design"] == "cross-prompt")
        )
    )
    assert verdicts(diversity_claims(frame)) == ["holds"] * 3


def test_a_gain_where_responses_are_diverse(made_up):
    """None of them does."""
    frame = made_up(
        lambda row: (
            {"diverse": 0.05, "similar": -0.05}.get(row["diversity"], 0)
            * (row["design"] == "cross-prompt")
        )
    )
    found = verdicts(diversity_claims(frame))
    assert found == ["does not hold"] * 3
