"""How long embedding will take, from embedding a few of the texts first."""

import os
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embrm._typing import IntArray, Text
from embrm.embed.base import CombinedEncoder, Encoder
from embrm.embed.cache.vector_cache import VectorCache
from embrm.embed.keys import KeyIndex, item_keys
from embrm.embed.run import embed_items
from embrm.messages import prompt_text

# Neighbours share their prompt, and so a part of the work: samples are runs of them.
_N_RUNS = 3
_RUN_TEXTS = 32
_RUN_CHARACTERS = 4000
# Less than this is embedded before an estimate would be worth its time.
_FEW_CHARACTERS = 60_000


class Estimate(NamedTuple):
    """What is to be embedded, and how long it should take.

    Attributes
    ----------
    n_texts : int
        Different texts that the cache lacks.
    seconds : float
        Wall time, on this machine as busy as it is now.
    """

    n_texts: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.n_texts:,} texts to embed, about {format_duration(self.seconds)}"


def estimate_embedding(
    texts: Sequence[Text],
    encoder: Encoder,
    cache: VectorCache | str | os.PathLike[str] | None = None,
) -> Estimate | None:
    """Estimate how long it takes to embed texts, by embedding some of them.

    What is embedded here is not kept: the report of the run that follows counts what
    was in the cache before.

    Parameters
    ----------
    texts : sequence of (prompt, response)
    encoder : Encoder
        Loaded by this, where much is missing.
    cache : VectorCache, str or path, optional
        Texts in it take no time.

    Returns
    -------
    Estimate or None
        None where so little is missing that there is nothing to wait for.

    Examples
    --------
    >>> from embrm.embed.hashing import HashingEncoder
    >>> texts = [(f"question {n}", "answer " * 20) for n in range(1000)]
    >>> estimate_embedding(texts, HashingEncoder()).n_texts
    1000
    >>> estimate_embedding(texts[:3], HashingEncoder()) is None
    True
    """
    if isinstance(encoder, CombinedEncoder):
        each = [estimate_embedding(texts, one, cache) for one in encoder.encoders]
        known = [one for one in each if one is not None]
        if not known:
            return None
        most = max(one.n_texts for one in known)
        return Estimate(most, sum(one.seconds for one in known))
    keys = item_keys(texts)
    missing = KeyIndex(keys).rows
    if cache is not None:
        cache = cache if isinstance(cache, VectorCache) else VectorCache(cache)
        missing = missing[~cache.open_for(encoder).contains(keys[missing])]
    sizes = np.array([_n_characters(texts[row]) for row in missing], dtype=np.float64)
    if sizes.sum() < _FEW_CHARACTERS:
        return None
    runs = _runs(sizes)
    # The first run loads the model and tests its ways of sharing: not timed.
    spent, done = [], []
    for run in runs:
        part = [texts[missing[at]] for at in run]
        started = time.perf_counter()
        embed_items(part, encoder, progress=False)
        spent.append(time.perf_counter() - started)
        done.append(sizes[run].sum())
    timed = slice(1, None) if len(runs) > 1 else slice(None)
    seconds = sum(spent[timed]) * sizes.sum() / sum(done[timed])
    return Estimate(len(missing), float(seconds))


def format_duration(seconds: float) -> str:
    """Say a duration to the precision that an estimate has.

    Examples
    --------
    >>> (
    ...     format_duration(0.2),
    ...     format_duration(42),
    ...     format_duration(100),
    ...     format_duration(5000),
    ...     format_duration(90000),
    ... )
    ('a second', '40 s', '2 min', '1.4 h', '25 h')
    """
    if seconds < 1.5:
        return "a second"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds < 10 else f"{round(seconds, -1):.0f} s"
    if seconds < 5400 * 0.9:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36000 else f"{seconds / 3600:.0f} h"


def _n_characters(text: Text) -> int:
    prompt, response = text
    return len(prompt_text(prompt)) + len(response) + 1


def _runs(sizes: np.ndarray) -> list[IntArray]:
    """Choose runs of neighbours, spread evenly over the texts, none too long."""
    starts = np.unique(np.linspace(0, len(sizes), _N_RUNS, endpoint=False, dtype=int))
    ends = np.append(starts[1:], len(sizes))
    runs = []
    for start, end in zip(starts, ends, strict=True):
        run = np.arange(start, min(start + _RUN_TEXTS, end))
        fits = np.cumsum(sizes[run]) <= _RUN_CHARACTERS
        runs.append(run[: max(int(fits.sum()), 1)])
    return runs
