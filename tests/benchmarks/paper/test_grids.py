"""The grids of the studies, and cells of all splits in one table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.paper.grids import FULL, QUICK, STUDIES, parts_of, run_part
from benchmarks.paper.levels import (
    ALL_HEADS,
    STYLE_ALONE,
    WITH_STYLE,
    heads_by_name,
)
from benchmarks.paper.pools import TwoOfTen, make_splits, views_of
from embrm import CandidatePool
from embrm.experiment import SECONDS


@pytest.fixture(scope="module")
def splits(pool):
    return make_splits(pool, range(2))


@pytest.fixture
def parts(splits):
    return {
        part.name: part
        for study in STUDIES
        for part in parts_of(study, splits, FULL)
        if part.view == "vectors"
    }


def test_study_a_is_of_the_size_that_was_asked_for(parts):
    """Three noise levels, three budgets, six heads, same-prompt pairs."""
    part = parts["a"]
    assert (len(part.noise), len(part.budgets), tuple(part.heads)) == (3, 3, ALL_HEADS)
    assert part.n_cells == 54
    assert part.describe(3) == (
        "162 cells = 1 pairing x 3 noise levels x 3 budgets x 6 heads x 3 seeds"
    )


def test_matched_heads_have_noise_levels_of_study_a(parts):
    """So that heads of both grids can be compared."""
    assert set(parts["a-matched"].noise) <= set(parts["a"].noise)
    assert parts["a-matched"].budgets == parts["a"].budgets


def test_budgets_are_scaled_down_for_a_small_pool(parts):
    """18 prompts with 10 responses have 810 pairs within, and one ten each."""
    assert parts["a"].budgets == (50, 202, 810)
    assert parts["b"].budgets == (50, 202, 810)
    assert parts["c"].budgets == (6, 18)


def test_heads_see_style_or_both_on_the_pairs_of_study_a(pool, tmp_path):
    """The same pairs and labels; two blocks have a prior each, also once stored."""
    texts = [("Hi", "word " * n) for n in range(1, 201)]
    pool = CandidatePool(pool.items, pool.prompt_ids, pool.gold, texts)
    views = {name: make_splits(view, [0]) for name, view in views_of(pool).items()}
    frames, seen = [], []
    for part in parts_of("a", views["vectors"], replace(QUICK, heads=("linear",))):
        if part.name != "a-matched":
            splits = views[part.view]
            frames.append(run_part(part, splits, tmp_path, n_jobs=1, show=False))
            seen.append(part.view)
    assert seen == ["vectors", "style", "vectors and style"]
    rates = [frame["error_rate"].to_numpy() for frame in frames]
    np.testing.assert_array_equal(rates[1], rates[0])
    np.testing.assert_array_equal(rates[2], rates[0])
    heads = [list(frame["head"].unique()) for frame in frames]
    assert heads == [["linear"], [STYLE_ALONE], [WITH_STYLE]]
    vectors, style, both = (frame["order_consistency"].mean() for frame in frames)
    # Gold is linear in the vectors: style is noise, and costs little beside them.
    assert style < vectors - 0.1
    assert both > vectors - 0.05


def test_the_seed_of_a_split_deals_its_tens(parts, splits):
    """Other tens in every split."""
    designs = parts["c"].for_split(splits[1]).designs.values()
    assert all(isinstance(d, TwoOfTen) and d.seed == 1 for d in designs)
    assert parts["b"].for_split(splits[1]).designs == parts["b"].designs


def test_the_quick_grids_are_of_the_same_parts(splits):
    """Each of them smaller."""
    for study in STUDIES:
        quick, full = (parts_of(study, splits, preset) for preset in (QUICK, FULL))
        assert [part.name for part in quick] == [part.name for part in full]
        assert all(q.n_cells < f.n_cells for q, f in zip(quick, full, strict=True))


def test_an_experiment_has_the_cells_of_its_part(parts, splits):
    """One seed at a time."""
    for part in parts.values():
        assert len(part.experiment(splits[0])) == part.n_cells


TINY = replace(QUICK, budgets=(10, 20), few_heads=("linear",), n_resamples=20)


def test_rows_say_what_their_levels_stand_for(splits, tmp_path):
    """Noise as a number, diversity apart from the pairing."""
    [part] = parts_of("c", splits, TINY)
    frame = run_part(part, splits, tmp_path, n_jobs=1)
    assert len(frame) == part.n_cells * 2
    assert set(frame["design"]) == {"same-prompt", "cross-prompt"}
    assert list(frame["diversity"].unique()) == ["similar", "random", "diverse"]
    assert set(frame["noise"]) == {0.1, 0.4}
    assert set(frame["seed"]) == {0, 1}
    assert (frame["error_type"] == "").all()


def test_a_second_run_computes_nothing_anew(splits, tmp_path):
    """Seconds, too, are those of the first run."""
    part = replace(parts_of("a", splits, TINY)[0], heads=heads_by_name(("linear",)))
    first = run_part(part, splits, tmp_path, n_jobs=1)
    pd.testing.assert_frame_equal(run_part(part, splits, tmp_path, n_jobs=1), first)
    assert set(SECONDS) <= set(first)


def test_at_equal_rates_errors_are_alike_and_of_one_annotator_they_are_not(splits):
    """Across prompts one annotator errs less, in expectation."""
    part, equal, _ = parts_of("b", splits[:1], replace(TINY, budgets=(300,)))
    rates = {}
    for grid in (part, equal):
        one_level = replace(grid, noise=(0.4,), heads=heads_by_name(("linear",)))
        frame = one_level.experiment(splits[0]).run()
        rates[grid.name] = frame.set_index("design")["expected_error_rate"]
    assert np.ptp(rates["b-equal"]) < 0.02
    assert rates["b"]["cross-prompt"] != pytest.approx(0.4, abs=0.002)
