"""The leaderboard compares heads on identical held-out pairs."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from sklearn.base import clone

from embrm import Pairs
from embrm.datasets import make_preferences
from embrm.evaluate import PromptGroupKFold
from embrm.heads import CalibratedReward, GeneralPreference, LinearBradleyTerry
from embrm.report import cross_fit


def test_the_best_head_stands_first(board):
    """Heads are ordered by held-out order consistency."""
    estimates = [e.order_consistency.estimate for e in board.evaluations.values()]
    assert estimates == sorted(estimates, reverse=True)
    assert board.best == next(iter(board.fits))


def test_planted_quality_is_found(board):
    """Words that go with the grade are learnt, on prompts never seen."""
    assert board.evaluations[board.best].order_consistency.estimate > 0.9


def test_the_frame_has_intervals_for_every_metric(board):
    """Each metric stands with its low and high."""
    frame = board.to_frame()
    for metric in ("order_consistency", "length_baseline", "log_loss"):
        assert {metric, f"{metric}_low", f"{metric}_high"} <= set(frame.columns)
        assert (frame[f"{metric}_low"] <= frame[metric]).all()
        assert (frame[metric] <= frame[f"{metric}_high"]).all()


def test_the_json_is_plain(board):
    """Nothing in it is a numpy scalar."""
    rows = json.loads(json.dumps(board.to_json()))
    assert [row["head"] for row in rows] == list(board.evaluations)


def test_what_is_unknown_is_null_in_json(board):
    """JSON has no NaN."""
    fits = {
        name: replace(fit, fit_seconds=float("nan")) for name, fit in board.fits.items()
    }
    rows = replace(board, fits=fits).to_json()
    assert {row["fit_seconds"] for row in rows} == {None}


def test_best_of_n_lies_between_chance_and_the_ceiling(board):
    """Picking by reward is no worse than chance here, never better than by score."""
    curve = board.curves[board.best]
    assert curve.mean[0] == board.ceiling.mean[0]
    assert np.all(curve.mean <= board.ceiling.mean + 1e-12)
    assert board.ceiling.mean[-1] == 2.0


def test_rows_fit_the_headings_and_end_with_the_baseline(board):
    """Every row has one cell per heading; the length baseline is the last row."""
    rows = board.rows()
    assert {len(row["cells"]) for row in rows} == {len(board.headings())}
    assert [row["kind"] for row in rows] == ["best", "", "baseline"]


def test_the_table_prints_every_head_in_one_line(board):
    """At 80 columns nothing is cut; long headings take two lines."""
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(board.to_table())
    lines = console.export_text().splitlines()
    assert len(lines) == 2 + len(board.evaluations) + 1
    assert all("…" not in line for line in lines)


@pytest.fixture(scope="module")
def data():
    return make_preferences(150, n_features=4, n_prompts=30, random_state=0)


@pytest.mark.parametrize(
    "head",
    [
        LinearBradleyTerry(alpha=1.0),
        GeneralPreference(rank=1, alpha=1.0, block_alpha=0.01),
        CalibratedReward(LinearBradleyTerry(alpha=1.0)),
    ],
    ids=lambda head: type(head).__name__,
)
def test_deltas_are_those_of_fits_without_the_pairs_prompts(data, head):
    """By hand on the other folds, also where delta is no difference of rewards."""
    fitted = cross_fit(head, data.pairs, data.y, n_splits=3, random_state=1)
    folds = PromptGroupKFold(3, shuffle=True, random_state=1)
    for train, test in folds.split(data.pairs, data.y, data.pairs.groups):
        by_hand = clone(head).fit(data.pairs[train], data.y[train])
        expected = by_hand.decision_function(data.pairs[test])
        np.testing.assert_allclose(fitted.delta[test], expected, rtol=1e-12)


def test_every_same_prompt_pair_is_held_out_once(data):
    """Same-prompt folds partition the pairs."""
    fitted = cross_fit(LinearBradleyTerry(alpha=1.0), data.pairs, data.y)
    assert fitted.held_out.all()
    assert fitted.n_fits == 5
    assert fitted.fit_seconds > 0


def test_pairs_across_folds_have_no_delta():
    """A cross-prompt pair whose ends fall into two folds cannot be held out."""
    mixed = make_preferences(300, n_features=4, cross_prompt=1.0, random_state=0)
    fitted = cross_fit(LinearBradleyTerry(alpha=1.0), mixed.pairs, mixed.y)
    assert 0 < fitted.held_out.sum() < 300


def test_weights_reach_the_fits(data):
    """Weights that silence half of the pairs change the deltas."""
    head = LinearBradleyTerry(alpha=1.0)
    weight = np.arange(150) % 2.0
    weighted = cross_fit(head, data.pairs, data.y, fit_params={"sample_weight": weight})
    plain = cross_fit(head, data.pairs, data.y)
    assert not np.allclose(weighted.delta, plain.delta)


def test_fewer_prompts_than_folds_means_fewer_folds():
    """Two prompts are two folds."""
    items = np.random.default_rng(0).normal(size=(6, 3))
    pairs = Pairs(items, [[0, 1], [1, 2], [3, 4], [4, 5]], [0, 0, 0, 1, 1, 1])
    fitted = cross_fit(LinearBradleyTerry(alpha=1.0), pairs, [1, 1, 0, 1])
    assert fitted.n_fits == 2


def test_progress_moves_once_per_fit(data):
    """after_fit is called after every fold."""
    calls = []
    cross_fit(
        LinearBradleyTerry(alpha=1.0),
        data.pairs,
        data.y,
        n_splits=4,
        after_fit=lambda: calls.append(1),
    )
    assert len(calls) == 4


def test_equal_vectors_are_ties_not_a_warning_for_each_fold(data):
    """A pair of equal vectors gets delta 0, silently: the evaluation counts it."""
    items = np.vstack([data.pairs.items, data.pairs.items[:1]])
    ids = np.vstack([data.pairs.ids, [[0, len(items) - 1]]])
    prompts = np.append(data.pairs.prompt_ids, data.pairs.prompt_ids[0])
    fitted = cross_fit(
        LinearBradleyTerry(alpha=1.0),
        Pairs(items, ids, prompts),
        np.append(data.y, 1.0),
    )
    assert fitted.delta[-1] == 0.0
