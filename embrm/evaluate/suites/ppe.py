"""Preference Proxy Evaluations: human preference, and verifiable correctness.

Frick et al. (2024), arXiv:2410.14872. Metrics are as the paper describes them; those
of models' rankings and of best-of-K have not been compared with the benchmark's code,
and the table says so.
"""

import re

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from embrm._typing import AnyArray, BoolArray, FloatArray, IntArray
from embrm.evaluate.best_of_n import best_of_n_curve
from embrm.evaluate.rank_correlation import kendall_tau_b, spearman
from embrm.evaluate.suites._score_table import (
    ScoreTable,
    Side,
    is_sequence,
)
from embrm.evaluate.suites._scoring import Aggregate, Cell, Scoring
from embrm.evaluate.suites.pairs import judged, labels, summed, verdicts
from embrm.exceptions import invalid_input

SIDES = (
    Side("response_1", ("response_a", "model_a")),
    Side("response_2", ("response_b", "model_b")),
)
_RESPONSE = re.compile(r"response_(\d+)")
_N_RESAMPLES, _LEVEL = 100, 0.95


def score_ppe(table: ScoreTable) -> Scoring:
    """Score PPE: human preference, or correctness where rows have lists of `scores`.

    Human preference (`winner` among model_a, model_b, tie): `accuracy` over pairs that
    are no tie, strictly; and, from the Bradley-Terry ratings of the models by people
    and by rewards, Spearman's and Kendall's correlation, row-wise Pearson correlation
    of win rates, separability, agreement with confidence, and the Brier score.

    Correctness (`scores` of the responses, right or wrong; rewards of `response_1` ...
    `response_K`): `accuracy` over the row's `sampled_conflict_pairs`, or
    `conflict_pairs`, or all pairs of a right and a wrong response; ROC-AUC; the mean
    score of the best of K (`end score`), the greatest of that over k (`max score`), and
    the mean loss to picking by the scores themselves. By `benchmark`, if the rows have
    the column.
    """
    if table.column("scores") is None:
        return _human_preference(table)
    return _correctness(table)


def _human_preference(table: ScoreTable) -> Scoring:
    votes = verdicts(table, *SIDES)
    winner = labels(table, *SIDES, "winner")
    verdict = np.sign(summed(votes))
    right = (verdict * winner > 0).astype(float)
    found = judged(votes)
    single: dict[str, float] = {}
    if {"model_a", "model_b"} <= set(table.rows.columns) and found.any():
        a, b = (table.texts(side)[found] for side in ("model_a", "model_b"))
        single = _of_models(a, b, winner[found], verdict[found])
    return Scoring.of_cells(
        [Cell("accuracy", right, winner != 0)],
        found,
        "accuracy",
        single={f"{name} (unverified)": value for name, value in single.items()},
    )


def _of_models(
    a: AnyArray, b: AnyArray, human: FloatArray, verdict: FloatArray
) -> dict[str, float]:
    """Compare the models' ratings by people with those by rewards."""
    names, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    n = len(names)
    if n < 3:
        return {}
    ends = codes.reshape(2, -1)
    generator = np.random.default_rng(0)
    sides = {}
    for name, votes in (("people", human), ("rewards", verdict)):
        size = len(votes)
        draws = [
            np.bincount(generator.integers(size, size=size), minlength=size)
            for _ in range(_N_RESAMPLES)
        ]
        weights = [np.ones(size), *(draw.astype(float) for draw in draws)]
        sides[name] = np.array([_ratings(ends, votes, w, n) for w in weights])
    people, rewards = sides["people"], sides["rewards"]
    one, other = np.triu_indices(n, 1)
    # How sure each side is of every two models: the sign of the difference, or 0.
    sure = {name: _sure(r[1:, one] - r[1:, other]) for name, r in sides.items()}
    gap = rewards[1:, one] - rewards[1:, other]
    spread = np.maximum(gap.std(axis=0), 1e-12)
    p_first = norm.cdf((rewards[0, one] - rewards[0, other]) / spread)
    truth = (people[0, one] > people[0, other]).astype(float)
    told = sure["people"] != 0
    return {
        "Spearman of models": float(spearman(people[0], rewards[0])),
        "Kendall of models": float(kendall_tau_b(people[0], rewards[0])),
        "row-wise Pearson": _row_wise(ends, human, verdict, n),
        "separability": float((sure["rewards"] != 0).mean()),
        "confidence agreement": float(
            (sure["rewards"] * sure["people"])[told].mean() if told.any() else np.nan
        ),
        "Brier of models": float(np.mean((p_first - truth) ** 2)),
    }


