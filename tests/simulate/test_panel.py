"""A panel shares the work, and sums up votes."""

import numpy as np
import pytest

from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    AnnotatorPanel,
    BiasedAnnotator,
    BradleyTerryAnnotator,
    FlipAnnotator,
    PerfectAnnotator,
    TieAnnotator,
)

GOOD, BAD = PerfectAnnotator(), FlipAnnotator(1.0)
DELTA = np.random.default_rng(0).normal(size=6000)


def test_each_label_has_the_id_of_its_annotator():
    """By which the good are told from the bad."""
    panel = AnnotatorPanel([GOOD, BAD], shares=[0.75, 0.25])
    found = panel.annotate(DELTA, random_state=0)
    assert found.annotator_ids.shape == (6000,)
    assert found.votes is None
    np.testing.assert_array_equal(found.y == (DELTA > 0), found.annotator_ids == 0)


@pytest.mark.parametrize("shares", [[3, 1, 0], [0.75, 0.25, 0.0]])
def test_the_work_is_shared_as_asked(shares):
    """Shares need not add up to one."""
    panel = AnnotatorPanel([GOOD, BAD, TieAnnotator()], shares)
    ids = panel.annotate(DELTA, random_state=0).annotator_ids
    done = np.bincount(ids, minlength=3) / len(DELTA)
    assert done == pytest.approx([0.75, 0.25, 0.0], abs=0.023)
    assert done[2] == 0


def test_by_default_all_do_as_much():
    """Equal shares."""
    panel = AnnotatorPanel([GOOD, BAD])
    np.testing.assert_allclose(panel.probabilities(DELTA), 0.5)


def test_the_majority_of_votes_is_the_label():
    """With each vote kept, and who gave it."""
    panel = AnnotatorPanel([GOOD, BAD], [2, 1], votes=3, aggregate="majority")
    found = panel.annotate(DELTA, random_state=0)
    assert found.votes.shape == found.annotator_ids.shape == (6000, 3)
    np.testing.assert_array_equal(found.y, found.votes.sum(axis=1) >= 2)
    assert np.mean(found.y == (DELTA > 0)) == pytest.approx(20 / 27, abs=0.023)


def test_as_many_votes_for_either_are_a_tie():
    """Label 0.5."""
    panel = AnnotatorPanel([GOOD, BAD], votes=2, aggregate="majority")
    found = panel.annotate(DELTA, random_state=0)
    assert np.mean(found.y == 0.5) == pytest.approx(0.5, abs=0.026)
    np.testing.assert_array_equal(found.y == 0.5, found.votes.sum(axis=1) == 1)


def test_a_soft_label_is_the_share_of_votes():
    """Ties counting one half."""
    panel = AnnotatorPanel([TieAnnotator()], votes=5, aggregate="soft")
    found = panel.annotate(DELTA, random_state=0)
    np.testing.assert_allclose(found.y, found.votes.mean(axis=1))
    assert set((found.y * 10).round(6)) == set(range(11))


def test_votes_reduce_noise():
    """The majority of five errs less often than one."""
    panel = AnnotatorPanel([BradleyTerryAnnotator()], votes=5, aggregate="majority")
    clear = np.abs(DELTA) > 0.1
    right = np.where(DELTA > 0, panel.probabilities(DELTA), panel.probabilities(-DELTA))
    alone = BradleyTerryAnnotator().probabilities(np.abs(DELTA))
    assert (right[clear] > alone[clear]).all()


def test_members_see_their_own_pairs():
    """A biased member looks up the covariate of the pairs it is given."""
    covariate = np.array([0.0, 1.0])
    member = BiasedAnnotator(PerfectAnnotator(), covariate, strength=50.0)
    panel = AnnotatorPanel([member, PerfectAnnotator()])
    ids = np.tile([[0, 1], [1, 0]], (1000, 1))
    found = panel.annotate(np.full(2000, 0.1), ids, random_state=0)
    misled = found.annotator_ids == 0
    np.testing.assert_array_equal(found.y[misled], ids[misled, 0])
    assert (found.y[~misled] == 1).all()


def test_a_panel_is_bound_to_a_pool(pool):
    """A member with the covariate of another pool is an error."""
    member = BiasedAnnotator(PerfectAnnotator(), [0.0, 1.0], strength=1.0)
    with pytest.raises(InvalidInputError, match=r"a covariate of shape \(600,\)"):
        AnnotatorPanel([GOOD, member]).for_pool(pool)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"annotators": []}, "one annotator or more; got none"),
        ({"annotators": GOOD}, "one annotator or more; got PerfectAnnotator"),
        ({"annotators": [GOOD, 0.3]}, "an annotator for AnnotatorPanel; got float"),
        ({"annotators": [AnnotatorPanel([GOOD])]}, "got AnnotatorPanel"),
        ({"annotators": [GOOD, PerfectAnnotator(2.0)]}, "members of the same scale"),
        ({"annotators": 3}, "one annotator or more; got int"),
        ({"shares": "x"}, "numeric shares; got dtype"),
        ({"shares": [1.0]}, "2 shares >= 0, one per annotator.*got 1 shares"),
        ({"shares": [1.0, -1.0]}, "not all zero; got 2 shares from -1 to 1"),
        ({"shares": [0.0, 0.0]}, "not all zero"),
        ({"shares": [[1.0, 1.0]]}, r"got shape \(1, 2\)"),
        ({"votes": 0}, "an integer votes >= 1"),
        ({"votes": 3}, "one vote where aggregate is 'single'; got votes=3"),
        ({"aggregate": "mean"}, "aggregate one of single, majority, soft"),
    ],
)
def test_parameters_that_make_no_sense_are_an_error(parameters, message):
    """When the panel is made."""
    with pytest.raises(InvalidInputError, match=message):
        AnnotatorPanel(**{"annotators": [GOOD, BAD], **parameters})
