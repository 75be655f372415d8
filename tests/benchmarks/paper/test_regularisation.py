"""Objective or regularisation: verdicts on tables of which the answer is known."""

import pytest

from benchmarks.paper.regularisation import regularisation


def penalised(row):
    """0 for a weak penalty, 0.05 for a strong one."""
    return 0.05 * ("strong" in row["head"])


def classified(row):
    return 0.05 * (row["head"].startswith("logistic"))


def test_a_penalty_that_matters_is_seen(made_up):
    """And the conclusion says so."""
    found = regularisation(made_up(penalised))
    assert found.claims[0].verdict == "holds"
    assert found.claims[0].estimate.mean == pytest.approx(0.05, abs=0.002)
    assert "held back, more than its objective" in found.conclusion


@pytest.mark.parametrize("sign", [1, -1])
def test_an_objective_that_matters_is_seen(made_up, sign):
    """Whichever of the two is the better one."""
    found = regularisation(made_up(lambda row: sign * classified(row)))
    assert found.claims[0].verdict == "does not hold"
    assert "the objective of a linear head explains more" in found.conclusion


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
