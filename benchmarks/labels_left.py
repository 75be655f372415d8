"""How near the forecast of labels left comes to what a session needs.

    python benchmarks/labels_left.py [--seeds 12]

Simulated annotators label by gold in 24 dimensions until the interval of held-out order
consistency, over prompts, is 2 points to either side; 200 prompts of 14 responses. At a
quarter, half and three quarters of the labels that took, the forecast is compared with
them. Settings differ in how often labels are wrong, in how much of gold is not linear,
and in the share held out. Results go to results/labels_left.json.
"""

import argparse
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from demo import describe_machine

from embrm import CandidatePool
from embrm.active import LabelLoop
from embrm.label.progress import labels_left, measure

RESULTS = Path(__file__).parent / "results" / "labels_left.json"
# Of the annotator's beta, of gold that is not linear, and held out.
SETTINGS = [(6.0, 0.0, 0.3), (20.0, 0.0, 0.1), (3.0, 0.3, 0.5)]
PARTS = (0.25, 0.5, 0.75)
BATCH, MOST = 40, 9000


def session(seed: int, beta: float, bent: float, share: float) -> list[dict]:
    """Label until it is enough; return the points of the budget curve."""
    rng = np.random.default_rng(seed)
    prompts = np.repeat(np.arange(200), 14)
    items = rng.normal(size=(2800, 24)) + 0.7 * rng.normal(size=(200, 24))[prompts]
    gold = items @ rng.normal(size=24) / np.sqrt(24)
    gold += bent * np.abs(items[:, 0]) * rng.choice([-1, 1], size=200)[prompts]
    loop = LabelLoop(
        CandidatePool(items, prompts),
        held_out_share=share,
        n_candidates=3000,
        random_state=seed,
    )
    curve: list[dict] = []
    while loop.n_labels < MOST:
        proposal = loop.propose(BATCH)
        delta = beta * (gold[proposal.ids[:, 0]] - gold[proposal.ids[:, 1]])
        loop.add(
            proposal.ids,
            (rng.random(BATCH) < 1 / (1 + np.exp(-delta))).astype(float),
            is_random=proposal.is_random,
            held_out=proposal.held_out,
        )
        curve.append(measure(loop.refit()))
        low, high = curve[-1]["low"], curve[-1]["high"]
        if low is not None and high - low <= 0.04:
            return curve
    raise RuntimeError(f"not reached with {MOST} labels: {beta}, {bent}, {share}")


def forecasts(curve: list[dict]) -> dict[str, float | None]:
    """Divide what is forecast at each part of the way by what was needed."""
    needed, found = curve[-1]["n_labels"], {}
    for part in PARTS:
        so_far = [point for point in curve if point["n_labels"] <= part * needed]
        n = so_far[-1]["n_labels"]
        left = labels_left(so_far, n, 0)
        found[str(part)] = None if left is None else round((n + left["n"]) / needed, 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for seed in range(given.seeds):
        for beta, bent, share in SETTINGS:
            curve = session(seed, beta, bent, share)
            row = {"seed": seed, "beta": beta, "bent": bent, "held_out_share": share}
            row |= {"needed": curve[-1]["n_labels"], "forecast": forecasts(curve)}
            rows.append(row)
            print(json.dumps(row), flush=True)
    summary = {}
    for part in map(str, PARTS):
        said = [r["forecast"][part] for r in rows if r["forecast"][part] is not None]
        error = np.abs(np.array(said) - 1)
        summary[part] = {
            "n_sessions": len(said),
            "median_ratio": round(float(np.median(said)), 3),
            "median_error": round(float(np.median(error)), 3),
            "error_of_four_in_five": round(float(np.quantile(error, 0.8)), 3),
            "largest_error": round(float(error.max()), 3),
        }
    made = {"summary": summary, "rows": rows, "machine": describe_machine()}
    made |= {"date": datetime.now(UTC).isoformat()}
    given.out.write_text(json.dumps(made, indent=1) + "\n")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
