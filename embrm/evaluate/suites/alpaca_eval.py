"""AlpacaEval 2, with its length-controlled win rates, and MT-Bench's votes of people.

Dubois et al. (2024), arXiv:2404.04475; Zheng et al. (2023), arXiv:2306.05685.
"""

import warnings
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, BoolArray, FloatArray
from embrm.evaluate.suites._score_table import ScoreTable, Side, keys_of
from embrm.evaluate.suites._scoring import Cell, Scoring
from embrm.evaluate.suites.pairs import labels, order_of, verdicts
from embrm.exceptions import invalid_input

SIDES = (Side("output_1", ("baseline",)), Side("output_2", ("output", "model")))

LENGTH_ONLY = "length-only GLM, not official"
_N_SPLITS, _SEED, _BASELINE_WEIGHT = 5, 123, 0.2

MT_BENCH_SIDES = (
    Side("model_a", ("conversation_a", "response_a", "A")),
    Side("model_b", ("conversation_b", "response_b", "B")),
)


def score_alpaca_eval(
    table: ScoreTable,
    *,
    difficulty: Any = None,
    gamed: pd.DataFrame | None = None,
) -> Scoring:
    """Score AlpacaEval: how often the model's output beats the baseline's.

    `preference` is 1 where `output_1`, the baseline, wins, 2 where `output_2` does, 1.5
    (or 0) for a draw, and anything between of a weighted judge; of rewards, 2 where
    output_2 has the greater one. Annotations without a preference (NaN) are left out,
    as the benchmark does. `win rate` is the mean of preference - 1, `discrete
    win rate` counts wins and half of the draws. The headline is the win rate.

    The length-controlled win rate needs the lengths of both outputs (columns
    `output_1, output_2`, or `length_1, length_2`) and is the mean prediction, at no
    difference of length, of a logistic regression on tanh of the standardised
    difference of length, the instruction's `difficulty`, and a constant. With
    `difficulty` and `gamed`, the benchmark's `df_gamed.csv` (`preference,
    std_delta_len, instruction_difficulty`), it is official (`length_controlled_v1`);
    with `difficulty` alone it is the benchmark's `length_controlled_noreg`; without it
    is labelled "length-only GLM, not official".
    """
    preference, annotated = _preferences(table)
    known = ~np.isnan(preference)
    rounded = np.where(preference == 1.5, 0.5, np.round(preference) - 1)
    everywhere = np.ones(len(table), bool)
    cells = [
        Cell("win rate", preference - 1, everywhere),
        Cell("discrete win rate", rounded, everywhere),
    ]
    lengths = _lengths(table)
    single: dict[str, float] = {}
    if known.sum() > 1:
        single["standard error"] = _sem(preference[known])
    notes: tuple[str, ...] = ()
    without = int((annotated & ~known).sum())
    if without:
        notes = (f"{without:,} annotations without a preference are left out.",)
    if lengths is None:
        notes += ("No lengths of outputs: no length-controlled win rate.",)
    elif not _has_both_in_every_fold(preference[known] - 1):
        notes += ("Too few wins or losses for a length-controlled win rate.",)
    else:
        hard = _difficulty(table, difficulty)
        name = _glm_name(hard, gamed)
        predicted = length_controlled(preference - 1, lengths, hard, gamed)
        single[name] = float(predicted.mean())
        single[f"standard error of {name}"] = _sem(predicted)
    return Scoring.of_cells(
        cells,
        annotated,
        "win rate",
        single=single,
        notes=notes,
    )


def _has_both_in_every_fold(target: FloatArray) -> bool:
    """Say whether what is left without a fold has wins and losses, to fit on."""
    from sklearn.model_selection import GroupKFold

    if len(target) < 2 * _N_SPLITS:
        return False
    groups = np.tile(np.arange(len(target)), 2)
    return all(
        target[groups[train]].max() > 0 and target[groups[train]].min() < 1
        for train, _ in GroupKFold(_N_SPLITS).split(groups, groups=groups)
    )


