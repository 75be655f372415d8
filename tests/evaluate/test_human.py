"""Agreement of people with each other."""

import numpy as np
import pytest

from embrm import RewardModel
from embrm.evaluate import human_ceiling


def test_a_person_is_judged_by_the_majority_of_the_others():
    """Three people on one pair, two on another, one alone on a third."""
    ids = [[0, 1], [0, 1], [1, 0], [2, 3], [2, 3], [4, 5]]
    y = [1, 1, 1, 1, 1, 0]
    ceiling = human_ceiling(ids, y)
    # First pair: two for 0 (the others split: half each), one for 1 (wrong).
    assert ceiling.leave_one_out.estimate == pytest.approx((0.5 + 0.5 + 0 + 1 + 1) / 5)
    # Twos that are the same: one of three, and one of one.
    assert ceiling.pairwise == pytest.approx((1 + 1) / (3 + 1))
    assert (ceiling.n_pairs, ceiling.n_labels) == (2, 5)


def test_a_head_is_judged_as_people_are():
    """It orders as the others' majority does."""
    ids = [[0, 1]] * 3 + [[2, 3]] * 3
    ceiling = human_ceiling(ids, [1, 1, 0, 0, 0, 0], delta=[2.0] * 6)
    assert ceiling.head.estimate == pytest.approx((0.5 + 0.5 + 1 + 0 + 0 + 0) / 6)
    assert "judged alike" in str(ceiling)


def test_pairs_with_one_label_say_nothing_of_people():
    """There is no ceiling."""
    assert human_ceiling([[0, 1], [2, 3]], [1, 0]) is None
    assert human_ceiling([[0, 1], [0, 1]], [0.5, 0.5]) is None


def test_noisy_people_have_the_agreement_of_their_noise():
    """Each is right with probability .8: two agree in .8^2 + .2^2."""
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(4000).reshape(2000, 2), 2, axis=0)
    y = (rng.random(4000) < 0.8).astype(float)
    ceiling = human_ceiling(ids, y, n_resamples=200)
    assert ceiling.pairwise == pytest.approx(0.68, abs=0.03)
    assert ceiling.leave_one_out.low < 0.68 < ceiling.leave_one_out.high


def test_an_evaluation_shows_it_where_annotators_are_named():
    """Beside the accuracy, in print and in JSON."""
    rows = [
        {
            "prompt": f"q{n}",
            "chosen": f"good {n}",
            "rejected": f"bad {n}",
            "annotator": a,
        }
        for n in range(8)
        for a in ("ann", "bob")
    ]
    model = RewardModel(encoder="hashing:32").fit(rows)
    with pytest.warns(UserWarning, match="optimistic"):
        evaluation = model.evaluate(rows)
    assert evaluation.human.leave_one_out.estimate == 1.0
    assert "People agree" in str(evaluation)
    assert evaluation.to_json()["human"]["n_pairs"] == 8
