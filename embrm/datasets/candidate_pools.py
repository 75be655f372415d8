"""Candidate pools from files: one row per item, vectors in a file or a column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from embrm._typing import AnyArray, FloatArray, Text
from embrm.datasets._candidate_files import (
    check_columns,
    open_array,
    open_tensor,
    open_vectors,
    read_columns,
)
from embrm.datasets._rows import naming
from embrm.exceptions import DataError
from embrm.messages import canonical_json
from embrm.pool import CandidatePool


@dataclass(frozen=True, eq=False)
class Candidates:
    """The rows of a candidate-pool file, with vectors or still without.

    Attributes
    ----------
    name : str
        Of the file, for messages.
    prompt_ids : ndarray of shape (n_items,)
        From the column `prompt_id`; else equal prompts have equal ids.
    gold : ndarray of shape (n_items,) or None
    texts : list of (prompt, response) or None
        Where the file has both columns.
    lengths : ndarray of shape (n_items,) or None
        Length of each response: the column `length`, else characters of `response`.
    vectors : ndarray of shape (n_items, d) or None
    """

    name: str
    prompt_ids: AnyArray
    gold: FloatArray | None
    texts: list[Text] | None
    lengths: FloatArray | None
    vectors: FloatArray | None

    def __len__(self) -> int:
        return len(self.prompt_ids)

    def to_pool(self, vectors: FloatArray | None = None) -> CandidatePool:
        """Make the pool.

        Parameters
        ----------
        vectors : ndarray of shape (n_items, d), optional
            Vectors of `texts`; those of the file by default.

        Raises
        ------
        DataError
            If there are no vectors, or not one per row.
        """
        items = self.vectors if vectors is None else vectors
        if items is None:
            raise _refusal(
                self.name,
                "vectors of the items",
                "a file without a column 'vector'",
                "pass vectors=..., a .npy or .safetensors file, or embed the texts",
                "no vectors",
            )
        if len(items) != len(self):
            raise _refusal(
                self.name,
                f"{len(self):,} vectors, one per row of the file",
                f"{len(items):,}",
                "write both from the same table, in the same order",
                "vectors of other rows",
            )
        return CandidatePool(items, self.prompt_ids, self.gold, self.texts)


def read_candidate_pool(
    path: str | Path,
    vectors: str | Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
) -> CandidatePool:
    """Read a candidate pool with its vectors.

    Parameters
    ----------
    path : str or Path
        `.parquet`, `.jsonl`, `.json` or `.csv`, one row per item: see
        `read_candidates`.
    vectors : str or Path, optional
        `.npy` or `.safetensors`, one row per item in the same order; it is mapped into
        memory, and read where it is used. None means a column `vector` of lists.
    columns : mapping of str to str, optional
        Our names of columns to those of the file, e.g. `{"gold": "score"}`.

    Returns
    -------
    CandidatePool

    Raises
    ------
    DataError
        If a file or a value in it cannot be used; the message names it.
    InvalidInputError
        If `columns` has an unknown name.

    Examples
    --------
    >>> import tempfile
    >>> rows = [
    ...     {"prompt_id": "a", "gold": 1.5, "vector": [0.0, 1.0]},
    ...     {"prompt_id": "a", "gold": 0.5, "vector": [1.0, 0.0]},
    ... ]
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "pool.parquet")
    ...     pd.DataFrame(rows).to_parquet(path)
    ...     pool = read_candidate_pool(path)
    >>> pool
    CandidatePool(1 prompts, 2 items, K=2, d=2, float64, gold)
    """
    return read_candidates(path, vectors, columns=columns).to_pool()


def read_candidates(
    path: str | Path,
    vectors: str | Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    needed: Sequence[str] = (),
) -> Candidates:
    r"""Read the rows of a candidate-pool file; it may have texts and no vectors.

    Parameters
    ----------
    path : str or Path
        Columns `prompt_id` or `prompt` (one of them is needed), `gold`, `response`,
        `length` (of the response, in any unit) and `vector` (lists of numbers). Or a
        `.npy` of vectors, shape (n_prompts, K, d), as `embd_*.npy` of arXiv 2411.04991,
        or a `.pt` of shape (K, n_prompts, d).
    vectors : str or Path, optional
        As for `read_candidate_pool`; then a column `vector` is not read. With a `.npy`
        of vectors, the `.npy` of their gold, shape (n_prompts, K, 1); by default
        `reward_*.npy` beside `embd_*.npy`.
    columns : mapping of str to str, optional
        As for `read_candidate_pool`. A column that is named must be there.
    needed : sequence of str, default=()
        Our names of columns that must be there, e.g. `["gold"]`.

    Returns
    -------
    Candidates

    Raises
    ------
    DataError
        If a file or a value in it cannot be used; the message names it.
    InvalidInputError
        If `columns` has an unknown name.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "pool.csv")
    ...     _ = path.write_text("prompt,response,score\nHi,Hello,1\nHi,No,-1\n")
    ...     candidates = read_candidates(path, columns={"gold": "score"})
    >>> candidates.texts, candidates.gold, candidates.vectors
    ([('Hi', 'Hello'), ('Hi', 'No')], array([ 1., -1.]), None)
    """
    file = Path(path)
    named = check_columns(columns or {})
    if file.suffix.lower() in (".npy", ".pt"):
        return _read_arrays(file, vectors)
    frame, vector_column = read_columns(
        file, named, needed=needed, with_vectors=vectors is None
    )
    with naming(file.name):
        _check_rows(frame)
        texts = _texts(frame)
        made = Candidates(
            name=file.name,
            prompt_ids=_prompt_ids(frame),
            gold=_numbers(frame, "gold") if "gold" in frame else None,
            texts=texts,
            lengths=_lengths(frame),
            vectors=vector_column,
        )
    if vectors is None:
        return made
    return replace(made, vectors=open_vectors(vectors, n_rows=len(made)))


def _read_arrays(file: Path, gold: str | Path | None) -> Candidates:
    """Read a pool of arrays: vectors (n_prompts, K, d), gold (n_prompts, K[, 1]).

    So the embeddings of arXiv 2411.04991 are published: the gold of `embd_*.npy` is in
    `reward_*.npy` beside it. In `.pt` files the responses come first: (K, n_prompts,
    d). Both stay where they are, mapped into memory.
    """
    by_prompt = file.suffix.lower() == ".npy"
    vectors = open_array(file, n_axes=3) if by_prompt else _of_three_axes(file)
    rows, columns, d = vectors.shape
    path = Path(gold) if gold is not None else _gold_beside(file)
    is_array = path.suffix.lower() == ".npy"
    scores = open_array(path, n_axes=None) if is_array else open_tensor(path)
    if scores.size != rows * columns or scores.shape[:2] != (rows, columns):
        raise _refusal(
            path.name,
            f"a gold score for each vector, shape ({rows}, {columns}, 1)",
            f"shape {scores.shape}",
            "name the file with the rewards of the same responses as vectors=",
            "other shape",
        )
    numbers = np.asarray(scores, dtype=np.float64).reshape(-1)
    if not np.isfinite(numbers).all():
        at = int(np.argmax(~np.isfinite(numbers)))
        prompt = at // columns if by_prompt else at % columns
        raise _refusal(
            path.name,
            "finite gold scores",
            f"another at prompt {prompt}",
            "drop that prompt from both files",
            "bad gold",
        )
    ids = np.repeat(np.arange(rows), columns)
    return Candidates(
        name=file.name,
        prompt_ids=ids if by_prompt else np.tile(np.arange(columns), rows),
        gold=numbers,
        texts=None,
        lengths=None,
        vectors=vectors.reshape(-1, d),
    )


def _of_three_axes(file: Path) -> FloatArray:
    tensor = open_tensor(file)
    if tensor.ndim != 3:
        raise _refusal(
            file.name,
            "a tensor with 3 axes: responses, prompts, numbers of a vector",
            f"shape {tensor.shape}",
            "save it so; a matrix of vectors goes with a table of its rows",
            "other shape",
        )
    return tensor


def _gold_beside(file: Path) -> Path:
    """Find the rewards that belong to an array of embeddings, by its name."""
    names = {file.name.replace(word, "reward") for word in ("embd", "embed", "emb")}
    found = [file.with_name(name) for name in sorted(names - {file.name})]
    there = [path for path in found if path.is_file()]
    if there:
        return there[0]
    raise _refusal(
        file.name,
        "the rewards of these vectors beside them, as reward_*.npy to embd_*.npy",
        "no such file",
        "name it as the file of vectors (vectors=, --vectors)",
        "no gold",
    )


def _check_rows(frame: pd.DataFrame) -> None:
    if frame.empty:
        raise DataError.of(
            expected="at least one row",
            got="none",
            fix="check that the rows were written, and to this place",
            reason="no rows",
        )
    for name in ("prompt_id", "prompt", "response"):
        if name in frame and frame[name].isna().any():
            raise _bad_cell(frame[name].isna().to_numpy(), name, "missing", "a value")


def _prompt_ids(frame: pd.DataFrame) -> AnyArray:
    if "prompt_id" not in frame:
        keys = [canonical_json(prompt) for prompt in frame["prompt"]]
        return np.asarray(pd.factorize(np.array(keys, dtype=object))[0])
    ids = frame["prompt_id"]
    if ids.dtype.kind in "iu":
        return ids.to_numpy()
    # Ids of several types cannot be sorted; as text they can.
    return ids.astype(str).to_numpy(dtype=object)


def _numbers(frame: pd.DataFrame, name: str) -> FloatArray:
    column = frame[name]
    if column.dtype.kind not in "iuf":
        numeric = pd.to_numeric(column, errors="coerce")
        is_text = (numeric.isna() & column.notna()).to_numpy()
        if is_text.any() or column.dtype.kind == "b":
            raise _bad_cell(is_text, name, str(column.dtype), "a number")
        column = numeric
    values = column.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise _bad_cell(~np.isfinite(values), name, "NaN or infinite", "finite")
    return values


def _texts(frame: pd.DataFrame) -> list[Text] | None:
    if not {"prompt", "response"} <= set(frame):
        return None
    return list(zip(frame["prompt"].tolist(), _responses(frame), strict=True))


def _responses(frame: pd.DataFrame) -> list[str]:
    responses = frame["response"].tolist()
    not_text = np.array([not isinstance(text, str) for text in responses])
    if not_text.any():
        raise _bad_cell(not_text, "response", "no text", "text")
    return responses


def _lengths(frame: pd.DataFrame) -> FloatArray | None:
    if "length" in frame:
        return _numbers(frame, "length")
    if "response" not in frame:
        return None
    return np.array([float(len(text)) for text in _responses(frame)])


def _bad_cell(bad: AnyArray, name: str, got: str, expected: str) -> DataError:
    at = int(np.argmax(bad))
    return DataError.of(
        expected=f"{expected} in column {name!r} of every row",
        got=f"{got} in row {at + 1} ({int(bad.sum())} such rows)",
        fix="fix these rows, or drop them with their vectors",
        reason=f"bad {name}",
    )


def _refusal(name: str, expected: str, got: str, fix: str, reason: str) -> DataError:
    made = DataError.of(expected=expected, got=got, fix=fix, reason=reason)
    return DataError(f"{name}: {made}", reason=reason)
