"""Distance from the training data."""

import numpy as np
import pytest

from embrm.evaluate.bias import TrainingHull
from embrm.exceptions import InvalidInputError


@pytest.fixture(scope="module")
def hull():
    """Of items that vary much in one direction and little in the other."""
    rng = np.random.default_rng(0)
    return TrainingHull.fit(rng.normal(size=(2000, 2)) * [10.0, 1.0])


def test_distance_is_in_the_training_metric(hull):
    """Ten units are far in the direction of little variance only."""
    along, across = hull.distance([[10.0, 0.0], [0.0, 10.0]])
    assert along < 2
    assert across > 5


def test_about_the_share_asked_for_is_outside(hull):
    """Of new items like the training items."""
    rng = np.random.default_rng(1)
    outside = hull.outside(rng.normal(size=(5000, 2)) * [10.0, 1.0])
    assert outside.mean() == pytest.approx(0.01, abs=0.015)


def test_picks_that_leave_the_hull_sound_the_alarm(hull):
    """A reward that likes what is far; one that does not keeps silent."""
    rng = np.random.default_rng(2)
    items = rng.normal(size=(1000, 2)) * [10.0, 1.5]
    prompts = np.repeat(np.arange(100), 10)
    alarm = hull.best_of_n(items, np.abs(items[:, 1]), prompts)
    assert alarm.sounds
    assert alarm.outside.estimate > alarm.outside_at_random
    assert "leave the training hull" in str(alarm)
    assert not hull.best_of_n(items, rng.normal(size=1000), prompts).sounds


def test_vectors_of_another_size_are_refused(hull):
    """They come from another encoder; and few items make no hull."""
    with pytest.raises(InvalidInputError, match=r"\(n_items, 2\)"):
        hull.distance(np.ones((3, 5)))
    with pytest.raises(InvalidInputError, match="at least ten items"):
        TrainingHull.fit(np.ones((3, 2)))
