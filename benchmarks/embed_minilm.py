"""MiniLM on real text: ours against `SentenceTransformer.encode` as shipped.

    python benchmarks/embed_minilm.py [--data FILE] [--rounds 5] [--threads 1,2]

Both sides embed the same texts (prompt and response of HH transcripts, chosen and
rejected), in turn, in one process; the ratio is of the median wall seconds.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
from heads import write

from embrm.datasets import read_preferences
from embrm.embed import SentenceTransformerEncoder
from embrm.embed.sliced_encoder import cpu_flags
from embrm.embed.template import render_plain

RESULT = Path("benchmarks/results/embed_minilm.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/hh_harmless_dev.jsonl")
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n-texts", type=int)
    parser.add_argument(
        "--threads", type=lambda text: [int(n) for n in text.split(",")], default=[2]
    )
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    preferences = read_preferences(arguments.data, on_error="skip")
    texts = list(preferences.texts)[: arguments.n_texts]
    rows = [measure(texts, n, arguments.rounds) for n in arguments.threads]
    flags = sorted(cpu_flags() & {"amx_bf16", "avx512_bf16", "avx512f", "avx2"})
    write(arguments.out, {"cpu_flags": flags, "rows": rows})


def measure(texts, n_threads: int, rounds: int) -> dict:
    """Time both sides in turn, and compare their vectors."""
    import torch

    torch.set_num_threads(n_threads)
    ours = SentenceTransformerEncoder(store_dtype="float32")
    shipped = SentenceTransformerEncoder(dtype="float32")._loaded
    joined = [render_plain(prompt, response).text for prompt, response in texts]
    sides = {
        "ours": lambda: ours.encode(texts),
        "as shipped": lambda: shipped.encode(joined, show_progress_bar=False),
    }
    exact = SentenceTransformerEncoder(dtype="float32", store_dtype="float32")
    reference = exact.encode(texts).astype(np.float64)
    vectors = sides["ours"]().astype(np.float64)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - start)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    cosine = (vectors * reference).sum(axis=1) / lengths
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    row = {
        "n_texts": len(texts),
        "threads": n_threads,
        "dtype": ours.compute_dtype,
        "seconds": median,
        "ratio": median["as shipped"] / median["ours"],
        "texts_per_second": len(texts) / median["ours"],
        "min_cosine_to_float32": float(cosine.min()),
        "load": os.getloadavg()[0],
    }
    print(
        f"{n_threads} threads: {row['dtype']} {row['texts_per_second']:.0f} texts/s, "
        f"{row['ratio']:.2f}x as shipped, min cosine {cosine.min():.6f}"
    )
    return row


if __name__ == "__main__":
    main()
