"""Compare rules that choose the linear head's penalty from held-out losses.

    python benchmarks/choose_penalty.py [--cache DIR] [--out FILE] [--minutes M]

Every task is fitted at each penalty of the path; a rule sees the held-out losses, and
is judged by order consistency with gold on pairs of unseen prompts. The texts are those
of `text_pools.py`. Their gold is made up in two ways: by rules on the text, and by
"teachers", functions of the vectors, more or less linear and with more or less chance,
which embeddings show better. Nothing here comes from the data that results are judged
by. A half-done run goes on where it was stopped.
"""

from itertools import product
from pathlib import Path

import numpy as np
from heads_data import make_task
from resumable import make_parser, run_tasks, write_summary
from text_pools import CELLS, GOLDS, load_texts, make_pool, standard

from embrm import CandidatePool
from embrm.heads import make_comparisons, make_head, order_consistency
from embrm.heads.linear.design import mean_and_scale
from embrm.heads.linear.newton import minimise
from embrm.heads.linear.problem import make_problem, mean_square_difference
from embrm.heads.validation_split import grouped_folds

PRIORS = np.geomspace(0.03, 30.0, 13)
LOG_PRIORS = np.log(PRIORS)


def teacher_pool(k: int, directory: Path) -> CandidatePool:
    """Gold is a function of the vectors: partly linear, partly not, partly chance."""
    data, rng = load_texts(directory), np.random.default_rng([7, k])
    centred = data.vectors - data.vectors.mean(axis=0)
    deviation = centred.std(axis=0)
    scaled = centred / np.where(deviation == 0, 1, deviation)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    components = centred @ axes.T
    components /= components.std(axis=0) + 1e-12
    power = (0.0, 0.5, 1.0)[k % 3]
    weights = (singular / singular[0]) ** power * rng.normal(size=len(singular))
    hidden = rng.normal(size=(scaled.shape[1], 64)) * 1.5 / np.sqrt(scaled.shape[1])
    bent = np.tanh(scaled @ hidden) @ rng.normal(size=64)
    share = (1.0, 0.6, 0.3)[k // 3 % 3]
    seen = standard(
        share * standard(components @ weights) + (1 - share) * standard(bent)
    )
    unseen = (0.05, 0.3, 0.6)[(k + k // 3) % 3]
    value = np.sqrt(1 - unseen) * seen
    value += np.sqrt(unseen) * rng.standard_t(4, size=len(seen)) / np.sqrt(2)
    of_prompt = rng.uniform(0.3, 1.5) * rng.normal(size=data.prompt.max() + 1)
    return CandidatePool(
        data.vectors, data.prompt, gold=6 * (value + of_prompt[data.prompt])
    )


def tasks() -> list[dict]:
    found = [
        {"gold": "teacher", "seed": k, "n": n, "error": error, "pairing": pairing}
        for k, n, (error, pairing) in product(range(9), (500, 2000, 10000), CELLS)
    ]
    found += [
        {"gold": gold, "seed": 300 + k, "n": n, "error": error, "pairing": pairing}
        for (k, gold), n, (error, pairing) in product(
            enumerate(GOLDS), (2000, 10000), CELLS
        )
    ]
    return [found[k] for k in np.random.default_rng(0).permutation(len(found))]


def follow_path(wanted: dict, directory: Path) -> dict:
    """Fit one task at each penalty: held-out loss, its error, test consistency."""
    seed = wanted["seed"]
    if wanted["gold"] == "teacher":
        pool = teacher_pool(seed, directory)
    else:
        pool = make_pool(wanted["gold"], seed, directory)
    task = make_task(
        pool, wanted["n"], wanted["error"], wanted["pairing"], 50 + seed % 300
    )
    comparisons = make_comparisons(task.pairs, task.y)
    scale = mean_and_scale(comparisons.items)[1]
    problem = make_problem(comparisons, scale)
    square = mean_square_difference(problem)
    folds = grouped_folds(comparisons, 5)
    parts = [(problem.take(train), problem.take(held)) for train, held in folds]
    weight = np.concatenate([held.weight for _, held in parts])
    whole = np.zeros(len(problem.curvature))
    starts = [whole] * len(parts)
    first, second = task.test_ids.T

    def consistency(reward):
        return float(order_consistency(reward[first] - reward[second], task.test_y))

    losses, test = [], []
    for prior in PRIORS:
        alpha = square / prior**2
        starts = [
            minimise(train, alpha, start, tol=1e-3, max_iter=30)[0]
            for (train, _), start in zip(parts, starts, strict=True)
        ]
        logits = [held.delta(w) for (_, held), w in zip(parts, starts, strict=True)]
        losses.append(np.logaddexp(0, -np.concatenate(logits)))
        whole, _, _ = minimise(problem, alpha, whole, tol=1e-4, max_iter=50)
        coef = whole if problem.basis is None else problem.basis @ whole
        test.append(consistency(pool.items @ (coef / scale)))
    mean = np.array(losses) @ weight / weight.sum()
    excess = np.array(losses) - losses[int(mean.argmin())]
    excess -= (mean - mean.min())[:, None]
    logistic = make_head("logistic").fit(task.pairs, task.y).reward(pool.items)
    return {
        "n_held_out": len(weight),
        "loss": mean.tolist(),
        "error_of_loss": (np.sqrt(excess**2 @ weight**2) / weight.sum()).tolist(),
        "consistency": test,
        "logistic": consistency(logistic),
    }


def within_one_error(row: dict) -> int:
    mean, error = np.array(row["loss"]), np.array(row["error_of_loss"])
    return int(np.argmax(mean <= mean.min() + error))


def most_probable(row: dict, median: float, spread: float) -> int:
    cost = row["n_held_out"] * np.array(row["loss"])
    return int(np.argmin(cost + ((LOG_PRIORS - np.log(median)) / spread) ** 2 / 2))


RULES = {
    "strongest within one error": within_one_error,
    "least loss": lambda row: int(np.argmin(row["loss"])),
    **{
        f"most probable, {median} nats, spread {spread}": (
            lambda row, m=median, s=spread: most_probable(row, m, s)
        )
        for median, spread in product((0.3, 0.5, 1.0), (0.5, 0.7, 1.0))
    },
    "always 0.5 nats": lambda _: int(np.argmin(abs(LOG_PRIORS - np.log(0.5)))),
    "best in hindsight": lambda row: int(np.argmax(row["consistency"])),
}


def summarise(rows: list[dict]) -> list[dict]:
    """Paired differences to the first rule, by cell."""
    groups = {"all": rows}
    for error, pairing in CELLS:
        groups[f"{error:.0%} {pairing}"] = [
            row for row in rows if (row["error"], row["pairing"]) == (error, pairing)
        ]
    base_rule = next(iter(RULES.values()))
    summary = []
    for (place, members), (name, rule) in product(groups.items(), RULES.items()):
        if not members:
            continue
        value = np.array([row["consistency"][rule(row)] for row in members])
        gap = value - [row["consistency"][base_rule(row)] for row in members]
        summary.append(
            {
                "tasks": place,
                "n_tasks": len(members),
                "rule": name,
                "consistency": round(float(value.mean()), 4),
                "less the first rule": round(float(gap.mean()), 4),
                "standard error": round(float(gap.std() / np.sqrt(len(gap))), 4),
                "worst": round(float(gap.min()), 4),
            }
        )
    return summary


def main() -> None:
    parser = make_parser(__doc__, "choose_penalty")
    arguments = parser.parse_args()
    rows = run_tasks(
        tasks(), lambda task: follow_path(task, arguments.cache), arguments
    )
    write_summary(rows, summarise(rows), arguments.out)


if __name__ == "__main__":
    main()
