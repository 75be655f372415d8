"""Choose defaults on made-up pools, never on real data.

    python benchmarks/choose_defaults.py linear [--n-scenarios 96]
    python benchmarks/choose_defaults.py classifiers [--n-scenarios 16]

Each scenario is drawn at random: dimension, decay of the items' spectrum, where in the
spectrum the reward lies, share of the reward that no linear head can explain, number
of pairs, pairing, and label error rate. Every rule sees the same pairs; what counts is
order consistency with the gold score on pairs of unseen prompts. "Regret" is that of
the best ridge on any path, less that of the rule: less is better.

The result is `results/choose_defaults_<part>.json`: a summary, then every scenario.
"""

import argparse
import json
import time
import warnings
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from embrm import Pairs
from embrm.heads import (
    ClassificationReward,
    Comparisons,
    LinearBradleyTerry,
    make_comparisons,
)
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import (
    LinearProblem,
    make_problem,
    mean_square_difference,
    whiten_prior,
)
from embrm.heads.validation_split import grouped_folds

PRIORS = np.geomspace(0.03, 30.0, 13)
SHAPES = {"plain": 0.0, "half": 0.5, "whitened": 1.0}
N_RESPONSES = 8
N_TEST_PROMPTS = 300
N_TEST_PAIRS = 6000

CANDIDATES = {
    "logistic": [{"C": None, "prior": prior} for prior in (0.125, 0.25, 0.5, 1.0, 2.0)],
    "mlp": [
        {"hidden_layer_sizes": (64,), "alpha": alpha, "max_iter": 50}
        for alpha in (0.1, 1.0, 10.0, 100.0)
    ],
    "lightgbm": [
        {},
        {"num_leaves": 8},
        {"num_leaves": 4, "n_estimators": 100},
        {"num_leaves": 31, "extra_trees": False, "reg_lambda": 0.0},
    ],
    "xgboost": [
        {},
        {"max_depth": 3},
        {"n_estimators": 100},
        {"max_depth": 6, "reg_lambda": 1.0, "colsample_bytree": 1.0},
    ],
}


@dataclass(frozen=True)
class Scenario:
    """One made-up annotation task."""

    d: int
    decay: float
    # 0: weights alike in all coordinates; 1: alike in standard deviations.
    signal: float
    unexplained: float
    curved: float
    n_pairs: int
    pairing: str
    error_rate: float
    seed: int


