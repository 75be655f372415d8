"""Objective or regularisation: verdicts on tables of which the answer is known."""

import pytest

from benchmarks.paper.regularisation import on_the_ladder, regularisation


def penalised(row):
    """0.05 for the penalty in the middle, 0 for the others."""
    return 0.05 * row["head"].endswith("x 1")


def classified(row):
    return 0.05 * row["head"].startswith("logistic")


def test_a_penalty_that_matters_is_seen(made_up):
    """And the conclusion says so; the best lies between the ends of the ladder."""
    found = regularisation(made_up(penalised))
    assert found.claims[0].verdict == "holds"
    assert found.claims[0].estimate.mean == pytest.approx(0.05, abs=0.002)
    assert "the penalty counts for more" in found.conclusion
    assert found.bracketed == (
        "The best of 6 penalties lies between the weakest and the strongest in 12 of "
        "12 settings."
    )


def test_a_best_penalty_at_an_end_is_said(made_up):
    """With what the last step gains: whether a longer ladder would find better."""
    frame = made_up(lambda row: 0.03 * row["head"].endswith("x 32,000"))
    words = regularisation(frame).bracketed
    assert " in 0 of 12 settings; " in words
    gain = float(words.split("at most ")[1].split()[0])
    assert gain == pytest.approx(0.03, abs=0.002)


def test_the_best_penalty_is_chosen_on_other_seeds(made_up):
    """A penalty that is lucky in one seed alone is not taken there."""
    frame = made_up(
        lambda row: (
            penalised(row) + 0.2 * (row["seed"] == 0 and row["head"].endswith("x 32"))
        )
    )
    taken = on_the_ladder(frame[frame["part"] == "a-matched"])
    best = taken[(taken["head"] == "linear, best") & (taken["seed"] == 0)]
    assert (best["order_consistency"] < 0.8).all()
    assert set(taken["head"]) == {
        f"{kind}, {side}"
        for kind in ("linear", "logistic")
        for side in ("weaker", "best", "stronger")
    }


@pytest.mark.parametrize("sign", [1, -1])
def test_an_objective_that_matters_is_seen(made_up, sign):
    """Whichever of the two is the better one."""
    found = regularisation(made_up(lambda row: sign * classified(row)))
    assert found.claims[0].verdict == "does not hold"
    assert "the objective counts for more" in found.conclusion


def test_equal_effects_cannot_be_told_apart(made_up):
    """Then it says that."""
    found = regularisation(made_up(lambda row: penalised(row) + classified(row)))
    assert found.claims[0].verdict == "undecided"
    assert "cannot tell" in found.conclusion


def test_a_network_that_is_held_back_is_compared_with_a_free_one(made_up):
    """Across the two grids, at the noise that both have."""
    frame = made_up(lambda row: row["noise"] * (row["head"] == "siamese"))
    found = regularisation(frame)
    assert found.claims[1].verdict == "holds"
    by_name = {contrast.name: contrast for contrast in found.contrasts}
    contrast = by_name["capacity: siamese, as it comes less free"]
    assert contrast.growth.mean == pytest.approx(0.3, abs=0.002)
    assert contrast.difference.n_cells == 3 * 2 * 3
