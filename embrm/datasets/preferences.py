"""Preferences: the canonical form into which every format is read.

Two tables. `items` has one row per distinct (prompt, response); `pairs` has one row
per comparison and points into `items`. Ratings, rankings and unpaired labels are
columns of `items`; margins, weights and benchmark subsets are columns of `pairs`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from embrm._typing import FloatArray, Text
from embrm.datasets.account import Account
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
        format knows of a pair: `margin` (>= 0, nats), `weight` (>= 0), `subset`, ...
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
        """Margins, shape (n_pairs,), in nats, or None where the format has none."""
        return self._column("margin")

    @property
    def weight(self) -> FloatArray | None:
        """Weights, shape (n_pairs,), or None where the format has none."""
        return self._column("weight")

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

    def _column(self, name: str) -> FloatArray | None:
        if name not in self.pairs:
            return None
        return self.pairs[name].to_numpy(np.float64)

    def __repr__(self) -> str:
        return (
            f"Preferences({len(self.pairs)} pairs, {len(self.items)} items, "
            f"{self.items['prompt_id'].nunique()} prompts, {self.account.format})"
        )
