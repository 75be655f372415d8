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

from embrm._typing import AnyArray, FloatArray, Text
from embrm.datasets.account import Account
from embrm.datasets.score_pairs import score_pairs
from embrm.exceptions import InvalidInputError, three_parts
from embrm.pairs import Pairs

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
    account : Account
        Rows read, kept, and left out by reason.
    """

    items: pd.DataFrame
    pairs: pd.DataFrame
    account: Account

    def __len__(self) -> int:
        return len(self.pairs)

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

        A pair without one (NaN in `pairs`) has margin 0: it asks for no lead.
        """
        return self._column("margin", missing=0.0)

    @property
    def weight(self) -> FloatArray | None:
        """Weights, shape (n_pairs,), or None where the format has none.

        A pair without one (NaN in `pairs`) has weight 1: it counts like any other.
        """
        return self._column("weight", missing=1.0)

    def to_pairs(self, vectors: Any) -> Pairs:
        """Join the pairs with the vectors of the items.

        Parameters
        ----------
        vectors : array-like of shape (n_items, d)
            In the order of `texts`.

        Returns
        -------
        Pairs
            With the prompt ids of the items.
        """
        if len(vectors) != len(self.items):
            raise InvalidInputError(
                three_parts(
                    expected=f"{len(self.items)} vectors, one per item",
                    got=str(len(vectors)),
                    cure="encode .texts, all of them, in order",
                )
            )
        ids = self.pairs[["first", "second"]].to_numpy(np.intp)
        return Pairs(vectors, ids, prompt_ids=self.items["prompt_id"].to_numpy())

    def take_pairs(self, pairs: ArrayLike) -> "Preferences":
        """Keep some pairs, by mask or positions; items and account stay as they are.

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
        return Preferences(self.items, kept, self.account)

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
        first = self.items.take(self.pairs["first"].to_numpy(np.intp))
        second = self.items.take(self.pairs["second"].to_numpy(np.intp))
        crossing = first["prompt_id"].to_numpy() != second["prompt_id"].to_numpy()
        if crossing.any():
            raise InvalidInputError(
                three_parts(
                    expected="pairs of items that answer the same prompt",
                    got=f"two prompts in pair {int(np.argmax(crossing))}",
                    cure="join .pairs with .items yourself, or drop such pairs",
                )
            )
        return pd.DataFrame(
            {
                "prompt": first["prompt"].array,
                "first": first["response"].array,
                "second": second["response"].array,
                **{
                    str(name): column.array
                    for name, column in self.pairs.items()
                    if name not in ("first", "second")
                },
            }
        )

    def prefer_by_score(
        self, column: str = "score", min_gap: float = 0.0
    ) -> "Preferences":
        """Pair all items of each prompt, and label the pairs by a rating.

        The items stay as they are; the new pairs replace the old ones. The better item
        stands first in every other pair, so half of the labels are 1 and half are 0.
        Items without a finite rating are in no pair, and no text is paired with itself.

        Parameters
        ----------
        column : str, default="score"
            Numeric column of `items`; higher is better, but for `"rank"`, where 0 is
            best.
        min_gap : float, default=0.0
            Smallest difference in rating, in its own units, of the pairs to keep. At 0
            all but ties are kept; below 0 ties too, with y = 0.5.

        Returns
        -------
        Preferences
            Whose `pairs` are in order of prompt and item, and have the column `gap`
            (>= 0, in units of the rating); `source_row` is the later of their items'.

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
        pairs = score_pairs(self.items, column, min_gap)
        return replace(self, pairs=pairs)

    def _column(self, name: str, missing: float) -> FloatArray | None:
        if name not in self.pairs:
            return None
        return self.pairs[name].fillna(missing).to_numpy(np.float64)

    def __repr__(self) -> str:
        return (
            f"Preferences({len(self.pairs)} pairs, {len(self.items)} items, "
            f"{self.items['prompt_id'].nunique()} prompts, {self.account.format})"
        )


def _check_taken(taken: AnyArray, n_pairs: int) -> None:
    """Refuse a mask of other data, and positions that are not there."""
    if taken.dtype == np.bool_:
        fits = taken.shape == (n_pairs,)
    else:
        known = taken.dtype.kind in "iu" and np.isin(taken, np.arange(n_pairs)).all()
        fits = taken.ndim == 1 and bool(taken.size == 0 or known)
    if not fits:
        raise InvalidInputError(
            three_parts(
                expected=f"a mask of {n_pairs} pairs, or positions among them",
                got=f"an array of shape {taken.shape} and dtype {taken.dtype}",
                cure="compute it from .pairs of these very preferences",
            )
        )
