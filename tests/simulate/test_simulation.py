"""simulate: the pairs of the design, the labels of the annotator, and the truth."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

import embrm.simulate
from embrm import CandidatePool, Pairs
from embrm.exceptions import InvalidInputError
from embrm.simulate import (
    AnnotatorPanel,
    BradleyTerryAnnotator,
    CrossPrompt,
    FlipAnnotator,
    KWise,
    MixedPrompt,
    PerfectAnnotator,
    SamePrompt,
    calibrate,
    simulate,
)

BT = BradleyTerryAnnotator()


def test_the_pairs_are_those_of_the_design(pool):
    """Drawn with the same seed, whatever the annotator."""
    expected = SamePrompt().draw(pool, 100, random_state=6)
    for annotator in (BT, PerfectAnnotator(), AnnotatorPanel([BT], votes=1)):
        pairs = simulate(pool, SamePrompt(), annotator, 100, 6).pairs
        assert isinstance(pairs, Pairs)
        np.testing.assert_array_equal(pairs.ids, expected)


def test_the_result_follows_the_seed(pool):
    """Labels too."""
    first, again = (simulate(pool, CrossPrompt(), BT, 100, 6).y for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_items_are_shared(pool):
    """No vector is copied."""
    found = simulate(pool, SamePrompt(), BT, 100, 0)
    assert found.pairs.items is pool.items
    assert found.pairs.prompt_ids is pool.prompt_ids


@pytest.mark.parametrize("design", [SamePrompt(), CrossPrompt()], ids=repr)
def test_memory_is_that_of_the_pairs(large, design):
    """100 bytes a pair, beside 800 MB of vectors."""
    design.draw(large, 10)
    tracemalloc.start()
    found = simulate(large, design, BT, 300_000, 0)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.shares_memory(found.pairs.items, large.items)
    assert kept < 48 * 300_000
    assert peak < 100 * 300_000


def test_gold_deltas_are_in_units_of_gold(pool):
    """The annotator sees them divided by the scale."""
    found = simulate(pool, SamePrompt(), BT, 100, 0)
    expected = pool.gold[found.pairs.first] - pool.gold[found.pairs.second]
    np.testing.assert_array_equal(found.gold_delta, expected)
    np.testing.assert_array_equal(
        found.probabilities, BT.probabilities(expected / np.std(pool.gold))
    )


def test_a_perfect_annotator_labels_by_gold(pool):
    """Without an error."""
    found = simulate(pool, MixedPrompt(0.5), PerfectAnnotator(), 300, 0)
    np.testing.assert_array_equal(found.y, pool.gold_labels(found.pairs.ids))
    assert found.error_rate == found.expected_error_rate == 0.0


def test_the_realised_error_is_reported(pool):
    """It is that of the labels, not of the probabilities."""
    found = simulate(pool, SamePrompt(), FlipAnnotator(0.3), 400, 0)
    assert found.error_rate == np.mean(found.y != (found.gold_delta > 0))
    assert found.error_rate == pytest.approx(0.3, abs=0.09)
    assert found.expected_error_rate == pytest.approx(0.3)


def test_diversity_is_measured(pool):
    """Shares and counts of what was drawn."""
    found = simulate(pool, MixedPrompt(0.25), BT, 40, 0)
    ids, prompts = found.pairs.ids, pool.prompt_ids[found.pairs.ids]
    assert found.diversity.cross_prompt_share == 0.25
    assert found.diversity.n_items == len(np.unique(ids))
    assert found.diversity.n_prompts == len(np.unique(prompts))
    assert found.diversity.mean_abs_delta == pytest.approx(
        np.abs(found.gold_delta).mean() / np.std(pool.gold)
    )


def test_cross_prompt_pairs_are_more_diverse(pool):
    """Proposition 15, and with it fewer errors of the same annotator."""
    same, cross = (
        simulate(pool, design, BT, 2000, 0) for design in (SamePrompt(), CrossPrompt())
    )
    assert cross.diversity.mean_abs_delta > 1.15 * same.diversity.mean_abs_delta
    assert cross.expected_error_rate < same.expected_error_rate


def test_annotators_are_named_where_there_are_several(pool):
    """And votes kept."""
    panel = AnnotatorPanel([BT, FlipAnnotator(0.1)], votes=3, aggregate="soft")
    found = simulate(pool, KWise(3), panel, 30, 0)
    assert found.annotator_ids.shape == found.votes.shape == (30, 3)
    assert simulate(pool, KWise(3), BT, 30, 0).annotator_ids is None


def test_a_summary_is_one_row_of_a_table(pool):
    """All scalars by name."""
    found = simulate(pool, SamePrompt(), BT, 50, 0)
    row = pd.DataFrame([found.summary()])
    assert row["n_pairs"].item() == len(found) == 50
    assert row["error_rate"].item() == found.error_rate
    assert row["n_prompts"].item() == found.diversity.n_prompts


def test_the_text_says_what_matters(pool):
    """Size, errors and share of cross-prompt pairs; not a thousand numbers."""
    text = repr(simulate(pool, CrossPrompt(), PerfectAnnotator(), 50, 0))
    assert text == (
        "SimulatedPreferences(50 pairs, error rate 0.0% (expected 0.0%), "
        "100% cross-prompt)"
    )


def test_a_pool_without_gold_is_an_error(pool):
    """There is nothing to annotate by."""
    without = CandidatePool(pool.items, pool.prompt_ids)
    with pytest.raises(
        InvalidInputError, match="gold scores, which a simulation needs"
    ):
        simulate(without, SamePrompt(), BT, 5)


def test_exchanged_arguments_are_an_error(pool):
    """The message tells the order."""
    with pytest.raises(
        InvalidInputError, match=r"the order is simulate.pool, design, an"
    ):
        simulate(pool, BT, SamePrompt(), 5)


def test_every_public_name_can_be_imported():
    """`__all__` holds no name that is not there."""
    assert all(hasattr(embrm.simulate, name) for name in embrm.simulate.__all__)
    assert embrm.simulate.simulate is simulate


@pytest.mark.realdata
def test_a_real_pool_can_be_annotated(shared_data):
    """A ragged pool of a language-model judge's scores, at 30% errors."""
    frame = pd.read_parquet(
        shared_data / "pool_dev.parquet", columns=["prompt_id", "gold"]
    )
    pool = CandidatePool(
        np.ones((len(frame), 1), np.float16),
        frame["prompt_id"].to_numpy(),
        gold=frame["gold"].to_numpy(),
    )
    for design in (SamePrompt(), CrossPrompt()):
        annotator = calibrate(BT, pool, design, 0.3, random_state=0)
        found = simulate(pool, design, annotator, 100_000, 0)
        assert found.expected_error_rate == pytest.approx(0.3, abs=0.002)
        assert found.error_rate == pytest.approx(0.3, abs=0.007)
