"""What can be rewarded in a frame: one response a row, both sides of pairs, or lists.

Scoring takes what fitting takes: responses as text or messages, prompts of several
columns, frames of pandas or polars, tables, datasets, files. A row that holds several
responses gets a reward for each.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from embrm._typing import AnyArray, BoolArray, FloatArray, IntArray, Prompt, Text
from embrm.datasets import Preferences
from embrm.datasets._building import check_unicode
from embrm.datasets._read_options import check_images
from embrm.datasets.formats import ReadOptions, RowReader, read_responses, respelt
from embrm.datasets.formats._texts import place_for_prompt
from embrm.datasets.prompt_sketches import PromptSketches
from embrm.datasets.sources import read_frame
from embrm.datasets.tables import native
from embrm.exceptions import DataError, InvalidInputError, invalid_input
from embrm.messages import canonical_json, normalised_prompt
from embrm.pairs import Pairs

_CHUNK_PAIRS = 4096


def prompt_hashes(prompts: Iterable[Prompt]) -> IntArray:
    """Hash prompts to uint64, equal for spellings that look alike.

    These are both spellings of a single user turn, and prompts that differ in white
    space around them or in how Unicode composes their letters.

    Examples
    --------
    >>> a, b = prompt_hashes(["Hi", [{"role": "user", "content": "Hi"}]])
    >>> bool(a == b)
    True
    """
    digests = b"".join(
        hashlib.blake2b(
            canonical_json(normalised_prompt(prompt)).encode("utf-8", "surrogatepass"),
            digest_size=8,
        ).digest()
        for prompt in prompts
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def prompts_of(preferences: Preferences) -> "pd.Series[Any]":
    """Take each prompt once, in order of first appearance."""
    return preferences.items.drop_duplicates("prompt_id")["prompt"]


def seen_pairs(
    preferences: Preferences, hashes: IntArray, sketches: PromptSketches | None
) -> BoolArray:
    """Mark the pairs with a prompt that is known, or nearly.

    Parameters
    ----------
    preferences : Preferences
    hashes : ndarray of uint64
        Of the prompts that are known; see `prompt_hashes`.
    sketches : PromptSketches or None
        Of the same; None where near-duplicates do not count.

    Returns
    -------
    ndarray of bool of shape (n_pairs,)
        Whether either item's prompt is.
    """
    seen: BoolArray = np.isin(prompt_hashes(preferences.items["prompt"]), hashes)
    if sketches is not None:
        near = sketches.match(prompts_of(preferences))
        seen |= near[pd.factorize(preferences.items["prompt_id"])[0]]
    ends = preferences.pairs[["first", "second"]].to_numpy()
    return np.asarray(seen[ends].any(axis=1))


def response_lengths(preferences: Preferences) -> IntArray:
    """Measure both responses of each pair in characters: shape (n_pairs, 2)."""
    lengths = preferences.items["response"].str.len().to_numpy(np.int64)
    ids = preferences.pairs[["first", "second"]].to_numpy()
    return np.asarray(lengths[ids])


def equal_vectors(pairs: Pairs) -> BoolArray:
    """Mark pairs of two equal vectors, which no reward on vectors can order.

    Parameters
    ----------
    pairs : Pairs

    Returns
    -------
    ndarray of bool of shape (n_pairs,)

    Examples
    --------
    >>> equal_vectors(Pairs([[1.0], [1.0], [2.0]], [[0, 1], [0, 2]])).tolist()
    [True, False]
    """
    equal = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), _CHUNK_PAIRS):
        part = slice(start, start + _CHUNK_PAIRS)
        first, second = pairs.first[part], pairs.second[part]
        equal[part] = (pairs.items[first] == pairs.items[second]).all(axis=1)
    return equal


@dataclass(frozen=True, eq=False)
class RowItems:
    """The responses in the rows of a frame.

    Attributes
    ----------
    frame : DataFrame
        As it was given or read.
    texts : list of (prompt, response)
    rows : ndarray of int of shape (n_items,)
        Row of the frame that holds each response.
    origins : list of (str, int or None)
        Its column, and its place in a list there.
    """

    frame: pd.DataFrame
    texts: list[Text]
    rows: IntArray
    origins: list[tuple[str, int | None]]

    @property
    def is_one_a_row(self) -> bool:
        """Whether every row holds one response, so that a reward is a cell."""
        return len(self.texts) == len(self.frame) and all(
            place is None for _, place in self.origins
        )

    def prompts(self) -> IntArray:
        """Hash each item's prompt, to group items by prompt: shape (n_items,)."""
        return prompt_hashes(prompt for prompt, _ in self.texts)

    def spread(self, values: AnyArray, name: str) -> pd.DataFrame:
        """Lay values of items out by row.

        Parameters
        ----------
        values : ndarray of shape (n_items,)
        name : str
            Of the column; of the columns `name_chosen`, `name_rejected`, ... where
            rows hold several responses.

        Returns
        -------
        DataFrame with the index of `frame`
            A cell for a response, a list for a column that holds a list.
        """
        if self.is_one_a_row:
            return pd.DataFrame({name: values}, index=self.frame.index)
        cells: dict[str, list[Any]] = {}
        for value, row, (column, place) in zip(
            values.tolist(), self.rows.tolist(), self.origins, strict=True
        ):
            column_cells = cells.setdefault(
                f"{name}_{column}", [None] * len(self.frame)
            )
            if place is None:
                column_cells[row] = value
            else:
                column_cells[row] = [*(column_cells[row] or ()), value]
        return pd.DataFrame(
            {column: pd.Series(listed).array for column, listed in cells.items()},
            index=self.frame.index,
        )

    def joined(
        self, values: Mapping[str, AnyArray], *, overwrite: bool = False
    ) -> pd.DataFrame:
        """Return the frame with values of items as new columns.

        Raises
        ------
        InvalidInputError
            If the frame has a column of such a name and `overwrite` is False.
        """
        added = pd.concat([self.spread(v, name) for name, v in values.items()], axis=1)
        taken = [str(name) for name in added if name in self.frame.columns]
        if taken and not overwrite:
            raise invalid_input(
                expected="an input without the columns that are added",
                got=f"one with {', '.join(taken)[:80]}",
                fix="name others, names=('my_reward', 'my_rank'), or pass "
                "overwrite=True",
            )
        return self.frame.assign(**{str(name): added[name].array for name in added})

    def ranked(
        self,
        rewards: FloatArray,
        names: tuple[str, str] = ("reward", "rank"),
        *,
        overwrite: bool = False,
    ) -> pd.DataFrame:
        """Return the frame with rewards and ranks within each prompt (1 is best).

        Equal rewards share the better rank.
        """
        by_prompt = pd.Series(rewards).groupby(self.prompts(), sort=False)
        ranks = by_prompt.rank(ascending=False, method="min").astype(int)
        values = {names[0]: rewards, names[1]: ranks.to_numpy()}
        return self.joined(values, overwrite=overwrite)

    def best(self, rewards: FloatArray, *, overwrite: bool = False) -> pd.DataFrame:
        """Keep for each prompt the row with the highest reward, the first of equals.

        Raises
        ------
        DataError
            If a row holds several responses.
        """
        self.check_one_a_row()
        rewarded = self.joined({"reward": rewards}, overwrite=overwrite)
        best = pd.Series(rewards).groupby(self.prompts(), sort=False).idxmax()
        return rewarded.iloc[np.sort(best.to_numpy(np.intp))]

    def check_one_a_row(self) -> None:
        """Refuse rows with several responses, of which none is the row's.

        Raises
        ------
        DataError
            If there are such rows.
        """
        if not self.is_one_a_row:
            raise DataError.of(
                expected="one response in each row",
                got=f"{len(self.texts)} in {len(self.frame)} rows",
                fix="df.explode the list, or use rank(), which ranks within rows",
                reason="several responses",
            )


