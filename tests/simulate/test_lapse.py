"""A lapse is a toss of a coin."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    AnnotatorPanel,
    BiasedAnnotator,
    BradleyTerryAnnotator,
    LapseAnnotator,
    PerfectAnnotator,
    TieAnnotator,
)

DELTA = np.array([-2.0, 0.0, 1.0])


def test_lapses_pull_probabilities_towards_one_half():
    """p (1 - eps) + eps / 2."""
    base = BradleyTerryAnnotator(2.0)
    expected = 0.7 * base.probabilities(DELTA) + 0.15
    np.testing.assert_allclose(LapseAnnotator(base, 0.3).probabilities(DELTA), expected)


def test_a_lapse_is_never_a_tie():
    """Ties get rarer as lapses get more frequent."""
    base = TieAnnotator(1.0, 1.0)
    ties = [LapseAnnotator(base, rate).outcomes(DELTA, None)[1] for rate in (0, 0.4)]
    np.testing.assert_allclose(ties[1], 0.6 * ties[0])


def test_an_annotator_who_always_lapses_knows_nothing():
    """One half everywhere."""
    annotator = LapseAnnotator(PerfectAnnotator(), 1.0)
    np.testing.assert_array_equal(annotator.probabilities(DELTA), [0.5] * 3)


def test_the_scale_is_that_of_the_base():
    """So that there is only one."""
    base = BradleyTerryAnnotator(scale="within_prompt_std")
    assert LapseAnnotator(base, 0.1).scale == "within_prompt_std"


def test_the_base_is_bound_to_the_pool(pool):
    """A bias below a lapse is checked too."""
    biased = BiasedAnnotator(PerfectAnnotator(), [1.0, 2.0], 0.5)
    with pytest.raises(InvalidInputError, match=r"a covariate of shape \(600,\)"):
        LapseAnnotator(biased, 0.1).for_pool(pool)


def test_a_panel_does_not_lapse_as_one():
    """Its members do."""
    panel = AnnotatorPanel([PerfectAnnotator()])
    with pytest.raises(InvalidInputError, match="wrap the members of a panel"):
        LapseAnnotator(panel, 0.1)


def test_a_rate_beyond_one_is_an_error():
    """It is a share."""
    with pytest.raises(InvalidInputError, match=r"rate of lapses in \[0, 1\]"):
        LapseAnnotator(PerfectAnnotator(), 10)
