"""Preferences: the canonical form into which every format is read.

Two tables. `items` has one row per distinct (prompt, response); `pairs` has one row
per comparison and points into `items`. Ratings, rankings and unpaired labels are
columns of `items`; margins, weights and benchmark subsets are columns of `pairs`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from embrm._typing import AnyArray, BoolArray, FloatArray, IntArray, RandomState, Text
from embrm._validation import check_random_state
from embrm.datasets.near_duplicates import near_duplicate_prompt_ids
from embrm.datasets.read_report import LeftOut, ReadReport
from embrm.exceptions import invalid_input, warn
from embrm.pairs import Pairs
from embrm.pool import pairs_within

__all__ = ["LeftOut", "Preferences", "ReadReport", "same_prompt_pairs", "score_pairs"]

ITEM_COLUMNS = ("prompt_id", "prompt", "response")
PAIR_COLUMNS = ("first", "second", "y", "source_row")


@dataclass(frozen=True, eq=False)
class Preferences:
    """Preference data in canonical form.

    Attributes
    ----------
    items : DataFrame
        Index 0..n_items-1. Columns `prompt_id` (int; equal prompts share one),
        `prompt` (str or list of messages), `response` (str), then what the format
        knows of an item: `score` and further rating attributes (float, NaN where
        missing), `rank` (0 is best), `label` (bool, unpaired data), `source_row`
        (0-based row of the source where the item first stood).
    pairs : DataFrame
        Index 0..n_pairs-1. Columns `first`, `second` (rows of `items`), `y` (float in
        [0, 1], probability that first is preferred), `source_row`, then what the
        format knows of a pair: `margin` (>= 0, nats) and `weight` (>= 0), NaN where a
        row has none, `subset`, ...
    read_report : ReadReport
        Rows read, kept, and left out by reason.
    """

    items: pd.DataFrame
    pairs: pd.DataFrame
    read_report: ReadReport

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def account(self) -> ReadReport:
        """The former name of `read_report`."""
        warn(
            "Preferences.account is now Preferences.read_report; the old name goes in "
            "the next version.",
            FutureWarning,
        )
        return self.read_report

    @property
    def texts(self) -> list[Text]:
        """The (prompt, response) of every item, in order: what encoders take."""
        return list(zip(self.items["prompt"], self.items["response"], strict=True))

    @property
    def y(self) -> FloatArray:
        """Labels, shape (n_pairs,), in [0, 1]."""
        return self.pairs["y"].to_numpy(np.float64)

    @property
    def margin(self) -> FloatArray | None:
        """Margins, shape (n_pairs,), in nats, or None where the format has none.

        A pair without one (NaN in `pairs`) has margin 0.
        """
        return self._column("margin", missing=0.0)

    @property
    def weight(self) -> FloatArray | None:
        """Weights, shape (n_pairs,), or None where the format has none.

        A pair without one (NaN in `pairs`) has weight 1: it counts like any other.
        """
        return self._column("weight", missing=1.0)

    def to_pairs(self, vectors: Any, *, group_near_duplicates: bool = False) -> Pairs:
        """Join the pairs with the vectors of the items.

        Parameters
        ----------
        vectors : array-like of shape (n_items, d)
            In the order of `texts`.
        group_near_duplicates : bool, default=False
            Give near-duplicate prompts one id, so that splits by prompt keep them on
            one side; see `near_duplicate_prompt_ids`.

        Returns
        -------
        Pairs
            With the prompt ids of the items.
        """
        if len(vectors) != len(self.items):
            raise invalid_input(
                expected=f"{len(self.items)} vectors, one per item",
                got=str(len(vectors)),
                fix="encode .texts, all of them, in order",
            )
        ids = self.pairs[["first", "second"]].to_numpy(np.intp)
        prompt_ids = (
            near_duplicate_prompt_ids(self)
            if group_near_duplicates
            else self.items["prompt_id"].to_numpy()
        )
        return Pairs(vectors, ids, prompt_ids=prompt_ids)

    def take_pairs(self, pairs: ArrayLike) -> "Preferences":
        """Keep some pairs, by mask or positions; items and report are not changed.

        Parameters
        ----------
        pairs : array-like of bool of shape (n_pairs,), or of int

        Returns
        -------
        Preferences

        Raises
        ------
        InvalidInputError
            If the mask has another length, or a position is out of range.
        """
        taken = np.asarray(pairs)
        _check_taken(taken, len(self))
        kept = self.pairs.iloc[taken].reset_index(drop=True)
        return Preferences(self.items, kept, self.read_report)

    def sample_prompts(self, n: int, *, random_state: RandomState = 0) -> "Preferences":
        """Keep some prompts, drawn at random, with their items and pairs.

        Parameters
        ----------
        n : int >= 1
            Prompts to keep; all where there are no more.
        random_state : int, Generator, RandomState or None, default=0

        Returns
        -------
        Preferences
            Pairs across prompts stay where both prompts do; the report is as it is.

        Examples
        --------
        >>> from embrm.datasets import read_preferences
        >>> rows = [{"prompt": p, "chosen": "4", "rejected": "5"} for p in "abc"]
        >>> few = read_preferences(rows).sample_prompts(2)
        >>> len(few), len(few.items)
        (2, 4)
        """
        if n < 1:
            raise invalid_input(
                expected="n >= 1", got=str(n), fix="keep one prompt or more"
            )
        prompts = self.items["prompt_id"].to_numpy()
        known = np.unique(prompts)
        kept = check_random_state(random_state).permutation(known)[:n]
        is_kept = np.isin(prompts, kept)
        ends = self.pairs[["first", "second"]].to_numpy()
        return select(self, is_kept, is_kept[ends].all(axis=1))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each pair, with its texts.

        Returns
        -------
        DataFrame of n_pairs rows
            Columns `prompt`, `first` and `second` (texts of the responses), `y`, then
            the other columns of `pairs`. `read_preferences` reads it again with
            `columns={"chosen": "first", "rejected": "second"}`.

        Raises
        ------
        InvalidInputError
            If the two items of a pair answer different prompts.

        Examples
        --------
        >>> from embrm.datasets import read_preferences
        >>> row = {"prompt": "2+2?", "chosen": "4", "rejected": "5"}
        >>> read_preferences([row]).to_frame()
          prompt first second    y  source_row
        0   2+2?     4      5  1.0           0
        """
        ends = self.pairs[["first", "second"]].to_numpy(np.intp)
        prompts = self.items["prompt_id"].to_numpy()[ends]
        crossing = prompts[:, 0] != prompts[:, 1]
        if crossing.any():
            raise invalid_input(
                expected="pairs of items that answer the same prompt",
                got=f"two prompts in pair {int(np.argmax(crossing))}",
                fix="join .pairs with .items yourself, or drop such pairs",
            )
        return pair_table(self.items, self.pairs)

    def prefer_by_score(
        self,
        column: str = "score",
        min_gap: float = 0.0,
        *,
        within_annotator: bool = True,
    ) -> "Preferences":
        """Pair all items of each prompt, and label the pairs by a rating.

        The items are not changed; the new pairs replace the old ones. The better item
        is first in every other pair, so half of the labels are 1 and half are 0.
        Items without a finite rating are in no pair, and no text is paired with itself.

        Parameters
        ----------
        column : str, default="score"
            Numeric column of `items`; higher is better, but for `"rank"`, where 0 is
            best.
        within_annotator : bool, default=True
            Where items have an `annotator`, compare only ratings of one annotator:
            people use a scale differently.
        min_gap : float, default=0.0
            Smallest difference in rating, in its own units, of the pairs to keep. At 0
            all but ties are kept; below 0 ties too, with y = 0.5.

        Returns
        -------
        Preferences
            Whose `pairs` are in order of prompt and item, and have the column `gap`
            (>= 0, in units of the rating), and `annotator` where it was compared
            within one; `source_row` is the later of their items'.

        Raises
        ------
        InvalidInputError
            If `items` has no such numeric column.

        Examples
        --------
        >>> from embrm.datasets import read_preferences
        >>> rows = [
        ...     {"prompt": "2+2?", "response": "4", "score": 5.0},
        ...     {"prompt": "2+2?", "response": "5", "score": 1.0},
        ...     {"prompt": "2+2?", "response": "four", "score": 4.0},
        ... ]
        >>> rated = read_preferences(rows).prefer_by_score(min_gap=2)
        >>> rated.pairs[["first", "second", "y", "gap"]]
           first  second    y  gap
        0      0       1  1.0  4.0
        1      1       2  0.0  3.0
        """
        pairs = score_pairs(
            self.items, column, min_gap, within_annotator=within_annotator
        )
        return replace(self, pairs=pairs)

    def _column(self, name: str, missing: float) -> FloatArray | None:
        if name not in self.pairs:
            return None
        return self.pairs[name].fillna(missing).to_numpy(np.float64)

    def __repr__(self) -> str:
        return (
            f"Preferences({len(self.pairs)} pairs, {len(self.items)} items, "
            f"{self.items['prompt_id'].nunique()} prompts, {self.read_report.format})"
        )


