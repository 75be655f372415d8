"""What a reward model takes from preferences: pairs, prompt hashes, lengths."""

import hashlib
from collections.abc import Iterable

import numpy as np

from embrm._typing import BoolArray, IntArray, Prompt
from embrm.datasets import Preferences
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
