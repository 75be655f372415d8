"""The automatic penalty against thirty fixed ones, over seeds of labels.

In each cell the best fixed penalty is the one whose order consistency is highest on
the mean over all seeds: a bar that nobody who has one set of labels can reach. Fixed
penalties are those of `LinearBradleyTerry(alpha=...)` on the columns as they are, and
on standardised ones; all thirty are fitted on one path.

The made-up pools have gold that lies in the columns of most variance (dec, steep), in
all alike (iso), in all principal components alike (pc), or is bent; a twentieth to
three fifths of it no vector shows.
"""

import time
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from heads_data import load_pool, make_task

from embrm import CandidatePool
from embrm.heads import LinearBradleyTerry, make_comparisons, order_consistency
from embrm.heads.linear.design import mean_and_scale
from embrm.heads.linear.differences import Differences
from embrm.heads.linear.path import FoldPath
from embrm.heads.win_loss import HeldOut, LogisticLoss, best_scale

TAUS = np.geomspace(0.01, 30.0, 30)
ERROR_RATES = (0.0, 0.25, 0.4, 0.45)
CELL = ("dataset", "n", "error", "pairing")
MADE_UP = {"iso": 0.0, "dec": 0.5, "steep": 0.8, "pc": 0.6, "bent": 0.5}
"""Powers with which the spectrum of the vectors falls."""


def made_up_pool(kind: str, *, n_prompts=600, n_responses=20, d=256) -> CandidatePool:
    """Unit vectors with topics; gold as the kind says, on the scale of nats."""
    number = list(MADE_UP).index(kind)
    rng = np.random.default_rng([20_261_129, number])
    prompt = np.repeat(np.arange(n_prompts), n_responses)
    hidden = rng.normal(size=(n_prompts, d))[prompt]
    hidden = hidden + rng.normal(size=(len(prompt), d))
    spread = (1.0 + np.arange(d)) ** -MADE_UP[kind]
    weights = rng.normal(size=d)
    if kind in ("dec", "steep"):
        weights *= spread
    if kind == "bent":
        weights[32:] = 0.0
    gold = hidden @ weights
    gold /= gold.std()
    if kind == "bent":
        few = hidden[:, :32]
        bent = np.tanh(few @ rng.normal(size=(32, 16)) / 4) @ rng.normal(size=16)
        gold = (gold + bent / bent.std()) / np.sqrt(2)
    unseen = (0.05, 0.3, 0.6)[number % 3]
    chance = rng.standard_t(4, size=len(gold)) / np.sqrt(2)
    gold = np.sqrt(1 - unseen) * gold + np.sqrt(unseen) * chance
    turned = (hidden * spread) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    items = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    return CandidatePool(items.astype(np.float32), prompt, gold=6 * gold)


def cells(datasets: list[str], sizes: list[int], pairings: list[str]):
    for dataset, n, error, pairing in product(datasets, sizes, ERROR_RATES, pairings):
        if dataset == "pool" or n <= 10_000:
            yield dataset, n, error, pairing


def run(
    datasets: list[str],
    sizes: list[int],
    pairings: list[str],
    seeds: int,
    directory: Path,
):
    """Yield a row for each cell and seed."""

    @cache
    def pool_of(name):
        return made_up_pool(name) if name in MADE_UP else load_pool(name, directory)

    for seed, cell in product(range(seeds), list(cells(datasets, sizes, pairings))):
        dataset, n, error, pairing = cell
        pool = pool_of(dataset)
        task = make_task(pool, n, error, pairing, seed)
        row = {"dataset": dataset, "n": n, "error": error, "pairing": pairing}
        yield row | {"seed": seed} | compare(pool, task)