def _ratings(
    ends: IntArray, votes: FloatArray, weight: FloatArray, n: int
) -> FloatArray:
    """Fit Bradley-Terry ratings by minorisation, ties as half a win each."""
    wins = np.zeros((n, n))
    np.add.at(wins, (ends[0], ends[1]), weight * (votes + 1) / 2)
    np.add.at(wins, (ends[1], ends[0]), weight * (1 - votes) / 2)
    # A tenth of a game each way keeps models that always win finite.
    played = wins + wins.T
    wins = wins + 0.1 * (played > 0)
    played = wins + wins.T
    strength = np.ones(n)
    for _ in range(200):
        before = strength
        strength = wins.sum(axis=1) / np.maximum(
            1e-12, (played / (strength[:, None] + strength)).sum(axis=1)
        )
        strength = np.maximum(strength, 1e-12)
        strength = strength / np.exp(np.mean(np.log(strength)))
        if np.abs(strength / before - 1).max() < 1e-6:
            break
    return np.asarray(np.log(np.maximum(strength, 1e-12)))


def _sure(differences: FloatArray) -> FloatArray:
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(differences, [tail, 1 - tail], axis=0)
    return np.asarray((low > 0).astype(float) - (high < 0).astype(float))


def _row_wise(ends: IntArray, human: FloatArray, verdict: FloatArray, n: int) -> float:
    """Correlate each model's win rates against the others, and average over models."""
    rates = []
    for votes in (human, verdict):
        points, games = np.zeros((2, n, n))
        for one, other, sign in ((ends[0], ends[1], 1), (ends[1], ends[0], -1)):
            np.add.at(points, (one, other), (1 + sign * votes) / 2)
            np.add.at(games, (one, other), 1.0)
        with np.errstate(invalid="ignore"):
            rates.append(points / games)
    each = []
    for one, other in zip(*rates, strict=True):
        known = ~(np.isnan(one) | np.isnan(other))
        if known.sum() > 2 and one[known].std() > 0 and other[known].std() > 0:
            each.append(float(np.corrcoef(one[known], other[known])[0, 1]))
    return float(np.mean(each)) if each else np.nan


def _correctness(table: ScoreTable) -> Scoring:
    gold = _wide_scores(table)
    rewards = _wide_rewards(table, gold.shape[1])
    present = ~np.isnan(gold)
    found = np.asarray((~np.isnan(rewards) | ~present).all(axis=1))
    accuracy = _conflicts(table, gold, rewards)
    benchmarks = table.names("benchmark")
    names = sorted(set(benchmarks))
    mixed = ~np.isnan(accuracy)
    titles = {n: "accuracy" if len(names) == 1 else f"{n}/accuracy" for n in names}
    cells = [
        Cell(name, accuracy, (benchmarks == benchmark) & mixed)
        for benchmark, name in titles.items()
    ]
    single: dict[str, float] = {}
    for name in names:
        rows = (benchmarks == name) & found
        if rows.any():
            start = "" if len(names) == 1 else f"{name}/"
            curves = _best_of_k(gold[rows], rewards[rows])
            single |= {f"{start}{key} (unverified)": v for key, v in curves.items()}
    parts = tuple(cell.name for cell in cells)
    return Scoring(
        cells,
        [Aggregate("mean accuracy", parts)] if len(names) > 1 else [],
        found,
        benchmarks,
        "mean accuracy" if len(names) > 1 else "accuracy",
        single=single,
    )


def _wide_scores(table: ScoreTable) -> FloatArray:
    lists = [_gold_list(row, v) for row, v in enumerate(table.rows["scores"])]
    wide = np.full((len(table), max(map(len, lists))), np.nan)
    for row, values in enumerate(lists):
        wide[row, : len(values)] = values
    return wide


