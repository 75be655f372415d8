"""Probes: what a reward does to changes that should not matter, and to non-answers."""

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import FloatArray
from embrm.evaluate.resampling import wilson_bounds
from embrm.exceptions import invalid_input

Score = Callable[[pd.DataFrame], Any]
"""Gives rewards of a frame with columns prompt and response, such as a model's
`reward`."""

_NO_ANSWERS = (
    "The ferry leaves the harbour a little after nine.",
    "Rain is expected in the hills towards the evening.",
    "She kept the old keys in a drawer by the window.",
    "The second volume was printed eleven years later.",
)


def _bulleted(text: str) -> str:
    return "\n".join(f"- {line}" for line in text.splitlines() if line.strip()) or text


def _bold(text: str) -> str:
    words = text.split(" ")
    return " ".join([f"**{' '.join(words[:4])}**", *words[4:]])


PERTURBATIONS: dict[str, Callable[[str], str]] = {
    "trailing space": lambda text: f"{text} \n",
    "lower case": str.lower,
    "said twice": lambda text: f"{text}\n\n{text}",
    "padded": lambda text: (
        f"{text}\n\nIn summary, these are the main points to bear in mind. There is of "
        "course more that could be said about this."
    ),
    "bulleted": _bulleted,
    "bold": _bold,
    "heading": lambda text: f"## Answer\n\n{text}",
    "emoji": lambda text: f"{text} \U0001f60a\U0001f680",
    "pleasing opening": lambda text: f"Great question! {text}",
    "refusal opening": lambda text: f"I'm sorry, but I can't help with that. {text}",
}
"""Changes of a response, by name: the first two should not matter at all."""


def audit_perturbations(
    score: Score,
    items: pd.DataFrame,
    perturbations: Mapping[str, Callable[[str], str]] | None = None,
    *,
    level: float = 0.95,
) -> pd.DataFrame:
    """Measure how rewards change with changes that do not make answers better.

    Parameters
    ----------
    score : callable
        Takes a frame with columns `prompt, response`, gives rewards.
    items : DataFrame
        With these columns.
    perturbations : mapping of str to callable, optional
        From a response to the changed one; None takes `PERTURBATIONS`. For paraphrases,
        pass a function that looks them up.
    level : float in (0, 1), default=0.95

    Returns
    -------
    DataFrame
        One row a change: `up`, the share of responses whose reward rises, with `low`
        and `high`; `shift`, the mean change, and `spread`, its standard deviation,
        both in standard deviations of the rewards of `items`; `n_changed`.

    Raises
    ------
    InvalidInputError
        If a column is missing.

    Examples
    --------
    >>> items = pd.DataFrame({"prompt": ["a", "b"], "response": ["one", "three"]})
    >>> by_length = lambda frame: frame["response"].str.len()
    >>> float(audit_perturbations(by_length, items).loc["said twice", "up"])
    1.0
    """
    _check_columns(items, "prompt", "response")
    before = np.asarray(score(items[["prompt", "response"]]), dtype=float)
    scale = float(before.std()) or 1.0
    rows = {}
    for name, change in (perturbations or PERTURBATIONS).items():
        changed = [change(text) for text in items["response"]]
        different = np.array(
            [a != b for a, b in zip(changed, items["response"], strict=True)]
        )
        if not different.any():
            continue
        frame = items[["prompt"]].assign(response=changed)
        after = np.asarray(score(frame), dtype=float)
        shift = (after - before)[different]
        n_prompts = items["prompt"][different].map(str).nunique()
        rows[name] = _shift_row(shift / scale, n_prompts, level)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("change")


def _shift_row(shift: FloatArray, n_prompts: int, level: float) -> dict[str, float]:
    up = float(np.mean(shift > 0) + 0.5 * np.mean(shift == 0))
    # Responses to one prompt are not independent.
    low, high = wilson_bounds(up, 0.0, n_prompts, level)
    return {
        "up": up,
        "low": low,
        "high": high,
        "shift": float(shift.mean()),
        "spread": float(shift.std()),
        "n_changed": len(shift),
    }


