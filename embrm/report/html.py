"""A report as one HTML file: no scripts, no links, readable on a phone."""

import base64
import io
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from scipy.stats import kendalltau

from embrm._optional import import_optional
from embrm._typing import FloatArray
from embrm.datasets import Preferences
from embrm.embed.base import Fingerprint
from embrm.embed.run import Embedded
from embrm.evaluate.best_of_n import BestOfNCurve
from embrm.evaluate.displays import (
    BestOfNDisplay,
    LeaderboardDisplay,
    ReliabilityDisplay,
)
from embrm.messages import prompt_text
from embrm.report.leaderboard import Leaderboard

_MOST_CURVES = 5

LEGEND = (
    "Order consistency: share of held-out pairs that the head orders as the labels do "
    "(ties of the head count one half); beside it the 95% interval over prompts. The "
    "length baseline prefers the longer response and knows nothing else. Heads marked "
    "= do not differ from the best beyond noise. Log loss is in nats per pair. "
    "Calibration error compares the winner's probability with how often it wins. Fit: "
    "median wall time of one fit."
)


def write_report(
    path: str | os.PathLike[str],
    board: Leaderboard,
    preferences: Preferences,
    vectors: Mapping[str, tuple[Embedded, Fingerprint]],
    *,
    title: str = "Reward heads on frozen embeddings",
) -> Path:
    """Write the report of a leaderboard.

    Parameters
    ----------
    path : path
        Where the HTML goes; replaced if it is there.
    board : Leaderboard
    preferences : Preferences
        What the heads were fitted on; its texts are shown, escaped.
    vectors : mapping of str to (Embedded, Fingerprint)
        How the vectors of each encoder came about, and who it is, by its name.
    title : str

    Returns
    -------
    Path

    Raises
    ------
    MissingDependencyError
        If matplotlib, which draws the pictures, is not installed.
    """
    target = Path(path)
    environment = Environment(
        loader=PackageLoader("embrm.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        title=title,
        version=version("embrm"),
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        answer=_answer(board),
        headings=board.headings(),
        rows=board.rows(),
        legend=LEGEND,
        pictures=_pictures(board, preferences),
        best=board.best,
        examples=telling_rankings(preferences, board.fits[board.best].reward),
        facts=_facts(preferences, vectors),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return target


def _answer(board: Leaderboard) -> str:
    best = board.evaluations[board.best]
    words = (
        f"The head {board.best} orders {_percent(best.order_consistency.estimate)} of "
        f"{best.n_pairs} held-out pairs as their labels do (95% interval "
        f"{_percent(best.order_consistency.low)} to "
        f"{_percent(best.order_consistency.high)})"
    )
    baseline = best.length_baseline
    if baseline is None:
        return words + "."
    return (
        words
        + f"; a baseline that prefers the longer one, {_percent(baseline.estimate)}."
    )


def _facts(
    preferences: Preferences, vectors: Mapping[str, tuple[Embedded, Fingerprint]]
) -> list[tuple[str, str]]:
    n_prompts = preferences.items["prompt_id"].nunique()
    return [
        ("data", str(preferences.read_report)),
        (
            "size",
            (
                f"{len(preferences)} pairs, {len(preferences.items)} items, "
                f"{n_prompts} prompts"
            ),
        ),
        *(
            fact
            for name, (embedded, fingerprint) in vectors.items()
            for fact in _encoder_facts(name, embedded, fingerprint)
        ),
        (
            "splits",
            (
                "by prompt: no head is scored on a prompt it was fitted on; "
                "all heads see the same folds"
            ),
        ),
        (
            "versions",
            ", ".join(
                f"{name} {version(name)}"
                for name in ("embrm", "numpy", "scikit-learn", "pandas")
            ),
        ),
    ]


def _encoder_facts(
    name: str, embedded: Embedded, fingerprint: Fingerprint
) -> list[tuple[str, str]]:
    fields = ", ".join(f"{k}={v}" for k, v in fingerprint.fields.items())
    return [
        (f"encoder {name}", f"{fingerprint.describe()}, d={fingerprint.dim}"),
        ("its vectors", str(embedded)),
        ("its fingerprint", fields),
    ]


def _pictures(board: Leaderboard, preferences: Preferences) -> list[dict[str, str]]:
    intervals = {n: e.order_consistency for n, e in board.evaluations.items()}
    baseline = board.evaluations[board.best].length_baseline
    fit = board.fits[board.best]
    pictures = [
        _picture(
            LeaderboardDisplay.from_intervals(intervals, baseline=baseline),
            "Held-out order consistency of each head with its interval",
            "Dots: held-out order consistency; lines: 95% intervals over prompts.",
        ),
        _picture(
            ReliabilityDisplay.from_predictions(
                fit.delta[fit.held_out], preferences.y[fit.held_out], name=board.best
            ),
            f"Reliability of the {board.best} head",
            "How often the favoured side wins, by the probability the head gives it. "
            "On the diagonal, probabilities are calibrated.",
        ),
    ]
    if board.curves:
        pictures.append(
            _picture(
                BestOfNDisplay(_few_curves(board), board.ceiling, label="score"),
                "Expected score of the best of n responses by each head",
                "Mean score of the response picked out of n by the best heads. Grey: "
                "picking by the scores themselves, and picking at random.",
            )
        )
    return pictures


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


def _picture(display: Any, alt: str, caption: str) -> dict[str, str]:
    figure_type = import_optional("matplotlib.figure", extra="plot").Figure
    figure = figure_type(figsize=(5.2, 3.6), layout="constrained")
    display.plot(ax=figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"alt": alt, "caption": caption, "data": data}


def _percent(share: float) -> str:
    return f"{share:.1%}"


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
