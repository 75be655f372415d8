"""Tasks: pairs that a loop proposes, and the judgements that can be made of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

import numpy as np

from embrm._typing import FloatArray, IntArray, Text
from embrm.active import LabelLoop
from embrm.exceptions import DataError
from embrm.messages import prompt_text
from embrm.model.items import RowItems
from embrm.pool import CandidatePool

WINNERS = {"first": 1.0, "second": 0.0, "tie": 0.5, "both bad": 0.5}
"""What may be answered, with the label y of each."""


@dataclass(frozen=True)
class Texts:
    """The texts that are judged.

    Parameters
    ----------
    texts : sequence of (prompt, response)
        Of the pool's items, in order.
    """

    texts: Sequence[Text]

    def prompt(self, item: int) -> str:
        """Write the prompt of an item as people read it."""
        return prompt_text(self.texts[item][0])

    def response(self, item: int) -> str:
        """Return the response of an item."""
        return self.texts[item][1]


@dataclass(frozen=True)
class Task:
    """A pair to judge.

    Attributes
    ----------
    id : str
        Digest of the texts of the pair: the same in every session.
    first, second : int
        Rows of the pool.
    strategy : str
        By which it was chosen; "random" where chance chose.
    propensity : float or None
        Chance of being chosen, None where a strategy chose.
    held_out : bool
        Whether it is only evaluated on.
    """

    id: str
    first: int
    second: int
    strategy: str
    propensity: float | None
    held_out: bool

    def to_json(self) -> dict[str, Any]:
        """Write the task for the journal."""
        return asdict(self)


def distinct_items(items: RowItems) -> tuple[list[Text], IntArray]:
    """Take each (prompt, response) once, and number the prompts.

    Returns
    -------
    texts : list of (prompt, response)
    prompt_ids : ndarray of int of shape (n_items,)

    Raises
    ------
    DataError
        If no prompt has two different responses.
    """
    prompts = np.unique(items.prompts(), return_inverse=True)[1].tolist()
    kept: dict[tuple[int, str], Text] = {}
    for prompt, text in zip(prompts, items.texts, strict=True):
        kept.setdefault((prompt, text[1]), text)
    prompt_ids = np.array([prompt for prompt, _ in kept], dtype=np.intp)
    if not len(prompt_ids) or np.bincount(prompt_ids).max() < 2:
        raise DataError.of(
            expected="two different responses to some prompt",
            got=f"{len(prompt_ids)} responses to as many prompts",
            fix="give each prompt two responses or more",
            reason="nothing to compare",
        )
    return list(kept.values()), prompt_ids


def make_loop(
    texts: list[Text],
    prompt_ids: IntArray,
    vectors: FloatArray,
    head: Any = None,
    **options: Any,
) -> LabelLoop:
    """Make the loop of a labelling session.

    Parameters
    ----------
    texts, prompt_ids
        As `distinct_items` returns them.
    vectors : ndarray of shape (n_items, d)
    head : LinearBradleyTerry, optional
        Fitted: what is believed before the first label. It then learns by
        `partial_fit`, from a copy.
    **options
        As for `LabelLoop`.
    """
    from embrm.active import RewardPosterior

    pool = CandidatePool(vectors, prompt_ids, texts=texts)
    if head is None:
        return LabelLoop(pool, **options)
    loop = LabelLoop(pool, **options, refit_by="partial")
    loop.posterior = RewardPosterior.from_head(head, pool.items)
    loop.head_ = head
    return loop


def propose_tasks(
    loop: LabelLoop, texts: Texts, n: int, pending: IntArray | None = None
) -> list[Task]:
    """Ask the strategy for n more pairs besides pending ones, the most wanted first."""
    proposal = loop.propose(n, pending)
    name = type(loop.strategy).__name__
    chosen = zip(
        proposal.ids,
        proposal.is_random,
        proposal.propensity,
        proposal.held_out,
        strict=True,
    )
    return [
        make_task(texts, ids, "random" if by_chance else name, float(p), bool(held_out))
        for ids, by_chance, p, held_out in chosen
    ]


def make_task(
    texts: Texts, ids: IntArray, strategy: str, propensity: float, held_out: bool
) -> Task:
    """Name a pair by its texts, and note how it was chosen."""
    first, second = int(ids[0]), int(ids[1])
    return Task(
        pair_id(texts, first, second),
        first,
        second,
        strategy,
        None if isnan(propensity) else float(f"{propensity:.9g}"),
        held_out,
    )


def pair_id(texts: Texts, first: int, second: int) -> str:
    """Digest the texts of a pair, in its order.

    Examples
    --------
    >>> pair_id(Texts([("2 + 2?", "4"), ("2 + 2?", "5")]), 0, 1)
    'cfeb3890bce1'
    """
    digest = hashlib.blake2b(digest_size=6)
    for item in (first, second):
        for text in (texts.prompt(item), texts.response(item)):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def is_swapped(seed: int, key: str, annotator: str, repeat: int) -> bool:
    """Say whether second stands first on the screen: by chance, and the same again.

    A repeat shows the sides the other way round.
    """
    words = f"{seed}\n{key}\n{annotator}".encode("utf-8", "surrogatepass")
    coin = hashlib.blake2b(words, digest_size=1).digest()[0] & 1
    return bool((coin + repeat) % 2)
