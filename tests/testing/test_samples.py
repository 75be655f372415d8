"""Samples for checks are what they say they are."""

import numpy as np

from embrm.heads import LinearBradleyTerry, SiameseBradleyTerry
from embrm.testing.samples import fresh, make_sample, tolerance_of


def test_items_are_exact_in_float16():
    """So that precision is all that differs between dtypes."""
    items = make_sample(n_prompts=50).items
    np.testing.assert_array_equal(items, items.astype(np.float16))


def test_labels_follow_the_planted_reward_up_to_errors():
    """Without errors all do; with errors, about as many as asked do not."""
    for rate in (0.0, 0.2):
        sample = make_sample(n_prompts=100, error_rate=rate)
        delta = sample.gold[sample.pairs.first] - sample.gold[sample.pairs.second]
        wrong = np.mean((delta > 0) != (sample.y == 1))
        assert abs(wrong - rate) < 0.06


def test_pairs_are_of_one_prompt():
    """Each prompt has all its pairs."""
    pairs = make_sample(n_prompts=4, n_responses=3).pairs
    assert len(pairs) == 12
    assert pairs.groups.shape == (12,)


def test_fresh_heads_have_a_seed_where_they_take_one():
    """And are unfitted clones."""
    head = SiameseBradleyTerry()
    assert fresh(head).random_state == 0
    assert head.random_state is None
    assert fresh(LinearBradleyTerry(alpha=2.0)).alpha == 2.0


def test_a_head_may_set_its_tolerance():
    """By a class attribute."""

    class Rough(LinearBradleyTerry):
        check_tolerance = 0.1

    assert tolerance_of(LinearBradleyTerry()) == 1e-6
    assert tolerance_of(Rough()) == 0.1
