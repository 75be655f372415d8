"""What a shard costs on Ray beyond the work itself, and how far two actors get.

    python benchmarks/scale_out.py [--out benchmarks/results/scale_out.json]

The hashing encoder, 20,000 items of 2,000 prompts, in this process and with one and two
actors of a local Ray, taking turns. Each is run with few and with many shards: the
difference is what a shard costs (texts written and read, one segment, one call). A run
of one tiny shard is what it costs to start actors; the speed "at work" leaves that out.
"""

import argparse
import json
import logging
import os
import platform
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from embrm.embed import HashingEncoder
from embrm.embed.scale import embed_on_ray, embed_part

ENCODER = HashingEncoder(256)
WAYS = ("in_process", "ray_1_actor", "ray_2_actors")


def make_texts(n_prompts: int, n_responses: int) -> list:
    """Prompts of about 60 words and responses of about 40."""
    rng = random.Random(0)
    words = [f"w{n}" for n in range(5000)]

    def text(mean: int) -> str:
        return " ".join(rng.choices(words, k=rng.randint(mean // 2, 3 * mean // 2)))

    prompts = [text(60) for _ in range(n_prompts)]
    return [(prompt, text(40)) for prompt in prompts for _ in range(n_responses)]


def run(way: str, texts: list, shard_tokens: int) -> dict:
    """Embed into an empty cache; seconds and shards."""
    with tempfile.TemporaryDirectory() as cache:
        started = time.perf_counter()
        options = {"shard_tokens": shard_tokens, "progress": False}
        if way == "in_process":
            done = embed_part(texts, ENCODER, cache, **options)
        else:
            n = int(way.split("_")[1])
            done = embed_on_ray(texts, ENCODER, cache, max_actors=n, **options)
            assert done.n_workers == min(n, done.n_shards), "too few CPUs for two"
        seconds = time.perf_counter() - started
    assert done.n_embedded == len(texts)
    return {"seconds": seconds, "n_shards": done.n_shards}


def measure(texts: list, sizes: dict, rounds: int) -> dict:
    """Run all ways and sizes in turn, and keep the medians."""
    found: dict = {way: {size: [] for size in sizes} for way in WAYS}
    for _ in range(rounds):
        for size, (part, tokens) in sizes.items():
            for way in WAYS:
                found[way][size].append(run(way, texts[:part], tokens))
                print(f"{way:14s} {size:6s} {found[way][size][-1]}", flush=True)
    return {
        way: {
            size: {
                "seconds": statistics.median(one["seconds"] for one in runs),
                "n_shards": runs[0]["n_shards"],
            }
            for size, runs in by_size.items()
        }
        for way, by_size in found.items()
    }


def figures(medians: dict, n_items: int) -> dict:
    """Turn medians into costs and speeds."""
    made = {}
    for way, by_size in medians.items():
        start, few, many = (by_size[size] for size in ("start", "few", "many"))
        n_more = many["n_shards"] - few["n_shards"]
        at_work = few["seconds"] - start["seconds"]
        made[way] = {
            "start_seconds": start["seconds"],
            "ms_per_shard": 1000 * (many["seconds"] - few["seconds"]) / n_more,
            "items_per_second": n_items / few["seconds"],
            "items_per_second_at_work": n_items / at_work,
            "runs": by_size,
        }
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-prompts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    import ray

    load = os.getloadavg()[0]
    # Ray counts CPUs by name: two actors and the one that stays free.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address="local",
        num_cpus=3,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )
    texts = make_texts(args.n_prompts, 10)
    n_items = len(texts)
    sizes = {
        "start": (10, 10**9),
        "few": (n_items, args.n_prompts * 625 // 8),
        "many": (n_items, args.n_prompts * 625 // 160),
    }
    try:
        medians = measure(texts, sizes, args.rounds)
    finally:
        ray.shutdown()
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "load_before": load,
            "python": platform.python_version(),
            "ray": ray.__version__,
        },
        "n_items": n_items,
        "rounds": args.rounds,
        **figures(medians, n_items),
    }
    print(json.dumps(result, indent=2))
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