def audit_kinds(
    score: Score,
    pairs: pd.DataFrame,
    *,
    off_distribution: Callable[[str], str] | None = None,
    level: float = 0.95,
    random_state: int = 0,
) -> pd.DataFrame:
    """Check that chosen responses beat four kinds of worse ones.

    Parameters
    ----------
    score : callable
        Takes a frame with columns `prompt, response`, gives rewards.
    pairs : DataFrame
        Columns `prompt, chosen, rejected`, at least two prompts.
    off_distribution : callable, optional
        From the chosen response to one that no model would write; by default its words
        in random order.
    level : float in (0, 1), default=0.95
    random_state : int, default=0

    Returns
    -------
    DataFrame
        One row a kind: `rejected`; `off-distribution`; `another prompt's answer`, the
        chosen response to another prompt; `no answer`, a sentence about something
        else. `below_chosen` is the share of prompts where chosen has the greater
        reward (ties count one half), with `low` and `high`; `gap` the mean difference
        in standard deviations of the chosen rewards. The kinds are those of the
        alignment guidebook, section 1.1.

    Raises
    ------
    InvalidInputError
        If a column is missing or there is one prompt only.

    Examples
    --------
    >>> pairs = pd.DataFrame(
    ...     {"prompt": ["x", "y"], "chosen": ["x!", "y!"], "rejected": ["x", "y"]}
    ... )
    >>> repeats = lambda f: [p + "!" == r for p, r in zip(f["prompt"], f["response"])]
    >>> float(audit_kinds(repeats, pairs).loc["no answer", "below_chosen"])
    1.0
    """
    _check_columns(pairs, "prompt", "chosen", "rejected")
    prompts = pairs["prompt"].map(str)
    if prompts.nunique() < 2:
        raise invalid_input(
            "pairs of two prompts or more", "one prompt", "add pairs of other prompts"
        )
    draw = random.Random(random_state)  # noqa: S311
    others = [
        _other_answer(n, prompts, pairs["chosen"], draw) for n in range(len(pairs))
    ]
    scrambled = off_distribution or (lambda text: _scrambled(text, draw))
    kinds = {
        "rejected": list(pairs["rejected"]),
        "off-distribution": [scrambled(text) for text in pairs["chosen"]],
        "another prompt's answer": others,
        "no answer": [draw.choice(_NO_ANSWERS) for _ in range(len(pairs))],
    }
    chosen = _scores(score, pairs["prompt"], list(pairs["chosen"]))
    scale = float(chosen.std()) or 1.0
    rows = {}
    for kind, responses in kinds.items():
        gap = chosen - _scores(score, pairs["prompt"], responses)
        share = float(np.mean(gap > 0) + 0.5 * np.mean(gap == 0))
        low, high = wilson_bounds(share, 0.0, prompts.nunique(), level)
        rows[kind] = {
            "below_chosen": share,
            "low": low,
            "high": high,
            "gap": float(gap.mean()) / scale,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("kind")


def one_pair_a_prompt(preferences: Any, n: int, random_state: int = 0) -> pd.DataFrame:
    """Take labelled pairs of different prompts, as `audit_kinds` takes them.

    Parameters
    ----------
    preferences : Preferences
    n : int
        At most so many prompts, drawn at random.
    random_state : int, default=0

    Returns
    -------
    DataFrame
        Columns `prompt, chosen, rejected`.
    """
    pairs = preferences.pairs[preferences.y != 0.5].sample(
        frac=1, random_state=random_state
    )
    items = preferences.items
    prompt = items["prompt_id"].to_numpy()[pairs["first"]]
    pairs = pairs[~pd.Series(prompt).duplicated().to_numpy()].head(n)
    wins = pairs["y"].to_numpy() > 0.5
    better = np.where(wins, pairs["first"], pairs["second"])
    worse = np.where(wins, pairs["second"], pairs["first"])
    return pd.DataFrame(
        {
            "prompt": items["prompt"].iloc[better].tolist(),
            "chosen": items["response"].iloc[better].tolist(),
            "rejected": items["response"].iloc[worse].tolist(),
        }
    )


def _scores(
    score: Score, prompts: "pd.Series[Any]", responses: list[str]
) -> FloatArray:
    frame = pd.DataFrame({"prompt": list(prompts), "response": responses})
    return np.asarray(score(frame), dtype=float)


def _other_answer(
    row: int, prompts: "pd.Series[Any]", chosen: "pd.Series[Any]", draw: random.Random
) -> str:
    while True:
        other = draw.randrange(len(prompts))
        if prompts.iloc[other] != prompts.iloc[row]:
            return str(chosen.iloc[other])


def _scrambled(text: str, draw: random.Random) -> str:
    words = text.split()
    draw.shuffle(words)
    return " ".join(words) or text


def position_bias(scores: pd.DataFrame, *, level: float = 0.95) -> dict[str, float]:
    """Measure how often a judge's verdict follows the position, not the response.

    Parameters
    ----------
    scores : DataFrame
        `id, order, winner`, two rows a pair, one for each order, `winner` being the
        row's own item in both.
    level : float in (0, 1), default=0.95

    Returns
    -------
    dict
        `consistent`, share of pairs with the same winner in both orders; `low`,
        `high`; `n_pairs`. A reward of single responses is consistent always.

    Raises
    ------
    InvalidInputError
        If a column is missing or no pair was judged twice.

    Examples
    --------
    >>> votes = pd.DataFrame(
    ...     {"id": [1, 1, 2, 2], "order": [0, 1] * 2, "winner": ["A", "A", "A", "B"]}
    ... )
    >>> position_bias(votes)["consistent"]
    0.5
    """
    _check_columns(scores, "id", "order", "winner")
    wide = scores.pivot_table("winner", "id", "order", aggfunc="first").dropna()
    if wide.shape[1] != 2 or wide.empty:
        raise invalid_input(
            "pairs that were judged in two orders",
            f"{wide.shape[1]} orders, {len(wide)} pairs in all of them",
            "judge each pair twice, the second time swapped",
        )
    same = float((wide.iloc[:, 0] == wide.iloc[:, 1]).mean())
    low, high = wilson_bounds(same, 0.0, len(wide), level)
    return {"consistent": same, "low": low, "high": high, "n_pairs": len(wide)}


def _check_columns(frame: Any, *names: str) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise invalid_input(
            f"a DataFrame with columns {', '.join(names)}",
            type(frame).__name__,
            "pass what gives rewards first, such as model.reward, then the frame",
        )
    missing = [name for name in names if name not in frame]
    if missing:
        raise invalid_input(
            f"columns {', '.join(names)}",
            f"no {missing[0]} among {', '.join(map(str, frame.columns))}"[:200],
            "rename the columns",
        )
