"""Which way of alignment gives most gold at equal divergence, by noise and budget?

    python benchmarks/policy.py [--data DIR] [--out FILE] [--noise ...] [--budget ...]

On `pool_dev` (600 prompts, 35 responses each, a strong judge's gold) half of the
prompts give pairs, labelled by a Bradley-Terry annotator of a target error rate; the
policies are judged on the other half, at divergences of 1/2, 1 and 2 nats. All methods
see the same vectors, pairs and labels; each has its penalty chosen by the order of
held-out labels in three folds of prompts, but for the reward and the general
preference, which choose theirs by themselves. A policy's strength is varied by a
factor on its log ratio (its eta), of the best of n by n. Gold is in standard deviations
within prompts, over the mean response; intervals resample prompts, and differences from
the reward that is tilted are paired. Cells that are done are kept in the file.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from embrm import CandidatePool
from embrm.evaluate import prompt_bootstrap
from embrm.evaluate.rank_correlation import within_prompt_std
from embrm.heads import GeneralPreference, LinearBradleyTerry
from embrm.policy import (
    DirectAlignment,
    best_of_n_sweep,
    head_preference,
    nash_policy,
    sweep_policies,
    tilt_sweep,
)
from embrm.simulate import BradleyTerryAnnotator, SamePrompt, calibrate, simulate

KLS = (0.5, 1.0, 2.0)
ALPHAS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
STRENGTHS = np.geomspace(0.05, 60, 24)
LOSSES = ("dpo", "ipo", "slic", "kto")


def load_pool(data: Path) -> CandidatePool:
    table = pd.read_parquet(data / "pool_dev.parquet", columns=["prompt_id", "gold"])
    vectors = np.load(data / "pool_dev_minilm_f16.npy").astype(np.float32)
    codes = np.unique(table["prompt_id"], return_inverse=True)[1]
    gold = table["gold"].to_numpy(float)
    scale = within_prompt_std(gold, codes)
    means = np.bincount(codes, gold) / np.bincount(codes)
    spread = (
        vectors
        - (
            np.stack([np.bincount(codes, column) for column in vectors.T], axis=1)
            / np.bincount(codes)[:, None]
        )[codes]
    )
    deviation = spread.std(axis=0)
    vectors = vectors / np.where(deviation > 0, deviation, 1)
    return CandidatePool(
        vectors.astype(np.float32), codes, gold=(gold - means[codes]) / scale
    )


def cell(
    pool: CandidatePool, noise: float, budget: int, seed: int
) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pool.prompts))
    half = len(order) // 2
    parts = [
        pool.take(np.flatnonzero(np.isin(pool.prompt_ids, prompts)))
        for prompts in np.split(order, [half])
    ]
    annotator = calibrate(
        BradleyTerryAnnotator(),
        parts[0],
        SamePrompt(),
        noise,
        n_pairs=50_000,
        random_state=0,
    )
    made = simulate(parts[0], SamePrompt(), annotator, budget, random_state=seed)
    rewards, seconds, chosen = {}, {}, {}
    begun = time.perf_counter()
    head = LinearBradleyTerry(posterior=False).fit(made.pairs, made.y)
    rewards["reward + tilt"] = head.reward(parts[1].items)
    seconds["reward + tilt"] = time.perf_counter() - begun
    for loss in LOSSES:
        begun = time.perf_counter()
        chosen[loss] = best_alpha(loss, parts[0], made.pairs.ids, made.y, seed)
        rewards[loss] = trained(
            loss, chosen[loss], parts[0], made.pairs.ids, made.y
        ).theta(parts[1])
        seconds[loss] = time.perf_counter() - begun
    sweeps = {name: swept(parts[1], reward) for name, reward in rewards.items()}
    sweeps["best-of-n"] = best_of_n_sweep(
        rewards["reward + tilt"],
        parts[1].prompt_ids,
        [1, 2, 3, 4, 6, 8, 12, 16, 32, 64],
        gold=parts[1].gold,
    )
    begun = time.perf_counter()
    general = GeneralPreference(rank=2).fit(made.pairs, made.y)
    sweeps["Nash"] = nash_sweep(parts[1], head_preference(general, parts[1]))
    seconds["Nash"] = time.perf_counter() - begun
    return {
        "noise": noise,
        "error_rate": made.error_rate,
        "budget": budget,
        "seed": seed,
        "prompts": np.sort(order[half:]).tolist(),
        "seconds": seconds,
        "alpha": chosen,
        "gold": {name: [per_prompt(s, kl) for kl in KLS] for name, s in sweeps.items()},
    }


def trained(loss, alpha, pool, ids, y):
    return DirectAlignment(loss, beta=1.0, alpha=alpha, max_iter=60).fit(pool, ids, y)


def best_alpha(loss, pool, ids, y, seed) -> float:
    """Choose by the share of held-out labels in order, over three folds of prompts."""
    folds = np.random.default_rng(seed).integers(0, 3, pool.prompt_ids.max() + 1)
    fold = folds[pool.prompt_ids[ids[:, 0]]]
    right = dict.fromkeys(ALPHAS, 0)
    for held in range(3):
        out = fold == held
        for alpha in ALPHAS:
            theta = trained(loss, alpha, pool, ids[~out], y[~out]).theta(pool)
            delta = theta[ids[out, 0]] - theta[ids[out, 1]]
            right[alpha] += int(((delta > 0) == (y[out] > 0.5)).sum())
    return max(ALPHAS, key=lambda alpha: right[alpha])


def swept(pool: CandidatePool, reward: np.ndarray) -> object:
    codes = np.unique(pool.prompt_ids, return_inverse=True)[1]
    scale = within_prompt_std(np.asarray(reward, float), codes)
    return tilt_sweep(reward / scale, pool.prompt_ids, 1 / STRENGTHS, gold=pool.gold)


def nash_sweep(pool: CandidatePool, preference: object) -> object:
    etas = np.geomspace(3, 0.02, 9)
    policies = [
        nash_policy(
            preference, pool.prompt_ids, eta, tolerance=1e-4, max_iter=600
        ).logprob
        for eta in etas
    ]
    return sweep_policies(policies, pool.prompt_ids, strength=etas, gold=pool.gold)


def per_prompt(sweep: object, kl: float) -> list[float] | None:
    """Interpolate each prompt's gold at the mean divergence."""
    kls = sweep.kl.mean
    at = int(np.searchsorted(kls, kl))
    if at == 0 or at == len(kls):
        return None
    share = (kl - kls[at - 1]) / (kls[at] - kls[at - 1])
    gold = sweep.per_prompt["gold"]
    return ((1 - share) * gold[:, at - 1] + share * gold[:, at]).round(5).tolist()