def _sem(values: FloatArray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _glm_name(difficulty: FloatArray | None, gamed: pd.DataFrame | None) -> str:
    if difficulty is None:
        return f"length-controlled win rate ({LENGTH_ONLY})"
    variant = "noreg" if gamed is None else "v1"
    return f"length-controlled win rate (length_controlled_{variant})"


def length_controlled(
    preference: FloatArray,
    lengths: FloatArray,
    difficulty: FloatArray | None = None,
    gamed: pd.DataFrame | None = None,
) -> FloatArray:
    r"""Predict preferences had both outputs the same length.

    Parameters
    ----------
    preference : ndarray of shape (n_rows,) in [0, 1]
        1 where the model's output wins; NaN rows are predicted, but not fitted on.
    lengths : ndarray of shape (n_rows, 2)
        Characters of the baseline's and the model's output.
    difficulty : ndarray of shape (n_rows,), optional
        Of each instruction.
    gamed : DataFrame, optional
        Annotations of gamed baselines, which weigh 0.2 / 2 each.

    Returns
    -------
    ndarray of shape (n_rows,)
        :math:`\sigma(b + c\,d_i)` of the fit :math:`P_i = \sigma(a \tanh(\Delta_i /
        s) + b + c\,d_i)`, :math:`\Delta` the baseline's length less the model's and s
        its standard deviation; L1 penalty chosen by 5-fold cross-validated log loss.
    """
    delta = lengths[:, 0] - lengths[:, 1]
    spread = delta.std(ddof=1)
    scaled = np.tanh(delta / spread) if spread > 0 else np.zeros(len(delta))
    constant = np.ones(len(delta))
    columns = [scaled, *([] if difficulty is None else [difficulty]), constant]
    features, target, weight = np.column_stack(columns), preference, constant
    if gamed is not None and difficulty is not None:
        more = np.column_stack(
            [
                np.tanh(gamed["std_delta_len"]),
                gamed["instruction_difficulty"],
                np.zeros(len(gamed)),
            ]
        )
        wins = gamed["preference"].to_numpy(float)
        # The file's preferences are shares already, or on the scale from 1 to 2.
        wins = wins - 1 if np.nanmax(wins) > 1 else wins
        features = np.vstack([more, features])
        target = np.concatenate([wins, preference])
        weight = np.concatenate([np.full(len(more), _BASELINE_WEIGHT / 2), weight])
    usable = ~np.isnan(target)
    coefficients = _fit(features[usable], target[usable], weight[usable])
    at_equal_length = np.column_stack(
        [np.zeros(len(delta)), *(column for column in columns[1:])]
    )
    from scipy.special import expit

    return np.asarray(expit(at_equal_length @ coefficients))


def _fit(features: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """Fit soft labels as two weighted rows each, penalty by cross-validation."""
    from sklearn import config_context
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import GroupKFold

    def log_loss(
        y: AnyArray, p: AnyArray, truth: FloatArray, row_weight: FloatArray
    ) -> float:
        share = np.where(y == 1, truth, 1 - truth)
        p = np.clip(p, 1e-15, 1 - 1e-15)
        losses = share * np.log(p) + (1 - share) * np.log(1 - p)
        return float(-np.mean(losses * row_weight))

    n = len(target)
    truth = np.concatenate([target, 1 - target])
    labels = np.repeat([1, 0], n)
    with config_context(enable_metadata_routing=True), warnings.catch_warnings():
        # Options that scikit-learn renames from one version to the next.
        warnings.simplefilter("ignore", FutureWarning)
        scorer = make_scorer(
            log_loss, response_method="predict_proba", greater_is_better=False
        ).set_score_request(truth=True, row_weight=True)
        model = LogisticRegressionCV(
            cv=GroupKFold(n_splits=_N_SPLITS),
            scoring=scorer,
            random_state=_SEED,
            solver="liblinear",
            fit_intercept=False,
            **_l1(),
        ).set_fit_request(sample_weight=True)
        both = np.concatenate([weight, weight])
        model.fit(
            np.vstack([features, features]),
            labels,
            sample_weight=truth * both,
            groups=np.tile(np.arange(n), 2),
            truth=truth,
            row_weight=both,
        )
    return np.asarray(model.coef_[0], dtype=np.float64)


def _l1() -> dict[str, Any]:
    """Ask for the L1 penalty as the installed scikit-learn spells it."""
    import inspect

    from sklearn.linear_model import LogisticRegressionCV

    known = inspect.signature(LogisticRegressionCV).parameters
    new = "use_legacy_attributes" in known
    return (
        {"l1_ratios": (1,), "use_legacy_attributes": True} if new else {"penalty": "l1"}
    )


def _preferences(table: ScoreTable) -> tuple[FloatArray, BoolArray]:
    """Give preferences, and say which rows are annotated, if without a preference."""
    if table.kind != "preferences":
        votes = verdicts(table, *SIDES)
        judged = np.asarray(~np.isnan(votes).any(axis=1))
        return np.where(judged, 1.5 - votes.mean(axis=1) / 2, np.nan), judged
    values = np.full(len(table), np.nan)
    raw = pd.to_numeric(table.scores["preference"], errors="coerce").to_numpy(float)
    given = table.scores["preference"].notna().to_numpy()
    if (np.isnan(raw) & given).any():
        raise invalid_input("preferences that are numbers", "text", "convert them")
    values[table.scores["row"].to_numpy(np.intp)] = np.where(raw == 0, 1.5, raw)
    bad = (values < 1) | (values > 2)
    if bad.any():
        raise invalid_input(
            "preferences from 1 (output_1 wins) to 2 (output_2 wins), 0 for a draw",
            f"{values[bad][0]:g} in row {int(bad.argmax())}",
            "add 1 to a share of wins",
        )
    annotated = np.zeros(len(table), bool)
    annotated[table.scores["row"].to_numpy(np.intp)] = True
    return values, annotated


def _lengths(table: ScoreTable) -> FloatArray | None:
    numbers = [table.numbers(f"length_{side}") for side in (1, 2)]
    if numbers[0] is not None and numbers[1] is not None:
        return np.column_stack([numbers[0], numbers[1]])
    texts = [table.column(f"output_{side}") for side in (1, 2)]
    if any(column is None for column in texts):
        return None
    sides = [np.array([len(str(t)) for t in c], float) for c in texts if c is not None]
    return np.column_stack(sides)


def _difficulty(table: ScoreTable, given: ArrayLike | None) -> FloatArray | None:
    """Take the difficulty of each row: by its id, or in order of the rows."""
    if given is None:
        return None
    if isinstance(given, pd.Series | dict):
        series = pd.Series(given)
        ids = (
            pd.Series(np.arange(len(table)))
            if table.id_column is None
            else table.rows[table.id_column]
        )
        keyed = pd.Series(series.to_numpy(float), keys_of(series.index.to_series()))
        values = keyed.reindex(keys_of(ids)).to_numpy(float)
    else:
        values = np.asarray(given, dtype=float)
    if values.shape != (len(table),) or np.isnan(values).any():
        raise invalid_input(
            f"a difficulty for each of the {len(table)} rows",
            f"shape {values.shape}, {int(np.isnan(values).sum())} missing",
            "pass a Series whose index has the rows' ids, or one number a row",
        )
    return values


def score_mt_bench_human(table: ScoreTable) -> Scoring:
    """Score agreement with the votes of MT-Bench's experts, one row a vote.

    Rows are `question_id, model_a, model_b, winner, judge, turn`; scores have
    `id` = question_id (and `turn`), and as item a side (`model_a`, with columns
    `model_a, model_b`) or the model's name. A judge that differs between its two orders
    says a tie. As in the benchmark, agreement is over votes, for each turn with ties,
    and without them (pairs left out that the judge or the vote calls a tie); the
    headline is without ties, over both turns. Beside it stand the agreement with the
    majority of a pair's votes (a tie where there is none), and that of people with
    people, which is what can be hoped for.
    """
    votes = labels(table, *MT_BENCH_SIDES, "winner")
    verdict = _verdict(table)
    human = _is_human(table)
    turns = table.numbers("turn")
    turn = np.ones(len(table)) if turns is None else turns
    if np.isnan(turn).any():
        raise invalid_input(
            "a turn in every row",
            f"none in row {int(np.isnan(turn).argmax())}",
            "fill it in, or leave the column out",
        )
    told = (votes != 0) & (verdict != 0)
    right = (verdict == votes).astype(float)
    majority, first = _majority(table, votes, human, turn)
    by_majority = (verdict == majority).astype(float)
    cells = [
        *(
            Cell(f"turn {t:g} {words}", right, human & (turn == t) & kept)
            for t in sorted(set(turn))
            for words, kept in (("with ties", votes == votes), ("without ties", told))
        ),
        Cell("with ties", right, human),
        Cell("without ties", right, human & told),
        Cell("majority with ties", by_majority, first),
        Cell("majority without ties", by_majority, first & (majority * verdict != 0)),
    ]
    return Scoring(
        cells,
        [],
        ~np.isnan(verdict),
        np.array([f"turn {t:g}" for t in turn], object),
        "without ties",
        prompts=table.texts("question_id") if "question_id" in table.rows else None,
        single=_people(table, votes, human, turn),
    )


def _verdict(table: ScoreTable) -> FloatArray:
    names = {name for side in MT_BENCH_SIDES for name in (side.name, *side.also)}
    if table.kind == "rewards" and not set(table.scores["side"]) <= names:
        one, other = (_rewards_of_models(table, side.name) for side in MT_BENCH_SIDES)
        return order_of(one, other)
    both = verdicts(table, *MT_BENCH_SIDES)
    same = both[:, 0] == both[:, -1]
    unknown = np.isnan(both).any(axis=1)
    return np.where(unknown, np.nan, np.where(same, both[:, 0], 0.0))


def _rewards_of_models(table: ScoreTable, column: str) -> FloatArray:
    """Give the reward of the model that a row names in a column."""
    models = table.texts(column)
    scores = table.scores
    rows = scores["row"].to_numpy(np.intp)
    mine = scores["side"].to_numpy(object) == models[rows]
    rewards = np.full(len(table), np.nan)
    rewards[rows[mine]] = scores["reward"].to_numpy(np.float64)[mine]
    return rewards


def _is_human(table: ScoreTable) -> BoolArray:
    judges = table.column("judge")
    if judges is None:
        return np.ones(len(table), bool)
    expert = np.array([str(judge).startswith("expert") for judge in judges])
    return expert if expert.any() else np.ones(len(table), bool)


def _comparisons(table: ScoreTable, turn: FloatArray) -> tuple[AnyArray, FloatArray]:
    """Give each comparison a number, and -1 to rows that name it in reverse."""
    a, b = table.texts("model_a"), table.texts("model_b")
    swapped = np.where(a < b, 1.0, -1.0)
    question = keys_of(pd.Series(table.texts(table.id_column or "question_id")))
    if "question_id" in table.rows:
        question = keys_of(table.rows["question_id"])
    frame = pd.DataFrame(
        {
            "question": question.to_numpy(),
            "one": np.where(a < b, a, b),
            "other": np.where(a < b, b, a),
            "turn": turn,
        }
    )
    return frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy(), swapped


def _majority(
    table: ScoreTable, votes: FloatArray, human: BoolArray, turn: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Give each row the majority's vote, and say which row stands for its pair."""
    pair, swapped = _comparisons(table, turn)
    counts = np.zeros((3, pair.max() + 1))
    for at, kind in enumerate((1.0, 0.0, -1.0)):
        mine = human & (votes * swapped == kind)
        counts[at] = np.bincount(pair[mine], minlength=counts.shape[1])
    top = counts == counts.max(axis=0)
    alone = top.sum(axis=0) == 1
    winner = np.where(alone, np.array([1.0, 0.0, -1.0])[top.argmax(axis=0)], 0.0)
    first = np.zeros(len(pair), bool)
    rows = np.flatnonzero(human)
    first[rows[np.unique(pair[rows], return_index=True)[1]]] = True
    return winner[pair] * swapped, first


def _people(
    table: ScoreTable, votes: FloatArray, human: BoolArray, turn: FloatArray
) -> dict[str, float]:
    """Compute how often two people's votes on one pair agree."""
    pair, swapped = _comparisons(table, turn)
    oriented = pd.Series((votes * swapped)[human]).groupby(pair[human])
    turn_of = dict(zip(pair[human], turn[human], strict=True))
    counts: dict[str, list[int]] = {}
    for number, group in oriented:
        of_turn = turn_of[number]
        for one, other in combinations(group, 2):
            for words in ("with ties", "without ties"):
                if words == "without ties" and 0 in (one, other):
                    continue
                key = f"people, turn {of_turn:g} {words}"
                agreed, total = counts.get(key, [0, 0])
                counts[key] = [agreed + int(one == other), total + 1]
    return {key: agreed / total for key, (agreed, total) in sorted(counts.items())}
