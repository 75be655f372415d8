"""factors: levels by name; annotators looked up in both pools."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.experiment import AtErrorRate
from embrm.experiment import factors as module
from embrm.experiment.factors import (
    AnnotatorLevel,
    annotators_of,
    counts_of,
    designs_of,
    heads_of,
    name_of,
)
from embrm.heads import LinearBradleyTerry
from embrm.simulate import (
    BiasedAnnotator,
    BradleyTerryAnnotator,
    CrossPrompt,
    FlipAnnotator,
    LapseAnnotator,
    PerfectAnnotator,
    RankWindow,
    SamePrompt,
    simulate,
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


class LearnsFromRatings(LinearBradleyTerry):
    """A head that annotators of pairs cannot feed."""

    learns_from = "ratings"


def test_a_head_that_pairs_cannot_feed_is_refused():
    """Before anything is simulated."""
    with pytest.raises(InvalidInputError, match="got LearnsFromRatings, which learns"):
        heads_of([LearnsFromRatings()])


def with_texts(pool):
    texts = [("prompt", "x" * (1 + n % 7)) for n in range(len(pool))]
    return CandidatePool(pool.items, pool.prompt_ids, gold=pool.gold, texts=texts)


def test_an_annotator_without_target_is_as_it_is(train, test):
    """In both pools."""
    annotator = BradleyTerryAnnotator(3.0)
    level = AnnotatorLevel(annotator, train, test)
    assert level.for_design("same", SamePrompt()) == (annotator, annotator)
    assert np.isnan(level.target)


def test_a_target_is_met_on_each_design(train, test):
    """Pairs across prompts are easier, and need another noise."""
    level = AnnotatorLevel(AtErrorRate(BradleyTerryAnnotator(), 0.2), train, test)
    found = {}
    for design in (SamePrompt(replacement=True), CrossPrompt(replacement=True)):
        annotator, in_test = level.for_design(repr(design), design)
        drawn = simulate(train, design, annotator, 50_000, 0)
        assert drawn.expected_error_rate == pytest.approx(0.2, abs=0.005)
        assert in_test == annotator
        found[repr(design)] = annotator.beta
    assert len(set(found.values())) == 2


def test_calibration_is_made_once(train, test, monkeypatch):
    """It takes longer than many a fit."""
    calls = []
    original = module.calibrate

    def counted(*arguments, **options):
        calls.append(options)
        return original(*arguments, **options)

    monkeypatch.setattr(module, "calibrate", counted)
    level = AnnotatorLevel(AtErrorRate(BradleyTerryAnnotator(), 0.2), train, test)
    assert level.for_design("a", SamePrompt()) == level.for_design("a", SamePrompt())
    assert calls == [{"random_state": 0}]


def test_lengths_are_looked_up_in_each_pool(train, test):
    """The annotator that likes long responses finds those of both pools."""
    annotator = BiasedAnnotator(PerfectAnnotator(), "length", strength=0.5)
    level = AnnotatorLevel(annotator, with_texts(train), with_texts(test))
    in_train, in_test = level.for_design("same", SamePrompt())
    assert (len(in_train.covariate), len(in_test.covariate)) == (len(train), len(test))
    assert level.content["train"] != level.content["test"]


def test_an_annotator_may_not_know_the_test_pool(train, test):
    """A covariate of the training items says nothing about others."""
    annotator = BiasedAnnotator(PerfectAnnotator(), np.arange(len(train)), 0.5)
    level = AnnotatorLevel(annotator, train, test)
    assert level.for_design("same", SamePrompt())[1] is None
    assert level.content["test"] is None


def test_an_annotator_must_fit_the_training_pool(train, test):
    """Told at once, not by a table of errors."""
    annotator = BiasedAnnotator(PerfectAnnotator(), np.arange(3), 0.5)
    with pytest.raises(InvalidInputError, match="a covariate of shape"):
        AnnotatorLevel(annotator, train, test)


def test_a_rate_that_cannot_be_reached_is_an_error_each_time(train, test):
    """Who always lapses errs on half of the pairs."""
    level = AnnotatorLevel(AtErrorRate(PerfectAnnotator(), 0.2), train, test)
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="a noise parameter"):
            level.for_design("same", SamePrompt())


def test_the_target_is_part_of_the_content(train, test):
    """Another rate is another cell."""
    levels = [
        AnnotatorLevel(level, train, test).content
        for level in (
            LapseAnnotator(PerfectAnnotator(), 0.1),
            AtErrorRate(LapseAnnotator(PerfectAnnotator(), 0.1), 0.1),
            AtErrorRate(LapseAnnotator(PerfectAnnotator(), 0.1), 0.2),
        )
    ]
    assert levels[0] != levels[1] != levels[2]
