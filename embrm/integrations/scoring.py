"""One way to rewards for all plug-ins: a model here, on disk, or behind HTTP.

`rerank` sorts documents or responses by it, without a framework.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

from embrm._typing import Prompt, Text
from embrm.exceptions import (
    EmbrmWarning,
    invalid_input,
    warn,
)
from embrm.integrations.remote import RemoteRewardModel
from embrm.messages import as_messages, is_unicode
from embrm.model import RewardModel
from embrm.persist import load_model

Model: TypeAlias = RewardModel | RemoteRewardModel | str | os.PathLike[str]
"""A fitted model, its directory, or the URL of a reward server."""

OnError: TypeAlias = Literal["mean", "raise"]
ENVIRONMENT = "EMBRM_REWARD"
"""Environment variable that names the model where a trainer passes no arguments:
directories or URLs, separated by commas, each optionally as NAME=PLACE."""


@dataclass
class RunningMean:
    """Mean of all rewards so far; 0 before the first.

    Examples
    --------
    >>> mean = RunningMean()
    >>> mean.add([1.0, 2.0])
    >>> mean.add([6.0])
    >>> mean.value
    3.0
    """

    value: float = 0.0
    n: int = 0

    def add(self, rewards: Sequence[float]) -> None:
        """Count more rewards."""
        if rewards:
            self.n += len(rewards)
            mean = sum(rewards) / len(rewards)
            self.value += (mean - self.value) * len(rewards) / self.n


_SEEN: WeakKeyDictionary[RewardModel | RemoteRewardModel, dict[str, RunningMean]]
_SEEN = WeakKeyDictionary()


def rewards_of(
    model: Model | Mapping[str, Model],
    texts: Sequence[Text],
    *,
    on_error: OnError = "mean",
) -> dict[str, list[float]]:
    """Reward texts by one or several models.

    Parameters
    ----------
    model : model, or mapping of str to model
        Fitted model, directory of a saved one, or URL of a server.
    texts : sequence of (prompt, response)
    on_error : {"mean", "raise"}, default="mean"
        What texts get that cannot be rewarded (empty, half a surrogate pair): the mean
        of the others in this call, with a warning, or an error. Where there are no
        others, as for trainers that send one at a time, it is the mean of all that the
        model gave in this process, or 0. A policy that answers with nothing should not
        end a training run, nor gain by it.

    Returns
    -------
    dict of str to list of float
        "reward", that of the first model, then the others by name.

    Examples
    --------
    >>> from embrm.model import RewardModel
    >>> rows = [{"prompt": "a", "chosen": "yes", "rejected": "no"}]
    >>> model = RewardModel("hashing:16").fit(rows)
    >>> named = rewards_of(model, [("a", "yes"), ("a", "no")])
    >>> named["reward"][0] > named["reward"][1]
    True
    """
    models = model if isinstance(model, Mapping) else {"reward": model}
    usable = [n for n, text in enumerate(texts) if on_error == "raise" or _ok(text)]
    good = [texts[n] for n in usable]
    named: dict[str, list[float]] = {}
    for name, one in models.items():
        loaded = opened(os.fspath(one)) if isinstance(one, str | os.PathLike) else one
        seen, given = _SEEN.setdefault(loaded, {}), _rewards(loaded, good)
        for part in dict.fromkeys([*given, *seen]):
            mean = seen.setdefault(part, RunningMean())
            values = _filled(given.get(part, []), usable, len(texts), mean)
            named[name if part == "reward" else f"{name}.{part}"] = values
    if len(usable) < len(texts):
        warn(
            f"{len(texts) - len(usable)} of {len(texts)} responses have no text that "
            "can be rewarded: they get the mean of the others",
            EmbrmWarning,
        )
    first = next(iter(named))
    return {"reward": named[first], **{k: v for k, v in named.items() if k != first}}


def model_from_environment() -> dict[str, str]:
    """Read which model to use from the environment variable EMBRM_REWARD.

    Raises
    ------
    InvalidInputError
        If it is not set.
    """
    given = os.environ.get(ENVIRONMENT, "").strip()
    if not given:
        raise invalid_input(
            expected=f"the environment variable {ENVIRONMENT}",
            got="none",
            fix=f"export {ENVIRONMENT}=http://localhost:8080, or the directory of "
            "a saved model",
        )
    places = {}
    for n, part in enumerate(given.split(",")):
        name, named, place = part.partition("=")
        is_named = bool(named) and name.isidentifier()
        places[name if is_named else f"reward{n or ''}"] = place if is_named else part
    return places


def as_text(prompt: Any, completion: Any) -> Text:
    """Turn a prompt and a completion, text or messages, into the text of an item.

    Examples
    --------
    >>> turns = [{"role": "user", "content": "Hi"}]
    >>> as_text(turns, [{"role": "assistant", "content": "Hello"}])
    ([{'role': 'user', 'content': 'Hi'}], 'Hello')
    >>> as_text("Hi", "Hello")
    ('Hi', 'Hello')
    """
    if isinstance(completion, str):
        return prompt, completion
    if not completion:
        return prompt, ""
    *before, last = completion
    content = last.get("content") or ""
    if not before:
        return prompt, content
    return [*as_messages(prompt), *as_messages(before)], content


@lru_cache(maxsize=16)
def opened(place: str) -> RewardModel | RemoteRewardModel:
    """Open the model at a directory or a URL, once in a process.

    A server's key is read from the environment variable EMBRM_API_KEY.
    """
    if place.startswith(("http://", "https://")):
        return RemoteRewardModel(place, api_key=os.environ.get("EMBRM_API_KEY"))
    model = load_model(Path(place), cache=os.environ.get("EMBRM_CACHE"))
    model.set_params(progress=False)
    return model


def _rewards(
    model: RewardModel | RemoteRewardModel, texts: Sequence[Text]
) -> dict[str, list[float]]:
    if isinstance(model, RemoteRewardModel):
        return model.rewards(texts)
    model.check_encoder()
    if not texts:
        return {"reward": []}
    rewards, _ = model.reward_vectors(
        model.embed(texts).vectors,
        with_std=False,
        one_by_one=True,
        control=model.net_of,
    )
    return {"reward": rewards.tolist()}


def _filled(
    values: list[float], usable: Sequence[int], n: int, mean: "RunningMean"
) -> list[float]:
    """Put the mean where texts could not be rewarded."""
    mean.add(values)
    if len(values) == n:
        return values
    here = sum(values) / len(values) if values else mean.value
    filled = [here] * n
    for place, value in zip(usable, values, strict=False):
        filled[place] = value
    return filled


def _ok(text: Text) -> bool:
    """Say whether a text can be rewarded."""
    return bool(text[1].strip()) and is_unicode(text[1])


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