def _gold_list(row: int, values: object) -> list[float]:
    """Take the scores of a row's responses: true and false, or numbers."""
    known = (bool, int, float, np.number, np.bool_)
    if (
        not is_sequence(values)
        or len(values) == 0
        or not all(isinstance(v, known) for v in values)
    ):
        raise invalid_input(
            "a list of scores, one for each response, in every row",
            f"{type(values).__name__} in row {row}",
            "pass the benchmark's own rows",
        )
    return [float(v) for v in values]


def _wide_rewards(table: ScoreTable, width: int) -> FloatArray:
    table.lists(Side("response_1"))  # refuses what are no rewards
    wide = np.full((len(table), width), np.nan)
    names, items = pd.factorize(table.scores["side"])
    at = np.full(len(items), -1)
    for code, item in enumerate(items):
        match = _RESPONSE.fullmatch(str(item))
        at[code] = int(match[1]) - 1 if match else -1
    is_list = table.scores["side"].isin(["responses", "response"]).to_numpy()
    place = np.where(is_list, table.scores["index"].to_numpy(), at[names])
    if ((place < 0) | (place >= width)).any():
        raise invalid_input(
            f"items response_1 to response_{width}",
            "others",
            "count from 1, as the benchmark's columns do",
        )
    wide[table.scores["row"].to_numpy(np.intp), place] = table.scores["reward"]
    return wide


def _conflicts(table: ScoreTable, gold: FloatArray, rewards: FloatArray) -> FloatArray:
    """Compute the share of a row's conflict pairs ordered strictly right."""
    lists = table.column("sampled_conflict_pairs", "conflict_pairs")
    given = [] if lists is None else list(lists)
    listed = [_conflict_list(row, v, gold.shape[1]) for row, v in enumerate(given)]
    shares = np.full(len(table), np.nan)
    for row in range(len(table)):
        if lists is None:
            right, wrong = (np.flatnonzero(gold[row] == v) for v in (1, 0))
            pairs = np.array([(i, j) for i in right for j in wrong], np.intp)
        else:
            pairs = np.asarray(listed[row], np.intp)
        if len(pairs):
            one, other = pairs.T
            sign = np.sign(gold[row, one] - gold[row, other])
            better = rewards[row, one] > rewards[row, other]
            worse = rewards[row, one] < rewards[row, other]
            shares[row] = np.where(sign > 0, better, worse).mean()
    return shares


def _conflict_list(row: int, values: object, width: int) -> IntArray:
    """Take the pairs of response numbers that a row lists."""
    try:
        pairs = np.array(values, dtype=np.intp).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        pairs = np.array([[-1, -1]])
    if ((pairs < 0) | (pairs >= width)).any():
        raise invalid_input(
            f"conflict pairs (i, j) of responses 0 to {width - 1}",
            f"others in row {row}",
            "pass the benchmark's own rows",
        )
    return pairs


def _best_of_k(gold: FloatArray, rewards: FloatArray) -> dict[str, float]:
    prompts = np.repeat(np.arange(len(gold)), gold.shape[1])
    keep: BoolArray = ~np.isnan(gold.ravel())
    scores, values = gold.ravel()[keep], rewards.ravel()[keep]
    # Ranks order as rewards do, infinite ones among them.
    ranks = rankdata(values)
    curve = best_of_n_curve(scores, ranks, prompts[keep]).mean
    oracle = best_of_n_curve(scores, scores, prompts[keep]).mean
    return {
        "ROC-AUC": _auc(scores, ranks),
        "end score": float(curve[-1]),
        "max score": float(np.max(curve)),
        "loss to oracle": float(np.mean(oracle - curve)),
    }


def _auc(gold: FloatArray, ranks: FloatArray) -> float:
    right = gold == 1
    n_right, n_wrong = int(right.sum()), int((gold == 0).sum())
    if not n_right or not n_wrong:
        return np.nan
    above = ranks[right].sum() - n_right * (n_right + 1) / 2
    return float(above / (n_right * n_wrong))
