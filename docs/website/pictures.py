"""A picture of each public display, drawn when the site is built.

From what was measured (benchmarks/results), or else from simulated answers. The code of
each function stands below its picture in the reference, with the data above it.
"""

import inspect
import io
import json
import sys
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks import demo_picture
from embrm import CandidatePool
from embrm.active import LabelBudgetDisplay
from embrm.evaluate import (
    BestOfNDisplay,
    ExperimentDisplay,
    Interval,
    LeaderboardDisplay,
    LengthBiasDisplay,
    OveroptimisationDisplay,
    ReliabilityDisplay,
    RiskCoverageDisplay,
    best_of_n_curve,
)
from embrm.evaluate.displays import DepthDisplay
from embrm.policy import (
    AlignmentDisplay,
    ParetoDisplay,
    PolicyDisplay,
    best_of_n_sweep,
    pareto_front,
    run_case,
    tilt_sweep,
    worst_group_policy,
)
from embrm.simulate import BradleyTerryAnnotator

# The data.
RESULTS = demo_picture.KEPT.parent
rng = np.random.default_rng(0)
prompts = np.repeat(np.arange(200), 8)
gold = rng.normal(size=1600)
reward = gold + rng.normal(size=1600)  # a model that knows half of gold's variance
noise = rng.normal(size=1600)  # one that knows nothing
long = gold + 0.8 * noise  # one that likes something else, too
pool = CandidatePool(
    np.column_stack([gold, noise, rng.normal(size=1600)]), prompts, gold=gold
)
delta = reward[0::2] - reward[1::2]
wins = gold[0::2] > gold[1::2]


def best_of_n() -> BestOfNDisplay:
    """Expected gold rises with n: far for the model, not at all for noise."""
    return BestOfNDisplay(
        {
            "model": best_of_n_curve(gold, reward, prompts),
            "noise": best_of_n_curve(gold, noise, prompts),
        },
        ceiling=best_of_n_curve(gold, gold, prompts),
    )


def overoptimisation() -> OveroptimisationDisplay:
    """The proxy reward rises with divergence, gold rises less, and flattens."""
    return OveroptimisationDisplay.from_predictions(
        gold - 0.5 * noise**2, long, prompts
    )


def leaderboard() -> LeaderboardDisplay:
    """The heads of the demo with their intervals, and what length alone would reach."""
    return demo_picture.leaderboard()


def length_bias() -> LengthBiasDisplay:
    """Reward by length: rising for the biased model, flat for the other."""
    return LengthBiasDisplay.from_predictions(
        {"likes length": long, "does not": gold},
        lengths=np.exp(5 + 0.4 * noise),
        prompt_ids=prompts,
    )


def reliability() -> ReliabilityDisplay:
    """Share of pairs won by stated confidence: below the line, it is overconfident."""
    return ReliabilityDisplay.from_predictions(2 * delta, wins)


def risk_coverage() -> RiskCoverageDisplay:
    """The error rate falls as only the more certain pairs are decided."""
    return RiskCoverageDisplay.from_predictions(delta, wins)


def depth() -> DepthDisplay:
    """Order consistency by layer of SmolLM2: highest at two thirds of the depth."""
    rows = [
        row
        for row in json.loads((RESULTS / "encoders.json").read_text("utf-8"))["rows"]
        if (row["data"], row["model"]) == ("quickstart", "smollm2")
        and (row["template"], row["prompt"]) == ("chat", "with prompt")
        and row["pooling"] in ("mean_response", "last_content")
    ]
    return DepthDisplay(
        {
            (row["layer"] % 31, row["pooling"]): Interval(**row["order_consistency"])
            for row in rows
            if isinstance(row["layer"], int)
        },
        n_layers=30,
        baseline=Interval(**rows[0]["length"]),
    )


def experiment() -> ExperimentDisplay:
    """Learning curves of two heads where a quarter of the labels is wrong."""
    cells = pd.read_csv(RESULTS.parent / "paper" / "cells.csv", dtype={"error": str})
    ours = cells["head"].isin(["linear", "logistic"]) & (cells["noise"] == 0.25)
    return ExperimentDisplay.from_frame(cells[ours & (cells["part"] == "a")], "budget")


def label_budget() -> LabelBudgetDisplay:
    """Order consistency by labels: random pairs, and two strategies."""
    lines = (RESULTS / "active.rows.jsonl").read_text("utf-8").splitlines()
    curves = pd.DataFrame(
        {"strategy": row["strategy"], "seed": row["seed"], **point}
        for row in map(json.loads, lines)
        if (row["pool"], row["pairing"], row["error_rate"]) == ("linear", "same", 0.25)
        and row["strategy"] in ("random", "v-optimal", "d-optimal")
        for point in row["curve"]
    )
    return LabelBudgetDisplay.from_frame(curves)


def policy() -> PolicyDisplay:
    """Expected gold by divergence: the tilted policy above best of n."""
    return PolicyDisplay(
        [
            tilt_sweep(reward, prompts, [4, 2, 1, 0.5, 0.25], gold=gold),
            best_of_n_sweep(reward, prompts, [1, 2, 4, 8], gold=gold),
        ]
    )


def alignment() -> AlignmentDisplay:
    """Expected gold by round, of two cases that ask for labels in every round."""
    annotator = BradleyTerryAnnotator()
    cases = ("online-rlhf", "iterative-dpo")
    return AlignmentDisplay(
        {case: run_case(pool, case, annotator, n_pairs=2000) for case in cases}
    )


def pareto() -> ParetoDisplay:
    """Two objectives traded against each other, and the policy that is robust."""
    both = np.column_stack([gold, noise])
    users = [[1, 0], [0.8, 0.6], [0.7, 0.7], [0.6, 0.8], [0, 1]]
    robust = worst_group_policy(both, prompts, eta=0.5).value
    return ParetoDisplay(
        pareto_front(both, prompts, users, eta=0.5),
        {"robust": (float(robust[0]), float(robust[1]))},
    )


PICTURES: dict[str, Callable[[], Any]] = {
    "BestOfNDisplay": best_of_n,
    "OveroptimisationDisplay": overoptimisation,
    "LeaderboardDisplay": leaderboard,
    "LengthBiasDisplay": length_bias,
    "ReliabilityDisplay": reliability,
    "RiskCoverageDisplay": risk_coverage,
    "DepthDisplay": depth,
    "ExperimentDisplay": experiment,
    "LabelBudgetDisplay": label_budget,
    "PolicyDisplay": policy,
    "AlignmentDisplay": alignment,
    "ParetoDisplay": pareto,
}
"""What draws each display."""


@cache
def png(name: str) -> bytes:
    """Draw a display; in its order, so that equal builds draw equal pictures."""
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    PICTURES[name]().plot(figure.subplots())
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=100)
    return held.getvalue()


def picture_of(name: str) -> str:
    """Write the picture of a display with its words, and the code that drew it."""
    function = PICTURES[name]
    words = inspect.getdoc(function) or ""
    source = inspect.getsource(sys.modules[__name__])
    data = source.split("# The data.\n")[1].split("\n\n\n")[0]
    code = inspect.getsource(function).split('"""\n', 1)[1]
    before, _, drawn = textwrap.dedent(code).rpartition("return ")
    return (
        f"![{words}]({name}.png)\n\n*{words}* Drawn by\n\n"
        f"```python\n{before}display = {drawn}display.plot()\n```\n\n"
        '??? note "The data of these pictures"\n'
        + textwrap.indent(f"```python\n{data}\n```\n", "    ")
    )
