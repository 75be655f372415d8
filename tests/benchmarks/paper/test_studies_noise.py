"""Study a: verdicts on tables of which the answer is known."""

import pytest

from benchmarks.paper.studies import noise_claims

CLASSIFIERS = ("logistic", "mlp")
AS_GOOD, PICKS, NOISE, FEW, MORE, DEPENDS, TREES = range(7)


def verdicts(frame):
    return [str(claim.verdict) for claim in noise_claims(frame)]


def test_equal_heads_are_as_good_and_no_more(made_up):
    """Nothing but the first two claims and the trees holds of heads all alike."""
    found = verdicts(made_up())
    assert found[AS_GOOD] == found[PICKS] == found[TREES] == "holds"
    assert found[NOISE] != "holds"
    assert found[DEPENDS] == "does not hold"


@pytest.mark.parametrize(("sign", "verdict"), [(1, "holds"), (-1, "does not hold")])
def test_classifiers_that_are_better_or_worse(made_up, sign, verdict):
    """By five hundredths."""
    frame = made_up(lambda row: sign * 0.05 * (row["head"] in CLASSIFIERS))
    found = verdicts(frame)
    assert found[AS_GOOD] == found[PICKS] == verdict


@pytest.mark.parametrize(("sign", "verdict"), [(1, "holds"), (-1, "does not hold")])
def test_bradley_terry_heads_that_suffer_more_or_less_from_noise(
    made_up, sign, verdict
):
    """The gap grows with the noise, or shrinks."""
    frame = made_up(lambda row: sign * row["noise"] * (row["head"] in CLASSIFIERS))
    assert verdicts(frame)[NOISE] == verdict


def test_bradley_terry_heads_that_need_more_labels(made_up):
    """The gap is there at the smaller budget alone."""
    frame = made_up(
        lambda row: 0.05 * (row["budget"] == 100 and row["head"] in CLASSIFIERS)
    )
    assert verdicts(frame)[FEW] == "holds"


def test_labels_that_help_where_they_are_right(made_up):
    """More labels help, the more so the fewer are wrong."""
    frame = made_up(lambda row: (row["budget"] == 400) * (0.1 - row["noise"] / 5))
    found = verdicts(frame)
    assert found[MORE] == found[DEPENDS] == "holds"


def test_trees_that_are_worse(made_up):
    """By five hundredths."""
    frame = made_up(lambda row: -0.05 * (row["head"] == "lightgbm"))
    assert verdicts(frame)[TREES] == "does not hold"


def test_claims_name_their_cells_and_parts(made_up):
    """Two pairs of heads, 36 pairs of cells."""
    claim = noise_claims(made_up())[AS_GOOD]
    assert claim.cells.startswith("36 paired cells: noise 10%, 20%, 40%;")
    assert [name for name, _ in claim.kinds] == [
        "logistic less linear",
        "mlp less siamese",
    ]
