"""Prompts as sets of shingles: two words in a row, hashed to 32 bits."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embrm._typing import IntArray, Prompt
from embrm.exceptions import invalid_input
from embrm.messages import prompt_text

_BYTES_AT_ONCE = 32_000_000
_SHINGLES_AT_ONCE = 1 << 15
_COMMON_SHARE = 0.05
_COMMON_COUNT = 50

# Han, kana, Thai, Lao, Khmer and Burmese put no spaces between words.
_OWN_WORD = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_OWN_WORD += r"\p{S}*/%&#@-])"
_NO_WORD = r"[^\p{L}\p{M}\p{N}\p{S}*/%&#@-]+"


class ShingleSets(NamedTuple):
    """Sets of 32-bit hashes: those of set n are `hashes[starts[n]:starts[n + 1]]`."""

    hashes: NDArray[np.uint32]
    starts: IntArray

    @property
    def sizes(self) -> IntArray:
        """How many each has, at least 1."""
        return np.diff(self.starts)

    def rows(self, at: IntArray) -> IntArray:
        """Return where in `hashes` the elements of some sets are."""
        sizes = self.sizes[at]
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
        return np.asarray(np.repeat(self.starts[at], sizes) + within)

    def take(self, at: IntArray) -> "ShingleSets":
        """Keep some sets."""
        starts = np.concatenate([[0], np.cumsum(self.sizes[at])])
        return ShingleSets(self.hashes[self.rows(at)], starts)

    def fingerprints(self) -> NDArray[np.uint64]:
        """Return a number for each set, equal for equal sets."""
        mixed = mix(self.hashes.astype(np.uint64))
        sums: NDArray[np.uint64] = np.add.reduceat(mixed, self.starts[:-1])
        return sums

    def without(self, common: NDArray[np.uint32]) -> "ShingleSets":
        """Leave out some elements, but from sets that have no others."""
        if not len(common):
            return self
        at = np.searchsorted(common, self.hashes) % len(common)
        kept = common[at] != self.hashes
        n_kept = np.add.reduceat(kept.astype(np.int64), self.starts[:-1])
        kept |= np.repeat(n_kept == 0, self.sizes)
        sizes = np.where(n_kept == 0, self.sizes, n_kept)
        return ShingleSets(self.hashes[kept], np.concatenate([[0], np.cumsum(sizes)]))

    def common(self) -> NDArray[np.uint32]:
        """Return the elements of more than 50 and 5% of the sets, in order.

        They come of system prompts and templates, and tell prompts not apart.
        """
        ordered = np.sort(self.hashes)
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        counts = np.diff(np.append(starts, len(ordered)))
        most = max(_COMMON_SHARE * len(self.sizes), _COMMON_COUNT)
        return ordered[starts[counts > most]]

    def smallest(self, factors: NDArray[np.uint32]) -> NDArray[np.uint64]:
        """Hash the elements in several ways, and combine the smallest of each.

        Parameters
        ----------
        factors : ndarray of uint32 of shape (n_hashes,)
            Odd: multiplying by them permutes the 32-bit numbers.

        Returns
        -------
        ndarray of uint64 of shape (n_sets,)
            One number for all the hashes: equal where all of them are.
        """
        keys = np.zeros(len(self.sizes), dtype=np.uint64)
        cuts = np.searchsorted(
            self.starts, np.arange(0, self.starts[-1], _SHINGLES_AT_ONCE)
        )
        cuts = np.unique(np.append(cuts, len(keys)))
        for begin, end in pairwise(cuts):
            low = self.starts[begin]
            hashes = self.hashes[low : self.starts[end]]
            starts = self.starts[begin:end] - low
            block = keys[begin:end]
            for factor in factors:
                smallest = np.minimum.reduceat(hashes * factor, starts)
                block[:] = mix(block + smallest)
        return keys


def shingle_sets(prompts: Iterable[Prompt]) -> ShingleSets:
    """Take prompts apart, some at a time, so that the words need little memory.

    Parameters
    ----------
    prompts : iterable of str or of lists of messages
        At least one.

    Raises
    ------
    InvalidInputError
        If a prompt is malformed, or not Unicode.
    """
    plain = [p if isinstance(p, str) else prompt_text(p) for p in prompts]
    try:
        texts = pa.array(plain, pa.large_string())
    except UnicodeEncodeError as error:
        raise invalid_input(
            expected="prompts that are valid Unicode",
            got="half of a surrogate pair",
            fix="write the character whole, or leave the prompt out",
        ) from error
    n_bytes = np.cumsum(pc.binary_length(texts).to_numpy(zero_copy_only=False))
    part = (n_bytes // _BYTES_AT_ONCE).astype(np.int64)
    cuts = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(texts)]
    parts = [_sets_of(texts.slice(start, end - start)) for start, end in pairwise(cuts)]
    sizes = np.concatenate([one.sizes for one in parts])
    hashes = np.concatenate([one.hashes for one in parts])
    return ShingleSets(hashes, np.concatenate([[0], np.cumsum(sizes)]))


def _sets_of(texts: pa.Array) -> ShingleSets:
    """Hash the shingles of each text; a text of one word or none has one."""
    words, n_words = _words(texts)
    is_last = np.zeros(len(words), dtype=bool)
    is_last[np.cumsum(n_words) - 1] = True
    following = np.append(words[1:], np.uint64(0))
    following[is_last] = 0
    hashes = mix(words * np.uint64(0x9E3779B97F4A7C15) + following)
    text = np.repeat(np.arange(len(n_words), dtype=np.uint64), n_words)
    kept = ~is_last | np.repeat(n_words == 1, n_words)
    keys = (text[kept] << np.uint64(32)) | (hashes[kept] >> np.uint64(32))
    keys.sort()
    keys = keys[np.append(True, keys[1:] != keys[:-1])]
    sizes = np.bincount((keys >> np.uint64(32)).astype(np.int64))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return ShingleSets(keys.astype(np.uint32), starts)


def _words(texts: pa.Array) -> tuple[NDArray[np.uint64], IntArray]:
    """Hash the words of all texts, and count them: at least one in each."""
    plain = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    plain = pc.replace_substring_regex(plain, pattern=_NO_WORD, replacement=" ")
    plain = pc.replace_substring_regex(plain, pattern=_OWN_WORD, replacement=r" \1 ")
    lists = pc.ascii_split_whitespace(pc.ascii_trim_whitespace(plain))
    encoded = lists.flatten().dictionary_encode()
    known = encoded.dictionary.to_numpy(zero_copy_only=False)
    hashed = pd.util.hash_array(known, categorize=False)
    n_words = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    return hashed[encoded.indices.to_numpy()], n_words.astype(np.int64)


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter numbers over 64 bits (the finaliser of splitmix64)."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
