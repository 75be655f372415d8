"""Pools and annotated pairs for the benchmark of heads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from embrm import CandidatePool, Pairs

N_TRAIN_PROMPTS = 450


@dataclass(frozen=True, eq=False)
class Task:
    """One cell at one seed: annotated training pairs, and gold-ordered test pairs.

    `beta` is the inverse temperature of the annotator; None without errors.
    """

    pairs: Pairs
    y: np.ndarray
    error_rate: float
    beta: float | None
    test_ids: np.ndarray
    test_y: np.ndarray


def load_pool(name: str, directory: Path) -> CandidatePool:
    return real_pool(directory) if name == "pool" else synthetic_pool()


def real_pool(directory: Path) -> CandidatePool:
    """600 prompts x up to 35 models, MiniLM vectors, gold in logits of a judge."""
    frame = pd.read_parquet(
        directory / "pool_dev.parquet", columns=["prompt_id", "gold"]
    )
    # A plain array file: reading it runs no code.
    vectors = np.load(directory / "pool_dev_minilm_f16.npy", allow_pickle=False)
    prompts = pd.factorize(frame["prompt_id"])[0]
    return CandidatePool(
        vectors.astype(np.float32), prompts, gold=frame["gold"].to_numpy()
    )


def synthetic_pool(
    n_prompts: int = 600, n_responses: int = 35, d: int = 2048
) -> CandidatePool:
    """Gold is linear and bent in equal parts, in vectors with a decaying spectrum."""
    rng = np.random.default_rng(20_261_120)
    n_items = n_prompts * n_responses
    spread = 1.0 / np.sqrt(1.0 + np.arange(d))
    prompt = np.repeat(np.arange(n_prompts), n_responses)
    topic = rng.normal(size=(n_prompts, d)).astype(np.float32)
    hidden = topic[prompt] + rng.normal(size=(n_items, d)).astype(np.float32)
    few = hidden[:, :32].astype(np.float64)
    n_few = few.shape[1]
    bent = np.tanh(few @ rng.normal(size=(n_few, 16)) / 4) @ rng.normal(size=16)
    straight = few @ rng.normal(size=n_few)
    gold = 3 * (straight / straight.std() + bent / bent.std())
    items = (hidden * spread).astype(np.float32)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    return CandidatePool(items, prompt, gold=gold)


def make_task(
    pool: CandidatePool, n: int, target: float, pairing: str, seed: int
) -> Task:
    """Split the prompts, draw pairs without replacement, label them with noise.

    Parameters
    ----------
    pool : CandidatePool
    n : int
        Training pairs.
    target : float
        Expected error rate of the annotator; 0 is perfect.
    pairing : {"same", "cross"}
        One prompt for both items, or two.
    seed : int
        The same split and test pairs for every cell of a seed.
    """
    shuffled = np.random.default_rng(seed).permutation(len(pool.prompts))
    known = np.isin(pool.prompt_ids, pool.prompts[shuffled[:N_TRAIN_PROMPTS]])
    same = pool.same_prompt_ids()
    same = same[pool.gold[same[:, 0]] != pool.gold[same[:, 1]]]
    rng = np.random.default_rng([seed, n, round(100 * target), pairing == "cross"])
    candidates = same[known[same[:, 0]]]
    if pairing == "cross":
        candidates = _cross_prompt_ids(pool, np.flatnonzero(known), n, rng)
    ids = rng.permutation(candidates)[:n]
    ids = np.where(rng.random((len(ids), 1)) < 0.5, ids, ids[:, ::-1])
    delta = pool.gold[ids[:, 0]] - pool.gold[ids[:, 1]]
    gold_first = delta > 0
    y, beta = gold_first, None
    if target > 0:
        # A Bradley-Terry annotator; a reward's scale is set by the error rate.
        beta = beta_for(delta, target)
        y = rng.random(len(ids)) < expit(beta * delta)
    test = same[~known[same[:, 0]]]
    return Task(
        pairs=pool.pairs(ids),
        y=y.astype(np.float64),
        error_rate=float(np.mean(y != gold_first)),
        beta=beta,
        test_ids=test,
        test_y=(pool.gold[test[:, 0]] > pool.gold[test[:, 1]]).astype(np.float64),
    )


def beta_for(delta: np.ndarray, target: float) -> float:
    """Bisect for the beta under which the mean of sigma(-beta |delta|) is `target`."""
    low, high = -20.0, 20.0
    for _ in range(100):
        middle = (low + high) / 2
        too_noisy = expit(-np.exp(middle) * np.abs(delta)).mean() > target
        low, high = (middle, high) if too_noisy else (low, middle)
    return float(np.exp(low))


def _cross_prompt_ids(pool, rows, n, rng) -> np.ndarray:
    drawn = rng.choice(rows, (2 * n, 2))
    prompts, gold = pool.prompt_ids[drawn], pool.gold[drawn]
    usable = (prompts[:, 0] != prompts[:, 1]) & (gold[:, 0] != gold[:, 1])
    return np.unique(np.sort(drawn[usable], axis=1), axis=0)