def select(preferences: Preferences, items: BoolArray, pairs: BoolArray) -> Preferences:
    """Keep the items, and the pairs between them, that are marked."""
    number = np.cumsum(items) - 1
    kept = preferences.pairs[pairs].reset_index(drop=True)
    kept[["first", "second"]] = number[kept[["first", "second"]].to_numpy(np.intp)]
    rows = preferences.items[items].reset_index(drop=True)
    return Preferences(rows, kept, preferences.read_report)


def pair_table(items: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Write pairs with their texts: the prompt, both responses, all other columns."""
    first, second = (
        items.take(pairs[side].to_numpy(np.intp)) for side in ("first", "second")
    )
    others = pairs.drop(columns=["first", "second"])
    return pd.DataFrame(
        {
            "prompt": first["prompt"].array,
            "first": first["response"].array,
            "second": second["response"].array,
            **{str(name): column.array for name, column in others.items()},
        }
    )


def _check_taken(taken: AnyArray, n_pairs: int) -> None:
    """Refuse a mask of other data, and positions that are not there."""
    if taken.dtype == np.bool_:
        fits = taken.shape == (n_pairs,)
    else:
        known = taken.dtype.kind in "iu" and np.isin(taken, np.arange(n_pairs)).all()
        fits = taken.ndim == 1 and bool(taken.size == 0 or known)
    if not fits:
        raise invalid_input(
            expected=f"a mask of {n_pairs} pairs, or positions among them",
            got=f"an array of shape {taken.shape} and dtype {taken.dtype}",
            fix="compute it from .pairs of these very preferences",
        )


def same_prompt_pairs(prompt_ids: AnyArray) -> IntArray:
    """List all pairs of rows with the same prompt id.

    Parameters
    ----------
    prompt_ids : ndarray of shape (n_items,)

    Returns
    -------
    ndarray of int of shape (n_pairs, 2)
        The smaller row first, in ascending order.

    Examples
    --------
    >>> same_prompt_pairs(np.array([7, 7, 8, 7])).tolist()
    [[0, 1], [0, 3], [1, 3]]
    """
    order = np.argsort(prompt_ids, kind="stable")
    _, starts, sizes = np.unique(
        prompt_ids[order], return_index=True, return_counts=True
    )
    pairs = pairs_within(order, starts, sizes)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def score_pairs(
    items: pd.DataFrame,
    column: str,
    min_gap: float,
    *,
    within_annotator: bool = True,
) -> pd.DataFrame:
    """Make the pair table of `Preferences.prefer_by_score`."""
    score = _scores(items, column)
    by_annotator = within_annotator and "annotator" in items
    prompt_ids = items["prompt_id"].to_numpy()
    if by_annotator:
        keys = ["prompt_id", "annotator"]
        prompt_ids = items.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    rows = np.flatnonzero(np.isfinite(score))
    rows = rows[np.argsort(prompt_ids[rows], kind="stable")]
    pairs = rows[same_prompt_pairs(prompt_ids[rows])]
    texts = pd.factorize(items["response"])[0]
    gap = score[pairs[:, 0]] - score[pairs[:, 1]]
    wide_enough = np.abs(gap) >= min_gap if min_gap else gap != 0
    kept = wide_enough & (texts[pairs[:, 0]] != texts[pairs[:, 1]])
    pairs, gap = pairs[kept], gap[kept]
    # Better first in every other pair: the position tells nothing about the label.
    better_first = np.cumsum(gap != 0) % 2 == 1
    turned = (gap != 0) & ((gap > 0) != better_first)
    pairs[turned] = pairs[turned, ::-1]
    gap[turned] *= -1
    made = pd.DataFrame(
        {
            "first": pairs[:, 0].astype(np.int64),
            "second": pairs[:, 1].astype(np.int64),
            "y": (np.sign(gap) + 1) / 2,
            "source_row": items["source_row"].to_numpy()[pairs].max(axis=1),
            "gap": np.abs(gap),
        }
    )
    if by_annotator:
        made["annotator"] = items["annotator"].to_numpy(object)[pairs[:, 0]]
    return made


def _scores(items: pd.DataFrame, column: str) -> FloatArray:
    """Read the scores, higher being better; ranks count the other way."""
    numeric = [
        str(name)
        for name in items.select_dtypes(["number", "bool"])
        if name not in ("prompt_id", "source_row")
    ]
    if column not in numeric:
        names = ", ".join(numeric)[:200] or "none"
        raise invalid_input(
            expected="a numeric column of items to prefer by",
            got=f"{str(column)[:40]!r}; numeric are: {names}",
            fix="name one of these, or read data that has ratings",
        )
    score = items[column].to_numpy(np.float64)
    return -score if column == "rank" else score
