"""What vectors are worth: models, layers, poolings and templates, on three data sets.

    python benchmarks/encoders.py [--cache DIR] [--out FILE] [--minutes M] [--picture]

Data: the quickstart (graded answers), HH-harmless (people's choices; 1,156 pairs of two
long answers) and a part of a pool of real answers with a judge's scores. A linear head
with the default penalty is fitted on each kind of vectors, in the same five folds by
prompt; what is reported is order consistency with the labels, held out, with its
interval over prompts. Beside it stand tokens and CPU seconds of the pass that computed
the vectors: several layers and poolings are one pass.

SmolLM2 is looked at after every fifth block, with its chat template, as plain text, and
without the prompt. Vectors and finished rows are kept: a run goes on where it stopped.
"""

import argparse
import json
import re
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from demo import describe_machine

from embrm.datasets import Preferences, read_preferences
from embrm.embed import embed_items, make_encoder
from embrm.heads import make_head
from embrm.report import cross_fit, evaluate_fit

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LAYERS, POOLINGS = "0,5,10,15,20,25,-1", "mean_response,last_content,mean"
# Of other templates, and of responses without their prompts.
FEW_LAYERS, FEW_POOLINGS = "10,15,20,-1", "mean_response,last_content"
POOL_PROMPTS, POOL_RESPONSES = 100, 5
# Prompts on which templates are compared, and texts without their prompts.
FEW = {"quickstart": 162, "hh_harmless": 250, "pool": 40}
FOLDS, SEED = 5, 0


def quickstart() -> Preferences:
    return read_preferences("data/quickstart.jsonl").prefer_by_score("score")


def harmless() -> Preferences:
    path = SHARED / "hh_harmless_dev.jsonl"
    return read_preferences(path, on_error="skip-uninformative")


def pool() -> Preferences:
    """A few answers to some prompts of the pool, drawn once; gold says which wins."""
    import pandas as pd

    frame = pd.read_parquet(SHARED / "pool_dev.parquet")
    rng = np.random.default_rng(SEED)
    prompts = rng.permutation(frame["prompt_id"].unique())[:POOL_PROMPTS]
    few = frame[frame["prompt_id"].isin(prompts)]
    few = (
        few.sample(frac=1, random_state=SEED).groupby("prompt_id").head(POOL_RESPONSES)
    )
    columns = {
        "prompt": few["prompt"],
        "response": few["response"],
        "score": few["gold"],
    }
    return read_preferences(
        pd.DataFrame(columns), on_error="skip-uninformative"
    ).prefer_by_score("score")


DATA = {"quickstart": quickstart, "hh_harmless": harmless, "pool": pool}


def surface_counts(texts: list) -> np.ndarray:
    """Count what is seen without reading: length, lines, lists, code, digits, ..."""
    patterns = (r"\w+", r"\n", r"(?m)^\s*[-*\d]", r"```", r"\*\*", r"(?m)^#")
    patterns += (r"\d", r"\?", r"!", r"[A-Z]", r"\bI\b|\bI'm\b", r"[.,;:]")
    counts = [[len(re.findall(p, r)) for p in patterns] + [len(r)] for _, r in texts]
    return np.log1p(np.array(counts, dtype=np.float32))


def evaluate(preferences: Preferences, vectors: np.ndarray) -> dict:
    pairs = preferences.to_pairs(np.ascontiguousarray(vectors))
    fit = cross_fit(
        make_head("linear"), pairs, preferences.y, n_splits=FOLDS, random_state=SEED
    )
    evaluation = evaluate_fit(fit, preferences, pairs)
    return {
        "order_consistency": evaluation.order_consistency.to_json(),
        "length": evaluation.length_baseline.to_json(),
    }


def embed(name: str, texts: list, cache: Path, **options: object) -> tuple:
    """Vectors, encoder, and what the pass cost where it was made now."""
    encoder = make_encoder(name, **options)
    _ = encoder.fingerprint
    encoder.encode(texts[:1])  # loaded, and its ways of sharing tested
    started = time.process_time()
    done = embed_items(texts, encoder, cache)
    seconds = time.process_time() - started
    cost = {"texts": done.n_embedded, "tokens": done.n_tokens, "cpu_seconds": seconds}
    return done.vectors, encoder, cost if done.n_hits == 0 else None


def views(data: str, preferences: Preferences) -> Iterator[tuple]:
    """Yield the ways in which SmolLM2 reads texts, and on which preferences."""
    few = preferences.sample_prompts(FEW[data], random_state=SEED)
    yield "chat", "with prompt", preferences, preferences.texts
    yield "plain", "with prompt", few, few.texts
    yield "chat", "without prompt", few, [("", response) for _, response in few.texts]


