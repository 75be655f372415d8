"""exam_pairs: every same-prompt pair, once, however it is cut into blocks."""

import numpy as np
from scipy.stats import rankdata

from embrm.simulate.experiment import exam_pairs
from embrm.simulate.experiment.exam_pairs import ExamPairs


def all_ids(pairs):
    ids = np.concatenate([block.ids for block in pairs.blocks()])
    return sorted(map(tuple, np.sort(ids).tolist()))


def test_all_pairs_of_a_ragged_pool_occur_once(test):
    """As many, and the same, as the pool lists."""
    expected = sorted(map(tuple, test.same_prompt_ids().tolist()))
    assert all_ids(ExamPairs(test)) == expected


def test_blocks_do_not_change_the_pairs(test, monkeypatch):
    """Nor does keeping them, or making them anew each time."""
    expected = all_ids(ExamPairs(test))
    monkeypatch.setattr(exam_pairs, "_BLOCK", 7)
    monkeypatch.setattr(exam_pairs, "_KEPT", 0)
    pairs = ExamPairs(test)
    assert all_ids(pairs) == expected
    assert all_ids(pairs) == expected


def test_gold_and_prompt_belong_to_the_pair(test):
    """The sign is that of first minus second."""
    (block,) = ExamPairs(test).blocks()
    first, second = block.ids.T
    np.testing.assert_array_equal(test.prompts[block.prompt], test.prompt_ids[first])
    np.testing.assert_array_equal(test.prompts[block.prompt], test.prompt_ids[second])
    np.testing.assert_array_equal(
        block.sign, np.sign(test.gold[first] - test.gold[second])
    )


def test_sums_of_signs_are_centred_ranks(test):
    """Twice the average rank, centred in each prompt, ties included."""
    pairs = ExamPairs(test)
    (block,) = pairs.blocks()
    ranks = pairs.rank(block, block.sign)
    for prompt in test.prompts:
        rows = test.rows(prompt)
        centred = rankdata(test.gold[rows]) - (len(rows) + 1) / 2
        np.testing.assert_allclose(ranks[rows], 2 * centred)


def test_sums_over_a_prompt_are_over_its_pairs(test):
    """Of ones they count the pairs."""
    pairs = ExamPairs(test)
    (block,) = pairs.blocks()
    counted = pairs.per_prompt(block, np.ones(len(block.ids)))
    np.testing.assert_array_equal(counted, test.sizes * (test.sizes - 1) // 2)
    np.testing.assert_array_equal(counted, pairs.of_prompt)
