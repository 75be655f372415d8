"""Compare prior variances of prompts' intercepts in the linear head, on made-up gold.

    python benchmarks/choose_effects.py [--cache DIR] [--out FILE] [--minutes M]

Pairs are across prompts. Every task is fitted without intercepts and with intercepts
of several prior variances, in multiples of that of items' rewards; the penalty is the
most probable one given wins between held-out items. Judged by order consistency with
gold on pairs of unseen prompts. Pools are those of `choose_penalty.py`: nothing here
comes from the data that results are judged by. A half-done run goes on where it was
stopped.
"""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from choose_penalty import PRIORS, teacher_pool
from heads_data import make_task
from resumable import make_parser, run_tasks, write_summary
from text_pools import GOLDS, make_pool

from embrm.heads import make_comparisons, order_consistency
from embrm.heads.linear.design import mean_and_scale
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import make_problem
from embrm.heads.validation_split import grouped_folds

VARIANCES = (0.0, 0.1, 0.3, 1.0, 3.0)
TRIED = PRIORS[2:11]
DOUBT = (np.log(TRIED / 0.5) / 0.7) ** 2 / 2


def tasks() -> list[dict]:
    found = []
    for n, error, k in product((2000, 10000), (0.0, 0.3, 0.4), range(5)):
        rest = {"n": n, "error": error}
        found.append({"kind": "teacher", "seed": 20 + k} | rest)
        found.append({"kind": "text", "gold": GOLDS[k], "seed": 500 + k} | rest)
    return [found[i] for i in np.random.default_rng(1).permutation(len(found))]


def follow_path(comparisons, items, gap, variance, consistency) -> dict:
    """Fit each penalty, with intercepts of a variance: held-out losses and scores."""
    d, columns = items.shape[1], items
    if variance > 0:
        one_hot = np.eye(int(comparisons.groups.max()) + 1)[comparisons.groups]
        columns = np.hstack([items, np.sqrt(variance * gap / 2) * one_hot])
    problem = make_problem(replace(comparisons, items=columns))
    by_item = replace(comparisons, groups=np.arange(len(items)))
    parts = [(problem.take(t), problem.take(v)) for t, v in grouped_folds(by_item, 5)]
    whole = np.zeros(len(problem.curvature))
    starts, losses, scores = [whole] * len(parts), [], []
    for prior in TRIED:
        alpha = gap / prior**2
        starts = [
            minimise(train, alpha, start, tol=1e-3, max_iter=30)[0]
            for (train, _), start in zip(parts, starts, strict=True)
        ]
        logits = [
            (held.weight, held.delta(w))
            for (_, held), w in zip(parts, starts, strict=True)
        ]
        losses.append(sum(float(c @ np.logaddexp(0, -logit)) for c, logit in logits))
        whole = minimise(problem, alpha, whole, tol=1e-4, max_iter=50)[0]
        coef = whole if problem.basis is None else problem.basis @ whole
        scores.append(consistency(coef[:d]))
    return {"losses": losses, "scores": scores}


def run(wanted: dict, directory: Path) -> dict:
    seed = wanted["seed"]
    if wanted["kind"] == "teacher":
        pool = teacher_pool(seed, directory)
    else:
        pool = make_pool(wanted["gold"], seed, directory)
    task = make_task(pool, wanted["n"], wanted["error"], "cross", seed)
    comparisons = make_comparisons(task.pairs, task.y)
    scale = mean_and_scale(comparisons.items)[1]
    items = (comparisons.items / scale).astype(np.float64)
    gap = items[comparisons.winner] - items[comparisons.loser]
    square = float((gap**2).sum(axis=1).mean())
    first, second = task.test_ids.T

    def consistency(coef):
        reward = pool.items @ (coef / scale)
        return float(order_consistency(reward[first] - reward[second], task.test_y))

    paths = {
        str(variance): follow_path(comparisons, items, square, variance, consistency)
        for variance in VARIANCES
    }
    return {"paths": paths}


def summarise(rows: list[dict]) -> list[dict]:
    """Paired differences to no intercepts, by number of pairs and errors."""
    groups = {"all": rows}
    for n, error in product((2000, 10000), (0.0, 0.3, 0.4)):
        here = [row for row in rows if (row["n"], row["error"]) == (n, error)]
        groups[f"{n} pairs, {error:.0%} errors"] = here
    summary = []
    for (name, members), variance in product(groups.items(), VARIANCES):
        if not members:
            continue
        chosen = np.array(
            [[_chosen(row, v) for v in (variance, 0.0)] for row in members]
        )
        gap = chosen[:, 0] - chosen[:, 1]
        summary.append(
            {
                "tasks": name,
                "n_tasks": len(members),
                "variance": variance,
                "consistency": round(float(chosen[:, 0].mean()), 4),
                "less none": round(float(gap.mean()), 4),
                "standard error": round(float(gap.std() / np.sqrt(len(gap))), 4),
            }
        )
    return summary


def _chosen(row: dict, variance: float) -> float:
    path = row["paths"][str(variance)]
    return path["scores"][int(np.argmin(np.array(path["losses"]) + DOUBT))]


def main() -> None:
    parser = make_parser(__doc__, "choose_effects")
    arguments = parser.parse_args()
    rows = run_tasks(tasks(), lambda task: run(task, arguments.cache), arguments)
    write_summary(rows, summarise(rows), arguments.out)


if __name__ == "__main__":
    main()
