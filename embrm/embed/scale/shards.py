"""Cut texts into shards of whole prompt groups, and hand them over in a file.

A shard is small: it names a range of a file, so that its worker reads the texts from
a shared disk, and they do not pass through the process that plans.

The file holds one prompt group per line, as JSON `[prompt, [response, ...]]`. It is
UTF-8 but for lone surrogates, which keep their three-byte form.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from embrm._typing import IntArray, Text
from embrm.embed.cache.durable import Place, storage_errors, write_durably
from embrm.exceptions import EmbrmError, IntegrityError, invalid_input
from embrm.messages import as_messages, canonical_json

CHARACTERS_PER_TOKEN = 4
"""Characters of a token in English prose, to estimate lengths without a tokenizer."""

Groups: TypeAlias = list[list[int]]
"""Positions of texts, prompt by prompt."""


@dataclass(frozen=True)
class Shard:
    """Whole prompt groups, by their place in a file of texts.

    Attributes
    ----------
    number : int
        0-based, among the shards of one file.
    path : Path or RemotePath
        Of the file, absolute.
    offset, n_bytes : int
        Where its lines begin, and their length.
    n_texts : int
        Responses in it.
    digest : str
        Hexadecimal blake2b-128 of its bytes.
    """

    number: int
    path: Place
    offset: int
    n_bytes: int
    n_texts: int
    digest: str


def prompt_groups(texts: Sequence[Text], positions: IntArray) -> Groups:
    """Group some texts by their prompts, in order of first appearance.

    Parameters
    ----------
    texts : sequence of (prompt, response)
    positions : ndarray of int
        Those to group.

    Returns
    -------
    list of list of int

    Examples
    --------
    >>> texts = [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]
    >>> prompt_groups(texts, np.array([0, 1, 2]))
    [[0, 2], [1]]
    """
    groups: dict[str, list[int]] = {}
    for position in positions.tolist():
        prompt = canonical_json(texts[position][0])
        groups.setdefault(prompt, []).append(position)
    return list(groups.values())


def group_tokens(texts: Sequence[Text], groups: Groups) -> NDArray[np.float64]:
    """Estimate the tokens of each group: its prompt once, and all its responses.

    Returns
    -------
    ndarray of shape (n_groups,), > 0
    """
    # One for each text, so that empty ones count too.
    characters = [
        len(canonical_json(texts[group[0]][0]))
        + sum(len(texts[position][1]) + 1 for position in group)
        for group in groups
    ]
    return np.array(characters, dtype=np.float64) / CHARACTERS_PER_TOKEN


def balanced_blocks(sizes: NDArray[np.float64], n_blocks: int) -> list[slice]:
    """Cut a sequence into contiguous blocks of about the same size.

    Each element goes where its middle lies, so a block exceeds the mean by less than
    the largest element. The result depends on nothing but the arguments.

    Parameters
    ----------
    sizes : ndarray of shape (n,), > 0
    n_blocks : int
        At least 1. Blocks may be empty.

    Returns
    -------
    list of slice
        They cover everything once, in order.

    Examples
    --------
    >>> balanced_blocks(np.array([3.0, 1.0, 1.0, 1.0]), 2)
    [slice(0, 1, None), slice(1, 4, None)]
    """
    ends = np.cumsum(sizes)
    total = ends[-1] if len(ends) else 1.0
    blocks = np.floor((ends - sizes / 2) / total * n_blocks).astype(np.int64)
    bounds = np.searchsorted(blocks, np.arange(n_blocks + 1))
    bounds[-1] = len(sizes)
    return [slice(start, stop) for start, stop in pairwise(bounds.tolist())]


def parse_part(part: str) -> tuple[int, int]:
    """Read `"i/n"`: the i-th of n parts, counted from 1.

    Raises
    ------
    InvalidInputError
        If it is not of this form, or i is not from 1 to n.

    Examples
    --------
    >>> parse_part("3/8")
    (3, 8)
    """
    number, slash, n_parts = part.partition("/")
    is_numeric = bool(slash) and number.isdecimal() and n_parts.isdecimal()
    if not is_numeric or not 1 <= int(number) <= int(n_parts):
        raise invalid_input(
            expected="a part i/n with 1 <= i <= n",
            got=repr(part[:20]),
            fix="count from 1: the four parts of four are 1/4, 2/4, 3/4 and 4/4",
        )
    return int(number), int(n_parts)


def write_shards(
    path: Place, texts: Sequence[Text], groups: Groups, shard_tokens: float
) -> list[Shard]:
    """Write prompt groups to a file, and describe it as shards.

    Parameters
    ----------
    path : Path or RemotePath
        Is overwritten.
    texts : sequence of (prompt, response)
    groups : list of list of int
        Which texts, prompt by prompt.
    shard_tokens : float
        Estimated tokens of a shard; a larger group is a shard by itself.

    Returns
    -------
    list of Shard
        In order, none of them empty.

    Raises
    ------
    EmbrmError
        If the disk refuses.
    """
    sizes = group_tokens(texts, groups)
    n_blocks = int(np.ceil(sizes.sum() / shard_tokens))
    where = path.absolute() if isinstance(path, Path) else path
    shards: list[Shard] = []
    lines: list[bytes] = []
    offset = 0
    for block in balanced_blocks(sizes, n_blocks):
        data = b"".join(_line(texts, group) for group in groups[block])
        if data:
            n_texts = sum(map(len, groups[block]))
            digest = _digest(data)
            shards.append(Shard(len(shards), where, offset, len(data), n_texts, digest))
            lines.append(data)
            offset += len(data)
    with storage_errors("write the texts", path):
        write_durably(where, b"".join(lines))
    return shards


def read_shard(shard: Shard) -> list[Text]:
    """Read the texts of a shard, group by group.

    Raises
    ------
    EmbrmError
        If the file is not there.
    IntegrityError
        If it holds something else than when the shard was written.
    """
    try:
        with shard.path.open("rb") as file:
            file.seek(shard.offset)
            data = file.read(shard.n_bytes)
    except OSError as error:
        raise EmbrmError.of(
            expected=f"the file of texts {shard.path}",
            got=error.strerror or type(error).__name__,
            fix="put the cache on a disk that all machines share",
        ) from error
    if _digest(data) != shard.digest:
        raise IntegrityError.of(
            expected=f"{shard.n_bytes} bytes at {shard.offset} of {shard.path}",
            got="others than were written",
            fix="run again: the file is written again",
        )
    texts: list[Text] = []
    for line in data.splitlines():
        prompt, responses = json.loads(line.decode("utf-8", "surrogatepass"))
        texts += [(prompt, response) for response in responses]
    return texts


def _line(texts: Sequence[Text], group: list[int]) -> bytes:
    """Write a group as a line of JSON."""
    prompt = texts[group[0]][0]
    turns = prompt if isinstance(prompt, str) else list(as_messages(prompt))
    row = [turns, [texts[position][1] for position in group]]
    # Escapes would join two lone surrogates to one character when read.
    written = json.dumps(row, ensure_ascii=False)
    return written.encode("utf-8", "surrogatepass") + b"\n"


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