class RanksItems(ABC):
    """Ranks the items of a frame by rewards that a subclass computes.

    Attributes
    ----------
    columns : mapping of str to str or None
        Names of the user's columns by embrm's.
    prompt_template : str or None
        Writes the prompt from several columns.
    images : {"refuse", "mark"}
        Whether images in messages are refused or marked by `[image]`.
    """

    columns: Mapping[str, str] | None
    prompt_template: str | None
    images: Literal["refuse", "mark"] = "refuse"

    def _items(self, data: Any) -> RowItems:
        return row_items(data, self.columns, self.prompt_template, self.images)

    @abstractmethod
    def _rewards(self, items: RowItems) -> FloatArray:
        """Compute the rewards of items, in their order."""

    def rank(
        self,
        data: Any,
        *,
        names: tuple[str, str] = ("reward", "rank"),
        overwrite: bool = False,
    ) -> pd.DataFrame:
        """Return `data` with columns `reward` and `rank` within its prompt (1 is best).

        Equal rewards share the better rank.

        Parameters
        ----------
        data
            As for `reward`.
        names : (str, str), default=("reward", "rank")
            Of the two columns.
        overwrite : bool, default=False
            Whether columns of these names that `data` has are replaced.

        Raises
        ------
        InvalidInputError
            If `data` has a column of such a name and `overwrite` is False.
        """
        items = self._items(data)
        return items.ranked(self._rewards(items), names, overwrite=overwrite)

    def best_of_n(self, data: Any, *, overwrite: bool = False) -> pd.DataFrame:
        """Keep for each prompt the row with the highest reward, in order of `data`.

        Of equal rewards the first row wins. The column `reward` is added; one that
        `data` has is replaced only with `overwrite`.

        Raises
        ------
        DataError
            If a row holds several responses.
        """
        items = self._items(data)
        return items.best(self._rewards(items), overwrite=overwrite)