def kinds(data: str, preferences: Preferences, cache: Path) -> Iterator[tuple]:
    """Yield what vectors are, of which preferences, and what makes them."""
    for template, view, seen, texts in views(data, preferences):
        made: dict = {}
        is_whole = seen is preferences
        layers = LAYERS if is_whole else FEW_LAYERS
        poolings = POOLINGS if is_whole else FEW_POOLINGS
        name = f"smollm2@{layers}/{poolings}"

        def columns(
            texts: list = texts,
            template: str = template,
            made: dict = made,
            name: str = name,
        ):
            if not made:
                vectors, encoder, cost = embed(name, texts, cache, template=template)
                made.update(vectors=vectors, slices=encoder.column_slices, cost=cost)
            return made

        for layer in map(int, layers.split(",")):
            for pooling in poolings.split(","):
                what = {"model": "smollm2", "template": template, "prompt": view}

                def one(
                    columns: Callable = columns,
                    layer: int = layer,
                    pooling: str = pooling,
                ):
                    known = columns()
                    part = known["slices"][layer, pooling]
                    return known["vectors"][:, part], known["cost"]

                yield what | {"layer": layer, "pooling": pooling}, seen, one
    texts = preferences.texts
    for name in ("minilm", "hashing"):
        yield (
            {"model": name},
            preferences,
            lambda name=name: embed(name, texts, cache)[::2],
        )
    counts = surface_counts(texts)
    yield {"model": "surface counts"}, preferences, lambda: (counts, None)
    side = {
        "smollm2@15,20": ["smollm2@15,20"],
        "smollm2@20, surface counts": ["smollm2@20"],
        "smollm2@15,20, surface counts": ["smollm2@15,20"],
        "smollm2@20, minilm": ["smollm2@20", "minilm"],
    }
    for name, parts in side.items():

        def joined(parts: list = parts, with_counts: bool = "counts" in name):
            found = [embed(part, texts, cache)[0].astype(np.float32) for part in parts]
            # Each kind at the scale that it has, counts at that of a hidden state.
            extra = [counts / counts.std(axis=0).clip(1e-6)] if with_counts else []
            return np.concatenate(found + extra, axis=1), None

        yield {"model": name}, preferences, joined


def run(cache: Path, rows_file: Path, minutes: float) -> list[dict]:
    rows = []
    if rows_file.exists():
        rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
    begun = time.monotonic()
    for data, read in DATA.items():
        preferences = read()
        for what, seen, make in kinds(data, preferences, cache / data):
            wanted = {"data": data} | what
            if any(wanted.items() <= row.items() for row in rows):
                continue
            if time.monotonic() - begun > 60 * minutes:
                return rows
            vectors, cost = make()
            size = {"pairs": len(seen), "items": len(seen.items)}
            row = wanted | size | {"cost": cost} | evaluate(seen, vectors)
            rows.append(row)
            with rows_file.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            print(wanted, f"{row['order_consistency']['estimate']:.3f}", flush=True)
    return rows


def draw(rows: list[dict], path: Path) -> None:
    """One panel a data set: SmolLM2 with its chat template, by layer and pooling."""
    import matplotlib.pyplot as plt

    from embrm.evaluate import Interval
    from embrm.evaluate.displays import DepthDisplay

    figure, axes = plt.subplots(1, len(DATA), figsize=(15, 4.4), layout="constrained")
    for ax, data in zip(axes, DATA, strict=True):
        chosen = [
            row
            for row in rows
            if row["data"] == data
            and (row.get("template"), row.get("prompt")) == ("chat", "with prompt")
        ]
        intervals = {
            (30 if row["layer"] == -1 else row["layer"], row["pooling"]): Interval(
                **row["order_consistency"]
            )
            for row in chosen
        }
        length = Interval(**chosen[0]["length"])
        DepthDisplay(intervals, n_layers=30, baseline=length).plot(ax=ax)
        ax.set_title(f"{data}: {chosen[0]['pairs']:,} pairs", loc="right", fontsize=10)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "embrm-encoders"
    )
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--picture", action="store_true")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/encoders.json")
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = run(
        arguments.cache, arguments.out.with_suffix(".rows.jsonl"), arguments.minutes
    )
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "head": "linear, default penalty, 5 folds by prompt",
        "rows": rows,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.picture:
        draw(rows, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
