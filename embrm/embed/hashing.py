"""Feature hashing of words: an encoder without a model.

Vectors are the same in every process and on every machine: words are hashed with
blake2b, everything summed is an integer, and the rest is correctly rounded.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Text
from embrm.embed.base import BatchReport, Fingerprint, OnBatch
from embrm.embed.template import check_text
from embrm.exceptions import invalid_input
from embrm.messages import prompt_text


@dataclass(frozen=True)
class HashingEncoder:
    r"""Embed texts by signed feature hashing of word n-grams.

    For tests, demonstrations and baselines: it needs no model, no download and no
    torch, and the words of a text can be learned from its vectors.

    Parameters
    ----------
    dim : int, default=256
        Length d of the vectors, at least 16.
    seed : int, default=0
        Chooses the hash function; another seed gives an unrelated embedding.
    ngrams : tuple of int, default=(1, 2, 3)
        Orders of the word n-grams, 1 to 8. A Chinese, Japanese or Korean character
        counts as a word.
    scaling : {"l2", "sqrt"}, default="l2"
        `"l2"` gives each of the three hashed blocks unit length; `"sqrt"` takes
        signed square roots, which keeps that longer texts have more words.

    Notes
    -----
    Half of the vector holds the response's n-grams, a quarter the prompt's, and the
    rest what the two have in common: shared n-grams and, in the last four columns,
    the response's length as :math:`n / (n + 64)`, the share of its n-grams that are
    distinct, the share that occur in the prompt, and the share of the prompt's that
    occur in it. An n-gram of order k that occurs t times adds
    :math:`\pm 4^{1-k} (1 + \lfloor \log_2 t \rfloor)` to one column: longer n-grams
    are many and mostly unique, and at full weight would dominate the words.

    References
    ----------
    Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning",
    arXiv:0902.2206.

    Examples
    --------
    >>> encoder = HashingEncoder(dim=64)
    >>> encoder.encode([("Why?", "Because."), ("Why?", "Because.")]).shape
    (2, 64)
    """

    dim: int = 256
    _: KW_ONLY
    seed: int = 0
    ngrams: tuple[int, ...] = (1, 2, 3)
    scaling: str = "l2"

    def __post_init__(self) -> None:
        orders = self.ngrams
        is_valid = {
            "dim >= 16": self.dim >= 16,
            "0 <= seed < 2**64": 0 <= self.seed < 2**64,
            "ngrams from 1 to 8": bool(orders) and 1 <= min(orders) <= max(orders) <= 8,
            "scaling 'l2' or 'sqrt'": self.scaling in _SCALINGS,
        }
        wrong = [rule for rule, holds in is_valid.items() if not holds]
        if wrong:
            raise invalid_input(expected=wrong[0], got=repr(self), fix="change it")

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; see `embrm.embed.base.Fingerprint`."""
        fields = {
            "kind": "hashing",
            "recipe": 1,
            "seed": self.seed,
            "ngrams": sorted(set(self.ngrams)),
            "scaling": self.scaling,
        }
        return Fingerprint(fields, dim=self.dim, dtype="float32")

    def encode(
        self, texts: Sequence[Text], *, on_batch: OnBatch | None = None
    ) -> NDArray[np.floating[Any]]:
        """Embed texts; see `embrm.embed.base.Encoder`.

        Returns
        -------
        ndarray of shape (n_texts, d), float32
        """
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        known_words: dict[str, int] = {}
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = [check_text(text) for text in texts[start : start + _TEXTS_AT_ONCE]]
            prompts = self._bags(
                [prompt_text(prompt) for prompt, _ in part], known_words
            )
            responses = self._bags([response for _, response in part], known_words)
            vectors[start : start + len(part)] = self._vectors(prompts, responses)
            if on_batch is not None:
                n_words = int(prompts.n_words.sum() + responses.n_words.sum())
                on_batch(BatchReport(n_texts=len(part), n_tokens=n_words))
        return vectors

    def _bags(self, texts: Sequence[str], known_words: dict[str, int]) -> "_Bags":
        """Hash words, form n-grams and count the distinct ones of each text."""
        words = [_WORD.findall(text.lower()) for text in texts]
        for word in {word for text in words for word in text}.difference(known_words):
            known_words[word] = _hash_word(word, self.seed)
        n_words = np.array([len(text) for text in words])
        flat = np.array(
            [known_words[word] for text in words for word in text], dtype=np.uint64
        )
        rows = np.repeat(np.arange(len(texts)), n_words)
        return _count(*_ngrams(flat, rows, sorted(set(self.ngrams))), n_words=n_words)

    def _vectors(self, prompts: "_Bags", responses: "_Bags") -> NDArray[np.float64]:
        scale = _SCALINGS[self.scaling]
        n_response, n_prompt = self.dim // 2, (self.dim - 4) // 4
        shared = _intersect(prompts, responses)
        blocks = [
            scale(_hashed(responses, n_response)),
            scale(_hashed(prompts, n_prompt)),
            scale(_hashed(shared, self.dim - n_response - n_prompt - 4)),
            _shares(prompts, responses, shared),
        ]
        return np.hstack(blocks)