def row_items(
    data: Any,
    columns: Mapping[str, str] | None = None,
    prompt_template: str | None = None,
    images: Literal["refuse", "mark"] = "refuse",
) -> RowItems:
    r"""Find the responses in every row.

    Parameters
    ----------
    data : DataFrame, path, list of dicts or what else `read_preferences` takes
    columns : mapping of str to str, optional
        embrm's names to yours, e.g. `{"response": "answer"}`.
    prompt_template : str, optional
        Writes the prompt from several columns, e.g. `"{instruction}\n{input}"`.
    images : {"refuse", "mark"}, default="refuse"
        As in `read_preferences`.

    Raises
    ------
    DataError
        If a row holds no response, a column is missing or stands twice, or a text is
        missing, empty or no text; names the row by position and index.

    Examples
    --------
    >>> frame = pd.DataFrame([{"prompt": "2+2?", "chosen": "4", "rejected": "5"}])
    >>> row_items(frame).texts
    [('2+2?', '4'), ('2+2?', '5')]
    """
    frame = data if isinstance(data, pd.DataFrame) else _read(data)
    names = [str(name) for name in frame.columns]
    _check_names(names, columns or {})
    texts: list[Text] = []
    rows: list[int] = []
    origins: list[tuple[str, int | None]] = []
    theirs = dict(columns or {})
    check_images(images)
    options = ReadOptions(prompt_template, images=images)
    cells = [frame.iloc[:, n].tolist() for n in range(len(names))]
    for position, values in enumerate(zip(*cells, strict=True) if cells else ()):
        row = respelt(dict(zip(names, values, strict=True)), theirs)
        reader = RowReader(options)
        try:
            plain = {name: native(cell) for name, cell in row.items()}
            read_responses(place_for_prompt(plain, prompt_template), reader)
            reader.check_template("the row")
            check_unicode(plain)
        except (DataError, InvalidInputError) as error:
            reason = getattr(error, "reason", "malformed messages")
            label = str(frame.index[position])[:40]
            place = f"frame, row {position + 1} (index {label})"
            raise DataError(f"{place}: {error}", reason=reason) from error
        texts += [(item["prompt"], item["response"]) for item in reader.items]
        rows += [position] * len(reader.items)
        origins += [(theirs.get(column, column), n) for column, n in reader.origins]
    return RowItems(frame, texts, np.array(rows, dtype=np.intp), origins)


def _read(data: Any) -> pd.DataFrame:
    if data is None or isinstance(data, Mapping | int | float | np.ndarray):
        raise invalid_input(
            expected="a DataFrame with columns prompt and response",
            got=type(data).__name__,
            fix="pass pd.DataFrame(rows), a path, or a list of dicts",
        )
    return read_frame(data)


def _check_names(names: list[str], columns: Mapping[str, str]) -> None:
    """Refuse a column that stands twice, and a prompt or response that is not there."""
    twice = sorted({name for name in names if names.count(name) > 1})
    absent = [
        (ours, theirs)
        for ours, theirs in columns.items()
        if theirs not in names and ours in ("prompt", "response")
    ]
    if twice or absent:
        ours, theirs = absent[0] if absent else (twice[0], twice[0])
        raise DataError.of(
            expected=f"one column {theirs!r}",
            got=f"{names.count(theirs)} among the columns {', '.join(names[:15])}",
            fix=f"rename the columns, or name yours: columns={{{ours!r}: 'yours'}}",
            reason="missing column" if absent else "bad header",
        )
