"""Seconds and memory of what is done to whole data sets, on made-up data.

python benchmarks/datasets.py diagnose [--pairs 1000000] [--out FILE.json]
python benchmarks/datasets.py label-errors --data DIRECTORY_OF_POOL_DEV
"""

import argparse
import json
import platform
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from embrm.datasets import Preferences, ReadReport, diagnose

RESULTS = Path("benchmarks/results/datasets.json")

PROMPT_WORDS = (5, 40)
RESPONSE_WORDS = (10, 110)
N_WORDS = 20_000
NEAR = 0.02
"""Share of the prompts that are another prompt with a word more."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", choices=FIGURES)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, help="with pool_dev.parquet")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    row = FIGURES[arguments.figure](arguments)
    load = float(Path("/proc/loadavg").read_text().split()[0])
    row |= {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "load_average": load,
    }
    known = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    known[arguments.figure] = row
    arguments.out.write_text(json.dumps(known, indent=2) + "\n")
    print(json.dumps(row, indent=2))


def diagnose_figure(arguments: argparse.Namespace) -> dict:
    """Diagnose pairs of as many prompts, of two annotators; memory with the data."""
    n_pairs = arguments.pairs
    preferences = made_up(n_pairs)
    texts = preferences.items[["prompt", "response"]]
    row = {
        "n_pairs": n_pairs,
        "n_prompts": int(preferences.items["prompt_id"].nunique()),
        "megabytes_of_text": round(sum(texts[c].str.len().sum() for c in texts) / 1e6),
        "peak_gigabytes_before": peak_bytes() / 1e9,
    }
    started, cpu = time.perf_counter(), time.process_time()
    diagnosis = diagnose(preferences)
    printed = str(diagnosis)
    row |= {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "seconds_must_be_below": 60,
        "peak_gigabytes": peak_bytes() / 1e9,
        "peak_must_be_below": 4,
        "near_duplicates_found": diagnosis.near_duplicates.n_prompts,
        "near_duplicates_made": 2 * round(NEAR * row["n_prompts"]),
        "lines_printed": printed.count("\n") + 1,
    }
    return row


def label_errors_figure(arguments: argparse.Namespace) -> dict:
    """Turn some labels of real pairs, and look for them with a linear head."""
    from scipy.special import expit

    from embrm.datasets import find_label_errors, read_preferences
    from embrm.heads import make_head
    from embrm.report import cross_fit

    rng = np.random.default_rng(0)
    rated = read_preferences(arguments.data / "pool_dev.parquet")
    preferences = rated.prefer_by_score("gold", min_gap=1.0)
    preferences = preferences.take_pairs(
        np.sort(rng.choice(len(preferences), 20_000, replace=False))
    )
    vectors = np.load(arguments.data / "pool_dev_minilm_f16.npy", allow_pickle=False)
    pairs = preferences.to_pairs(vectors.astype(np.float32))
    rows = []
    for share in (0.02, 0.1, 0.2):
        turned = rng.random(len(pairs)) < share
        y = np.where(turned, 1 - preferences.y, preferences.y)
        probability = expit(cross_fit(make_head("linear"), pairs, y).delta)
        found = find_label_errors(y, probability)
        hits = turned[found.pairs]
        rows.append(
            {
                "turned": float(turned.mean()),
                "threshold": found.threshold,
                "found": len(found) / len(pairs),
                "recall": float(hits.sum() / turned.sum()),
                "precision": float(hits.mean()),
                "precision_of_the_first_100": float(hits[:100].mean()),
            }
        )
    return {"n_pairs": len(pairs), "encoder": "minilm", "rows": rows}


def made_up(n_pairs: int) -> Preferences:
    """Make pairs, one for each prompt, of words that are as frequent as in English."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{n:x}" for n in rng.permutation(N_WORDS)], dtype=object)
    frequency = 1 / np.arange(1, N_WORDS + 1)
    frequency /= frequency.sum()

    def texts(n: int, bounds: tuple[int, int]) -> pd.Series:
        parts = []
        # Some at a time: the list of all words would take more than their texts.
        for start in range(0, n, 50_000):
            sizes = rng.integers(*bounds, min(50_000, n - start))
            drawn = words[rng.choice(N_WORDS, sizes.sum(), p=frequency)].tolist()
            ends = np.cumsum(sizes).tolist()
            begins = [0, *ends[:-1]]
            made = [" ".join(drawn[a:b]) for a, b in zip(begins, ends, strict=True)]
            parts.append(pd.Series(made, dtype="str"))
        return pd.concat(parts, ignore_index=True)

    prompts = texts(n_pairs, PROMPT_WORDS)
    n_near = round(NEAR * n_pairs)
    prompts.iloc[n_pairs - n_near :] = (prompts.iloc[:n_near] + " please").to_numpy()
    prompt_ids = np.repeat(np.arange(n_pairs), 2)
    items = pd.DataFrame(
        {
            "prompt_id": prompt_ids,
            "prompt": prompts.take(prompt_ids).reset_index(drop=True),
            "response": texts(2 * n_pairs, RESPONSE_WORDS),
            "source_row": prompt_ids,
        }
    )
    rows = np.arange(n_pairs)
    pairs = pd.DataFrame(
        {
            "first": 2 * rows,
            "second": 2 * rows + 1,
            "y": rng.choice([0.0, 0.5, 1.0], n_pairs, p=[0.45, 0.1, 0.45]),
            "source_row": rows,
            "annotator": rng.choice(["ann", "bob"], n_pairs),
        }
    )
    report = ReadReport("made up", "pairs", n_pairs, n_pairs)
    return Preferences(items, pairs, report)


def peak_bytes() -> int:
    # Linux counts kilobytes, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


FIGURES = {"diagnose": diagnose_figure, "label-errors": label_errors_figure}

if __name__ == "__main__":
    main()
