"""annotator_level: looked up in both pools, calibrated once for each design."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    BiasedAnnotator,
    BradleyTerryAnnotator,
    CrossPrompt,
    LapseAnnotator,
    PerfectAnnotator,
    SamePrompt,
    simulate,
)
from embrm.simulate.experiment import annotator_level as module
from embrm.simulate.experiment.annotator_level import AnnotatorLevel
from embrm.simulate.experiment.factors import AtErrorRate


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