@dataclass(frozen=True)
class _Bags:
    """The distinct n-grams of several texts: text, hash, order and count of each."""

    rows: NDArray[np.intp]
    hashes: NDArray[np.uint64]
    orders: NDArray[np.intp]
    counts: NDArray[np.intp]
    n_words: NDArray[np.intp]

    @property
    def n_distinct(self) -> NDArray[np.intp]:
        return np.bincount(self.rows, minlength=len(self.n_words))

    @property
    def n_ngrams(self) -> NDArray[np.float64]:
        return _sums(self.rows, self.counts, len(self.n_words))


_TEXTS_AT_ONCE = 512
_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|[^\w\s]")


def _hash_word(word: str, seed: int) -> int:
    digest = hashlib.blake2b(
        # Lone surrogates occur in scraped data and have no UTF-8.
        word.encode("utf-8", "surrogatepass"),
        digest_size=8,
        key=seed.to_bytes(8, "little"),
    )
    return int.from_bytes(digest.digest(), "little")


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit integers (the finaliser of splitmix64); overflow wraps."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _ngrams(
    words: NDArray[np.uint64], rows: NDArray[np.intp], orders: Sequence[int]
) -> tuple[NDArray[np.intp], NDArray[np.uint64], NDArray[np.intp]]:
    """Hash the n-grams of each order within one text."""
    found = []
    hashes = _mix(words)
    for order in range(1, max(orders) + 1):
        if order > 1:
            hashes = _mix(hashes[:-1] * np.uint64(31) + words[order - 1 :])
        starts, ends = rows[: len(hashes)], rows[order - 1 :]
        within = starts == ends
        if order in orders:
            found.append((ends[within], hashes[within], np.full(within.sum(), order)))
    all_rows, all_hashes, all_orders = map(np.concatenate, zip(*found, strict=True))
    return all_rows, all_hashes, all_orders


def _count(
    rows: NDArray[np.intp],
    hashes: NDArray[np.uint64],
    orders: NDArray[np.intp],
    n_words: NDArray[np.intp],
) -> _Bags:
    """Count equal n-grams of the same text."""
    order = np.lexsort((hashes, rows))
    rows, hashes = rows[order], hashes[order]
    is_first = np.ones(len(rows), dtype=bool)
    is_first[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    starts = np.flatnonzero(is_first)
    counts = np.diff(np.append(starts, len(rows)))
    return _Bags(rows[starts], hashes[starts], orders[order][starts], counts, n_words)


def _intersect(one: _Bags, other: _Bags) -> _Bags:
    """Keep the n-grams that a text's prompt and response both have."""
    both = _count(
        np.concatenate([one.rows, other.rows]),
        np.concatenate([one.hashes, other.hashes]),
        np.concatenate([one.orders, other.orders]),
        one.n_words,
    )
    kept = both.counts == 2
    rows, hashes, orders = both.rows[kept], both.hashes[kept], both.orders[kept]
    return _Bags(rows, hashes, orders, np.ones_like(rows), one.n_words)


def _hashed(bags: _Bags, size: int) -> NDArray[np.float64]:
    """Add each n-gram, with a sign and a sublinear weight, to one of `size` columns."""
    columns = (bags.hashes >> np.uint64(1)) % np.uint64(size)
    signs = 1 - 2 * (bags.hashes & np.uint64(1)).astype(np.int64)
    # The binary exponent of t is 1 + floor(log2 t): exact, where a logarithm is not.
    weights = np.ldexp(signs * np.frexp(bags.counts)[1], 2 - 2 * bags.orders)
    n_texts = len(bags.n_words)
    cells = bags.rows * size + columns.astype(np.int64)
    return _sums(cells, weights, n_texts * size).reshape(n_texts, size)


def _sums(
    cells: NDArray[np.intp], weights: NDArray[Any], n_cells: int
) -> NDArray[np.float64]:
    """Add up weights by cell."""
    sums = np.bincount(cells, weights, minlength=n_cells)
    return np.asarray(sums, dtype=np.float64)


def _shares(prompts: _Bags, responses: _Bags, shared: _Bags) -> NDArray[np.float64]:
    """Compute the four unhashed columns, each in [0, 1]; see `HashingEncoder`."""
    return np.column_stack(
        [
            responses.n_words / (responses.n_words + 64),
            responses.n_distinct / np.maximum(responses.n_ngrams, 1),
            shared.n_distinct / np.maximum(responses.n_distinct, 1),
            shared.n_distinct / np.maximum(prompts.n_distinct, 1),
        ]
    )


def _to_unit_length(block: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.sqrt((block * block).sum(axis=1, keepdims=True))
    return block / np.where(length > 0, length, 1)


def _to_signed_roots(block: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(block) * np.sqrt(np.abs(block))


_SCALINGS = MappingProxyType({"l2": _to_unit_length, "sqrt": _to_signed_roots})