def summary(rows: list[dict]) -> list[dict]:
    """Average over seeds: gold at each divergence, and its paired difference."""
    lines = []
    for noise, budget in sorted({(r["noise"], r["budget"]) for r in rows}):
        of = [r for r in rows if (r["noise"], r["budget"]) == (noise, budget)]
        groups = np.concatenate([r["prompts"] for r in of])
        for name in of[0]["gold"]:
            for place, kl in enumerate(KLS):
                golds = [r["gold"][name][place] for r in of]
                if any(g is None for g in golds):
                    continue
                rivals = [r["gold"]["reward + tilt"][place] for r in of]
                mean, rival = np.concatenate(golds), np.concatenate(rivals)
                own = prompt_bootstrap(mean, groups)
                less = prompt_bootstrap(mean - rival, groups)
                lines.append(
                    {
                        "noise": noise,
                        "budget": budget,
                        "method": name,
                        "kl": kl,
                        "gold": round(own.estimate, 3),
                        "low": round(own.low, 3),
                        "high": round(own.high, 3),
                        "over_tilt": round(less.estimate, 3),
                        "over_tilt_low": round(less.low, 3),
                        "over_tilt_high": round(less.high, 3),
                    }
                )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/policy.json")
    )
    parser.add_argument("--noise", type=float, nargs="+", default=[0.1, 0.3])
    parser.add_argument("--budget", type=int, nargs="+", default=[500, 4000])
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rows", type=Path, default=Path("policy.rows.jsonl"))
    given = parser.parse_args()
    kept = given.rows.read_text().splitlines() if given.rows.exists() else []
    rows = [json.loads(line) for line in kept]
    done = {(r["noise"], r["budget"], r["seed"]) for r in rows}
    pool = load_pool(given.data)
    for noise in given.noise:
        for budget in given.budget:
            for seed in given.seed:
                if (noise, budget, seed) not in done:
                    rows.append(cell(pool, noise, budget, seed))
                    with given.rows.open("a") as stream:
                        stream.write(json.dumps(rows[-1]) + "\n")
                    print(
                        noise,
                        budget,
                        seed,
                        rows[-1]["seconds"],
                        rows[-1]["alpha"],
                        flush=True,
                    )
    lines = summary(rows)
    given.out.write_text(json.dumps({"kls": KLS, "cells": lines}, indent=1) + "\n")
    print(pd.DataFrame(lines).to_string(index=False))


if __name__ == "__main__":
    main()
