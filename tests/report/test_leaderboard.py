"""The leaderboard compares heads on identical held-out pairs."""

import io
import json
from dataclasses import replace

import numpy as np
from rich.console import Console


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
    for metric in ("order_consistency", "length_ruler", "log_loss"):
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


def test_rows_fit_the_headings_and_end_with_the_ruler(board):
    """Every row has one cell per heading; the length ruler is the last row."""
    rows = board.rows()
    assert {len(row["cells"]) for row in rows} == {len(board.headings())}
    assert [row["kind"] for row in rows] == ["best", "", "ruler"]


def test_the_table_prints_every_head_in_one_line(board):
    """At 80 columns nothing is cut; long headings take two lines."""
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(board.to_table())
    lines = console.export_text().splitlines()
    assert len(lines) == 2 + len(board.evaluations) + 1
    assert all("…" not in line for line in lines)