def compare(pool: CandidatePool, task) -> dict:
    """Fit the automatic head and all fixed penalties; order consistency of each."""
    first, second = task.test_ids.T

    def consistency(reward):
        return float(order_consistency(reward[first] - reward[second], task.test_y))

    started = time.perf_counter()
    head = LinearBradleyTerry(posterior=False).fit(task.pairs, task.y)
    seconds = time.perf_counter() - started
    wins = make_comparisons(task.pairs, task.y)
    fixed = {}
    for name in ("plain", "standardised"):
        scale = mean_and_scale(wins.items)[1] if name == "standardised" else None
        fixed[name] = [
            consistency(pool.items @ coef) for coef in fixed_path(wins, scale)
        ]
    delta = head.reward(pool.items)
    return {
        "auto": consistency(delta),
        "seconds": round(seconds, 3),
        "tau_scale": head.reward_scale_,
        "prompt_effects": head.prompt_effects_,
        "standardise": head.standardise_,
        **excess_loss(delta, pool, task),
        **fixed,
    }


def fixed_path(wins, scale):
    """Yield the weights at each penalty, from strong to weak, on all wins."""
    differences = Differences.of(wins, scale)
    everything = np.ones(len(wins), dtype=bool)
    path = FoldPath(
        differences, LogisticLoss(), wins.margin, [(everything, everything)]
    )
    for tau in TAUS:
        coef = path.fit(float(tau**-2)).weights[:, 0]
        yield coef if scale is None else (coef / scale).astype(np.float32)


def excess_loss(reward, pool, task) -> dict:
    """Log loss of new same-prompt labels of this annotator above that at best scale."""
    first, second = task.test_ids.T
    delta, gold = (v[first] - v[second] for v in (reward, pool.gold))
    if task.beta is None:
        right = (gold > 0).astype(float)
    else:
        right = 1 / (1 + np.exp(-task.beta * gold))
    both = np.concatenate([delta, -delta])
    wins = HeldOut(np.zeros(len(both)), np.concatenate([right, 1 - right]), None)
    scale = best_scale(both, wins, (-7.0, 7.0))

    def loss(factor):
        return float(wins.weight @ np.logaddexp(0, -factor * both) / len(delta))

    return {"best_scale": scale, "excess_loss": loss(1.0) - loss(scale)}


def summarise(rows: list[dict], earlier: list[dict]) -> dict:
    """Compare in each cell with the fixed penalty that is best on its mean.

    Cells of an earlier run that have no row are kept.
    """
    groups: dict = {}
    for row in rows:
        groups.setdefault(tuple(row[k] for k in CELL), []).append(row)
    found = {tuple(told[k] for k in CELL): told for told in earlier}
    for cell, members in groups.items():
        auto = np.mean([m["auto"] for m in members])
        told = dict(zip(CELL, cell, strict=True)) | {"seeds": len(members)}
        told["auto"] = round(float(auto), 4)
        for name in ("plain", "standardised"):
            mean = np.mean([m[name] for m in members], axis=0)
            told[f"best {name}"] = round(float(mean.max()), 4)
            told[f"tau {name}"] = round(float(TAUS[int(mean.argmax())]), 3)
            told[f"below {name}"] = round(float(mean.max() - auto), 4)
        told["excess_loss"] = round(
            float(np.mean([m["excess_loss"] for m in members])), 5
        )
        found[cell] = told
    summary = [found[cell] for cell in sorted(found)]
    figures = {
        f"{name}, {statistic}": round(
            float(of([s[f"below {name}"] for s in summary])), 4
        )
        for name in ("plain", "standardised")
        for statistic, of in (("mean", np.mean), ("worst cell", np.max))
    }
    figures["cells"] = len(summary)
    figures["excess loss, worst cell"] = max(s["excess_loss"] for s in summary)
    kinds = {}
    for name in sorted({told["dataset"] for told in summary}):
        below = [told["below plain"] for told in summary if told["dataset"] == name]
        kinds[name] = {
            "cells": len(below),
            "mean below plain": round(float(np.mean(below)), 4),
            "worst": max(below),
            "above .015": sum(value > 0.015 for value in below),
        }
    return {"figures": figures, "cells": summary, "cells_by_dataset": kinds}
