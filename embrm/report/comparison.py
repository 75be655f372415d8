"""ComparisonReport: which of several heads is best, and whether beyond noise."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from embrm._typing import FloatArray
from embrm.datasets import Preferences
from embrm.embed.base import Fingerprint
from embrm.embed.run import Embedded
from embrm.evaluate.best_of_n import BestOfNCurve
from embrm.evaluate.displays import BestOfNDisplay, LeaderboardDisplay
from embrm.messages import prompt_text
from embrm.report.evaluation import evaluation_report
from embrm.report.leaderboard import Leaderboard
from embrm.report.page import (
    Facts,
    Picture,
    Rankings,
    Report,
    Row,
    Table,
    percent,
    versions,
)

_MOST_CURVES = 5
_COSTS = {
    "fit_seconds": ("fit", "{:.2f} s"),
    "score_seconds": ("scoring", "{:.2f} s"),
    "bytes": ("size", "{:,.0f} bytes"),
    "tokens_embedded": ("tokens", "{:,.0f}"),
}

LEGEND = (
    "Order consistency: share of held-out pairs that the head orders as the labels do "
    "(ties of the head count one half); beside it the 95% interval over prompts. The "
    "length baseline prefers the longer response and knows nothing else. Heads marked "
    "= do not differ from the best beyond noise, which allows for the best having been "
    "chosen on these pairs. Log loss is in nats per pair. Calibration error compares "
    "the winner's probability with how often it wins. Fit: median wall time of one fit."
)


@dataclass(frozen=True, eq=False)
class ComparisonReport(Report):
    """Report of several heads on the same pairs.

    `comparison_report` makes it of what `compare` returns, `leaderboard_report` of a
    `Leaderboard`.
    """


def comparison_report(
    compared: pd.DataFrame, *, title: str = "Comparison of reward models"
) -> ComparisonReport:
    """Make the report of what `embrm.evaluate.compare` returns.

    Parameters
    ----------
    compared : DataFrame
    title : str

    Returns
    -------
    ComparisonReport

    Examples
    --------
    >>> from embrm.evaluate import compare
    >>> table = compare({"up": [1.0] * 40, "down": [-1.0] * 40})
    >>> comparison_report(table).verdict
    'up is best: it orders 100.0% of the pairs right.'
    """
    costs = {c: words for c, words in _COSTS.items() if c in compared}
    headings = ["", "group", "order consistency", "difference", "p of being best"]
    rows = [_compared_row(str(n), row, costs) for n, row in compared.iterrows()]
    note = (
        "Heads that share a letter do not differ beyond noise, which allows for their "
        "number and for the best having been chosen on these pairs. Differences are to "
        f"{compared.attrs['reference']}, on the same resamples: "
        f"{compared.attrs['method']}."
    )
    intervals = LeaderboardDisplay(
        list(map(str, compared.index)),
        *(compared[c].to_numpy() for c in ("order_consistency", "low", "high")),
        ties_with_best=compared["ties_with_best"].to_numpy(bool),
        level=compared.attrs["level"],
        chance=0.5,
    )
    n_groups = compared.attrs["n_groups"]
    return ComparisonReport(
        title=title,
        verdict=comparison_verdict(compared),
        table=compared,
        warnings=(f"Only {n_groups} prompts: intervals are rough.",)
        if n_groups < 30
        else (),
        pictures=(
            Picture(
                intervals,
                "Order consistency of each head with its interval",
                "Dots: order consistency; lines: intervals over prompts. Dotted line: "
                "chance.",
            ),
        ),
        blocks=(
            Table(
                "Leaderboard", [*headings, *(w for w, _ in costs.values())], rows, note
            ),
            Facts("How this was made", (("versions", versions()),)),
        ),
    )


def _compared_row(name: str, row: Any, costs: Mapping[str, tuple[str, str]]) -> Row:
    bounds = f"[{row['low']:.3f}, {row['high']:.3f}]"
    apart = f"[{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
    return Row.of(
        name,
        row["group"],
        (f"{row['order_consistency']:.3f}", bounds),
        (f"{row['difference']:+.3f}", apart),
        f"{row['p_best']:.3f}",
        *(_cost(row[c], form) for c, (_, form) in costs.items()),
        kind="best" if row["ties_with_best"] else "",
    )


def _cost(value: float, form: str) -> str:
    """Write a cost; models of earlier versions do not say how long they took."""
    return "unknown" if np.isnan(value) else form.format(value)


def comparison_verdict(compared: pd.DataFrame) -> str:
    """Say in words which head is best, and which do not differ from it."""
    best = compared.index[0]
    share = percent(compared["order_consistency"].iloc[0])
    equals = [str(n) for n in compared.index[1:] if compared.loc[n, "ties_with_best"]]
    if not equals:
        return f"{best} is best: it orders {share} of the pairs right."
    return (
        f"{best} orders most pairs right ({share}), but does not differ from "
        f"{', '.join(equals)} beyond noise."
    )


def leaderboard_report(
    board: Leaderboard,
    preferences: Preferences,
    vectors: Mapping[str, tuple[Embedded, Fingerprint]],
    *,
    title: str = "Reward heads on frozen embeddings",
) -> ComparisonReport:
    """Make the report of a leaderboard, with the audit of its best head.

    Parameters
    ----------
    board : Leaderboard
    preferences : Preferences
        What the heads were fitted on; its texts are shown, escaped.
    vectors : mapping of str to (Embedded, Fingerprint)
        How the vectors of each encoder came about, and who it is, by its name.
    title : str

    Returns
    -------
    ComparisonReport
    """
    fit = board.fits[board.best]
    best = evaluation_report(
        preferences.take_pairs(fit.held_out),
        fit.delta[fit.held_out],
        fit.reward,
        name=board.best,
        embedded=next(iter(vectors.values()))[0] if len(vectors) == 1 else None,
    )
    pick = _best_of_words(board.ceiling)
    rows = [Row(row["cells"], row["kind"]) for row in board.rows()]
    examples = telling_rankings(preferences, fit.reward)
    shown = Rankings(
        "What the best head prefers",
        f"Held-out rankings by the head {board.best}: the two prompts on which it "
        "agrees with the scores most, and the two on which it agrees least.",
        examples,
    )
    of_best = [b for b in best.blocks if b.title != "How this was made"]
    return ComparisonReport(
        title=title,
        verdict=f"{comparison_verdict(board.comparison)} {best.verdict}",
        table=board.to_frame().set_index("head"),
        warnings=best.warnings,
        pictures=(*_board_pictures(board), *best.pictures[1:]),
        blocks=(
            Table("Leaderboard", board.headings(), rows, LEGEND + pick),
            *(
                Table(f"{b.title}: {board.best}", b.headings, b.rows, b.note)
                for b in of_best
                if isinstance(b, Table)
            ),
            *((shown,) if examples else ()),
            Facts("How this was made", _facts(preferences, vectors)),
        ),
    )


def write_report(
    path: str | os.PathLike[str],
    board: Leaderboard,
    preferences: Preferences,
    vectors: Mapping[str, tuple[Embedded, Fingerprint]],
    *,
    title: str = "Reward heads on frozen embeddings",
) -> Path:
    """Write the report of a leaderboard as one HTML file; see `leaderboard_report`.

    Returns
    -------
    Path

    Raises
    ------
    MissingDependencyError
        If matplotlib, which draws the pictures, is not installed.
    """
    leaderboard_report(board, preferences, vectors, title=title).to_html(path)
    return Path(path)


def _best_of_words(ceiling: BestOfNCurve | None) -> str:
    if ceiling is None:
        return ""
    return (
        f" Best of {ceiling.n[-1]}: mean score of the response that the head picks "
        "among as many of its prompt, in the unit of the scores; picking by the scores "
        f"themselves gives {ceiling.mean[-1]:.2f}, picking at random "
        f"{ceiling.mean[0]:.2f}."
    )


def _board_pictures(board: Leaderboard) -> list[Picture]:
    intervals = {n: e.order_consistency for n, e in board.evaluations.items()}
    baseline = board.evaluations[board.best].length_baseline
    pictures = [
        Picture(
            LeaderboardDisplay.from_intervals(intervals, baseline=baseline, chance=0.5),
            "Held-out order consistency of each head with its interval",
            "Dots: held-out order consistency; lines: 95% intervals over prompts. "
            "Dotted: chance.",
        )
    ]
    if board.curves:
        pictures.append(
            Picture(
                BestOfNDisplay(_few_curves(board), board.ceiling, label="score"),
                "Expected score of the best of n responses by each head",
                "Mean score of the response picked out of n by the best heads. Grey: "
                "picking by the scores themselves, and picking at random.",
            )
        )
    return pictures


def _facts(
    preferences: Preferences, vectors: Mapping[str, tuple[Embedded, Fingerprint]]
) -> list[tuple[str, str]]:
    n_prompts = preferences.items["prompt_id"].nunique()
    size = (
        f"{len(preferences)} pairs, {len(preferences.items)} items, {n_prompts} prompts"
    )
    splits = (
        "by prompt: no head is scored on a prompt it was fitted on; all heads see the "
        "same folds"
    )
    return [
        ("data", str(preferences.read_report)),
        ("size", size),
        *(
            fact
            for name, (embedded, fingerprint) in vectors.items()
            for fact in encoder_facts(name, embedded, fingerprint)
        ),
        ("splits", splits),
        ("versions", versions()),
    ]


def encoder_facts(
    name: str, embedded: Embedded, fingerprint: Fingerprint
) -> list[tuple[str, str]]:
    """Describe an encoder and how its vectors came about, for a report."""
    fields = ", ".join(f"{k}={v}" for k, v in fingerprint.fields.items())
    return [
        (f"encoder {name}", f"{fingerprint.describe()}, d={fingerprint.dim}"),
        ("its vectors", str(embedded)),
        ("its fingerprint", fields),
    ]


def _few_curves(board: Leaderboard) -> dict[str, BestOfNCurve]:
    """Choose the curves of the best heads, two for each encoder where there are some.

    More would need a legend larger than the picture.
    """
    taken: dict[str, list[str]] = {}
    for name in board.evaluations:
        taken.setdefault(board.encoders.get(name, ""), []).append(name)
    n_each = _MOST_CURVES if len(taken) == 1 else 2
    chosen = {name for names in taken.values() for name in names[:n_each]}
    return {name: curve for name, curve in board.curves.items() if name in chosen}


def telling_rankings(
    preferences: Preferences, reward: FloatArray, *, n_each: int = 2
) -> list[dict[str, Any]]:
    """Choose the prompts whose ranking agrees with the scores most and least.

    Parameters
    ----------
    preferences : Preferences
        Whose items have a `score`; without one, nothing is chosen.
    reward : ndarray of shape (n_items,)
        Held-out rewards; NaN where there is none.
    n_each : int, default=2
        How many of either kind.

    Returns
    -------
    list of dict
        With `prompt`, and `responses` from the highest reward down, each with `text`,
        `score` and `reward`.
    """
    if "score" not in preferences.items:
        return []
    items = preferences.items.assign(reward=reward).dropna(subset=["score", "reward"])
    agreement = items.groupby("prompt_id").apply(_agreement).dropna()
    order = agreement.sort_values(kind="stable").index
    n_each = min(n_each, len(order) // 2)
    chosen = [*order[::-1][:n_each], *order[:n_each]]
    return [_ranking(items[items["prompt_id"] == prompt]) for prompt in chosen]


def _agreement(group: pd.DataFrame) -> float:
    if group["score"].nunique() < 2 or group["reward"].nunique() < 2:
        return float("nan")
    tau = float(kendalltau(group["score"], group["reward"]).statistic)
    # Equal taus are common with few responses: the wider spread speaks louder.
    return tau * (1 + 0.01 * float(np.tanh(group["reward"].std())))


def _ranking(group: pd.DataFrame) -> dict[str, Any]:
    ordered = group.sort_values("reward", ascending=False, kind="stable")
    return {
        "prompt": prompt_text(ordered["prompt"].iloc[0]),
        "responses": [
            {
                "text": row["response"],
                "score": f"{row['score']:g}",
                "reward": f"{row['reward']:+.2f}",
            }
            for _, row in ordered.iterrows()
        ],
    }