def draw_scenarios(
    n: int, seed: int, sizes: tuple, widths: tuple, curved: tuple
) -> list[Scenario]:
    rng = np.random.default_rng(seed)
    error_rates = (0.0, 0.2, 0.3, 0.4)
    return [
        Scenario(
            d=int(rng.choice(widths)),
            decay=float(rng.choice([0.0, 0.5, 1.0, 1.5])),
            signal=float(rng.choice([0.0, 0.5, 1.0])),
            unexplained=float(rng.choice([0.1, 0.4, 0.7])),
            curved=float(rng.choice(curved)),
            n_pairs=sizes[k % len(sizes)],
            pairing=str(rng.choice(["same", "cross"])),
            error_rate=error_rates[(k // len(sizes)) % len(error_rates)],
            seed=int(rng.integers(2**31)),
        )
        for k in range(n)
    ]


class Task:
    """The pool of a scenario, its labelled pairs and its test."""

    def __init__(self, s: Scenario) -> None:
        rng = np.random.default_rng(s.seed)
        n_train = max(20, s.n_pairs // 6)
        n_prompts = n_train + N_TEST_PROMPTS
        self.prompt = np.repeat(np.arange(n_prompts), N_RESPONSES)
        self.items, gold = make_items(s, rng, n_prompts, self.prompt)
        self.ids = draw_pairs(np.arange(n_train), s.n_pairs, s.pairing, rng)
        self.test = draw_pairs(
            np.arange(n_train, n_prompts), N_TEST_PAIRS, s.pairing, rng
        )
        y = gold[self.ids[:, 0]] > gold[self.ids[:, 1]]
        self.y = np.where(rng.random(len(y)) < s.error_rate, ~y, y)
        self.sign = np.sign(gold[self.test[:, 0]] - gold[self.test[:, 1]])
        self.pairs = Pairs(self.items, self.ids, self.prompt)

    def score(self, reward: np.ndarray) -> float:
        delta = reward[self.test[:, 0]] - reward[self.test[:, 1]]
        return float(np.mean((1 + np.sign(delta) * self.sign) / 2))


def make_items(
    s: Scenario, rng: np.random.Generator, n_prompts: int, prompt: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    spectrum = np.arange(1, s.d + 1) ** -s.decay
    # Half of the variance is the prompt's, which its responses share.
    latent = np.sqrt(0.5) * rng.normal(size=(n_prompts, s.d))[prompt]
    latent += np.sqrt(0.5) * rng.normal(size=latent.shape)
    components = latent * np.sqrt(spectrum)
    weights = rng.normal(size=s.d) * spectrum ** (-s.signal / 2)
    linear = standard(components @ weights)
    bends = standard(np.abs(latent[:, :4]).sum(axis=1))
    gold = np.sqrt(1 - s.curved) * linear + np.sqrt(s.curved) * bends
    gold = np.sqrt(1 - s.unexplained) * gold
    gold += np.sqrt(s.unexplained) * rng.normal(size=len(prompt))
    gold += rng.normal(size=n_prompts)[prompt]
    # Coordinates of encoders are mixtures of principal components.
    rotation = np.linalg.qr(rng.normal(size=(s.d, s.d)))[0]
    return components @ rotation.T, gold


def standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def draw_pairs(
    prompts: np.ndarray, n: int, pairing: str, rng: np.random.Generator
) -> np.ndarray:
    first = rng.integers(len(prompts), size=n)
    step = rng.integers(1, len(prompts), n) if pairing == "cross" else 0
    second = (first + step) % len(prompts)
    one = rng.integers(N_RESPONSES, size=n)
    other = (one + rng.integers(1, N_RESPONSES, n)) % N_RESPONSES
    ends = np.stack([prompts[first], prompts[second]]) * N_RESPONSES
    return (ends + np.stack([one, other])).T


def log_evidence(problem: LinearProblem, w: np.ndarray, alpha: float) -> float:
    r"""Compute Laplace's log evidence at the minimum `w` for a penalty alpha > 0.

    With H the Hessian of the losses it is, up to a constant [1]_,

    .. math:: -F(w) - \tfrac12 \log \lvert I + H / \alpha \rvert

    H is taken as the Hessian at zero, whose eigenvalues are known, times the wins'
    mean curvature in proportion to that at zero.

    References
    ----------
    .. [1] MacKay (1992). The evidence framework applied to classification networks.
       Neural Computation 4.
    """
    value, _, curvature = problem.loss.evaluate(problem.delta(w) - problem.margin)
    total = problem.weight.sum()
    size = 4.0 * float(problem.weight @ curvature) / total
    cost = float(problem.weight @ value) + alpha / 2 * float(w @ w)
    return -cost - 0.5 * float(np.log1p(size * problem.curvature / alpha).sum())


def run_path(comparisons: Comparisons, problem: LinearProblem, task: Task) -> dict:
    """Fit the whole path; apply the rules that choose a point on it."""
    alphas = mean_square_difference(problem) / PRIORS**2
    start = np.zeros(len(problem.curvature))
    accuracy, evidence = [], []
    for alpha in alphas:
        start, _, _ = minimise(problem, alpha, start, tol=1e-4, max_iter=50)
        accuracy.append(task.score(task.items @ (problem.basis @ start)))
        evidence.append(log_evidence(problem, start, alpha))
    losses, weight = held_out_losses(comparisons, problem, alphas)
    means = losses @ weight / weight.sum()
    best = int(np.argmin(means))
    excess = losses - losses[best] - (means - means[best])[:, None]
    error = np.sqrt(excess**2 @ weight) / weight.sum()
    top = int(np.argmax(evidence))
    chosen = {
        "cross-validation, one standard error": int(
            np.argmax(means <= means[best] + error)
        ),
        "cross-validation, least loss": best,
        "evidence": top,
        "mean of log alpha of the last two": (top + best) // 2,
    }
    result = {name: accuracy[k] for name, k in chosen.items()}
    return result | {"best of path": max(accuracy)}


def held_out_losses(
    comparisons: Comparisons, problem: LinearProblem, alphas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    folds = grouped_folds(comparisons, 5)
    parts = [(problem.take(t), problem.take(h)) for t, h in folds]
    starts = [np.zeros(len(problem.curvature)) for _ in parts]
    losses = []
    for alpha in alphas:
        for k, (train, _) in enumerate(parts):
            starts[k], _, _ = minimise(train, alpha, starts[k], tol=1e-3, max_iter=30)
        logits = [
            h.delta(w) - h.margin for (_, h), w in zip(parts, starts, strict=True)
        ]
        losses.append(np.logaddexp(0.0, -np.concatenate(logits)))
    return np.array(losses), np.concatenate([h.weight for _, h in parts])


def run_linear(s: Scenario) -> dict:
    task = Task(s)
    comparisons = make_comparisons(task.pairs, task.y)
    plain = make_problem(comparisons)
    rules = {}
    for name, power in SHAPES.items():
        found = run_path(comparisons, whiten_prior(plain, power, s.d), task)
        rules |= {f"{name}; {rule}": value for rule, value in found.items()}
    head = LinearBradleyTerry(posterior=False).fit(task.pairs, task.y)
    rules["LinearBradleyTerry()"] = task.score(head.reward(task.items))
    return rules


def run_classifiers(s: Scenario) -> dict:
    task = Task(s)
    rules = {}
    for word, candidates in CANDIDATES.items():
        for candidate in candidates:
            params = dict(candidate)
            if "prior" in params:
                params["C"] = params.pop("prior") ** 2 / (2 * s.d)
            head = ClassificationReward(word, estimator_params=params, random_state=0)
            reward = head.fit(task.pairs, task.y).reward(task.items)
            rules[f"{word} {candidate}"] = task.score(reward)
    return rules


def summarise(rows: list[dict]) -> dict:
    """Mean, 95% quantile and largest regret of each rule, in percentage points."""
    names = list(rows[0]["order_consistency"])
    table = np.array([[r["order_consistency"][n] for n in names] for r in rows])
    paths = [k for k, name in enumerate(names) if name.endswith("best of path")]
    regret = 100 * (table[:, paths or slice(None)].max(axis=1)[:, None] - table)
    return {
        name: {
            "mean regret": round(float(column.mean()), 3),
            "95% quantile": round(float(np.quantile(column, 0.95)), 2),
            "largest": round(float(column.max()), 2),
            "mean order consistency": round(float(table[:, k].mean()), 4),
        }
        for k, (name, column) in enumerate(zip(names, regret.T, strict=True))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["linear", "classifiers"])
    parser.add_argument("--n-scenarios", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out = arguments.out or Path(
        f"benchmarks/results/choose_defaults_{arguments.part}.json"
    )
    linear = arguments.part == "linear"
    scenarios = draw_scenarios(
        arguments.n_scenarios,
        arguments.seed,
        sizes=(200, 500, 1000, 2000, 5000, 20_000) if linear else (500, 2000, 5000),
        widths=(16, 64, 256, 384, 1024) if linear else (64, 256),
        curved=(0.0,) if linear else (0.0, 0.5),
    )
    warnings.simplefilter("ignore")
    begun, rows = time.monotonic(), []
    for s in scenarios:
        values = run_linear(s) if linear else run_classifiers(s)
        rows.append({"scenario": asdict(s), "order_consistency": values})
        if time.monotonic() - begun > 60 * arguments.minutes:
            break
        print(f"{len(rows)} of {len(scenarios)}", flush=True)
    result = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "n_scenarios": len(rows),
        "summary": summarise(rows),
        "scenarios": rows,
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["summary"], indent=1))


if __name__ == "__main__":
    main()
