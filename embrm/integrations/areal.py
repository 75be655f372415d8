"""A reward for AReaL: `reward_fn`, by its import path.

AReaL calls it in a pool of processes, with a limit of 15 seconds and three retries, and
takes 0 for what is late: point EMBRM_REWARD to a server, so that no process loads a
model.
"""

from collections.abc import Sequence
from typing import Any

from embrm.integrations.scoring import model_from_environment, rewards_of
from embrm.integrations.templates import split_text


def reward_fn(
    prompt: str,
    completions: str,
    prompt_ids: Sequence[int] | None = None,  # noqa: ARG001
    completion_ids: Sequence[int] | None = None,  # noqa: ARG001
    **_: Any,
) -> float:
    """Reward a completion.

    AReaL decodes both with special tokens, the prompt as its template made it: they are
    split again.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest import mock
    >>> from embrm import RewardModel, save_model
    >>> rows = [{"prompt": "A fruit?", "chosen": "An apple.", "rejected": "A car."}]
    >>> model = RewardModel(encoder="hashing:64").fit(rows)
    >>> place = save_model(model, tempfile.mkdtemp() + "/model")
    >>> with mock.patch.dict(os.environ, EMBRM_REWARD=str(place)):
    ...     reward_fn("A fruit?", "An apple.") > reward_fn("A fruit?", "A car.")
    True
    """
    text = split_text(prompt + completions, prompt=prompt) or (prompt, completions)
    return rewards_of(model_from_environment(), [text])["reward"][0]
