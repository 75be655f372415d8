"""Draw the leaderboard of the demo, from benchmarks/results/demo.json.

    python benchmarks/demo_picture.py [--out docs/pictures/leaderboard.png]

`python benchmarks/demo.py` measures what this draws.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from embrm.evaluate import Interval, LeaderboardDisplay

KEPT = Path(__file__).parent / "results" / "demo.json"
N_PROMPTS = 162
OUT = Path(__file__).parents[1] / "docs" / "pictures" / "leaderboard.png"


def leaderboard() -> LeaderboardDisplay:
    """Read what was measured into a display."""
    rows = json.loads(KEPT.read_text("utf-8"))["leaderboard"]
    name = "order_consistency"
    columns = ([row[name + end] for row in rows] for end in ("", "_low", "_high"))
    baseline = "length_baseline"
    ends = (rows[0][baseline + end] for end in ("", "_low", "_high"))
    return LeaderboardDisplay(
        [row["head"] for row in rows],
        *map(np.array, columns),
        ties_with_best=np.array([row["ties_with_best"] for row in rows]),
        baseline=Interval(*ends, 0.95, N_PROMPTS, "prompt bootstrap"),
        label="pairs ordered right, on prompts held out",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    figure = Figure(figsize=(6.2, 3.9), layout="constrained")
    leaderboard().plot(figure.subplots())
    out = parser.parse_args().out
    figure.savefig(out, dpi=150)
    print(out)


if __name__ == "__main__":
    main()
