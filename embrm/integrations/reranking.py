"""Rerank documents or responses by their reward, without a framework."""

from collections.abc import Sequence

from embrm._typing import Prompt, Text
from embrm.integrations.scoring import Model, rewards_of


def rerank(
    query: Prompt,
    documents: Sequence[str],
    *,
    model: Model,
    top_n: int | None = None,
) -> list[tuple[int, float]]:
    """Order documents by their reward as responses to a query.

    Parameters
    ----------
    query : str or messages
    documents : sequence of str
    model : RewardModel, path or URL
    top_n : int, optional
        How many to return; None returns all.

    Returns
    -------
    list of (int, float)
        Positions in `documents` and rewards, best first; of equal ones the first.

    Examples
    --------
    >>> from embrm.model import RewardModel
    >>> rows = [{"prompt": "a", "chosen": "yes", "rejected": "no"}]
    >>> model = RewardModel("hashing:16").fit(rows)
    >>> [n for n, _ in rerank("a", ["no", "yes"], model=model)]
    [1, 0]
    """
    texts: list[Text] = [(query, document) for document in documents]
    rewards = rewards_of(model, texts)["reward"]
    order = sorted(range(len(documents)), key=lambda n: -rewards[n])
    return [(n, rewards[n]) for n in order[:top_n]]
