"""factors: levels by name, or named by themselves."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.heads import LinearBradleyTerry
from embrm.simulate import (
    BiasedAnnotator,
    BradleyTerryAnnotator,
    FlipAnnotator,
    PerfectAnnotator,
    RankWindow,
    SamePrompt,
)
from embrm.simulate.experiment.factors import (
    AtErrorRate,
    annotators_of,
    counts_of,
    designs_of,
    heads_of,
    name_of,
)


def test_a_mapping_keeps_its_names():
    """The caller's names are what rows show."""
    assert list(designs_of({"same": SamePrompt()})) == ["same"]


def test_a_sequence_names_its_levels():
    """Class and changed parameters; twice the same level is numbered."""
    designs = designs_of([SamePrompt(), RankWindow(4, 5), SamePrompt()])
    assert list(designs) == [
        "SamePrompt",
        "RankWindow(low=4, high=5)",
        "SamePrompt (2)",
    ]


def test_a_single_level_is_a_factor():
    """Neither a word nor an annotator needs a list around it."""
    assert list(heads_of("linear")) == ["linear"]
    assert list(annotators_of(PerfectAnnotator())) == ["PerfectAnnotator"]


def test_names_of_annotators_with_targets_tell_them_apart():
    """The target is part of the name."""
    levels = [AtErrorRate(BradleyTerryAnnotator(), rate) for rate in (0.1, 0.125)]
    assert list(annotators_of(levels)) == [
        "BradleyTerryAnnotator at 10%",
        "BradleyTerryAnnotator at 12.5%",
    ]


def test_a_name_shows_an_array_by_its_shape():
    """Never the data."""
    annotator = BiasedAnnotator(FlipAnnotator(0.1), np.arange(9.0), strength=1.0)
    assert (
        name_of(annotator)
        == "BiasedAnnotator(base=FlipAnnotator(rate=0.1), covariate=a..."
    )


def test_a_word_is_made_into_a_head():
    """By the registry of heads."""
    assert isinstance(heads_of(["linear"])["linear"], LinearBradleyTerry)


@pytest.mark.parametrize(
    ("make", "factor", "match"),
    [
        (designs_of, [FlipAnnotator(0.1)], "expected a pairing design"),
        (annotators_of, [SamePrompt()], "expected an annotator"),
        (heads_of, [SamePrompt()], "expected a head, or its name; got SamePrompt"),
        (heads_of, [LinearBradleyTerry], "got the class LinearBradleyTerry"),
        (heads_of, ["liner"], "unknown head 'liner'"),
        (heads_of, [], "at least one of heads"),
        (designs_of, {}, "at least one of designs"),
    ],
)
def test_a_wrong_level_is_refused(make, factor, match):
    """With what the factor takes."""
    with pytest.raises(InvalidInputError, match=match):
        make(factor)


@pytest.mark.parametrize("values", [[], [1, 1]])
def test_counts_must_be_different_and_some(values):
    """No cell is asked for twice."""
    with pytest.raises(InvalidInputError, match="all different"):
        counts_of(values, "budgets", 1)


def test_counts_must_be_large_enough():
    """A budget of nothing is no budget."""
    with pytest.raises(InvalidInputError, match="an integer budgets >= 1"):
        counts_of([0], "budgets", 1)


def test_one_count_is_enough():
    """An integer is a factor with one level."""
    assert counts_of(np.int64(5), "budgets", 1) == (5,)


@pytest.mark.parametrize(
    ("annotator", "rate", "match"),
    [
        (PerfectAnnotator(), 0.6, r"error_rate in \[0, 0.5\]"),
        (SamePrompt(), 0.2, "expected an annotator"),
    ],
)
def test_a_target_is_checked_when_it_is_made(annotator, rate, match):
    """Neither a wrong rate nor a design is taken."""
    with pytest.raises(InvalidInputError, match=match):
        AtErrorRate(annotator, rate)
