"""Rewards for TRL: GRPO, RLOO, Online DPO, and its judges.

TRL calls a function with keywords, `prompts`, `completions` and every column of the
data, and logs it by its `__name__`.
"""

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from embrm._typing import Text
from embrm.integrations.scoring import Model, OnError, as_text, rewards_of

RewardFunction = Callable[..., list[float]]
_PREFIX = "reward_"


def trl_reward(
    model: Model | Mapping[str, Model],
    name: str = "embrm",
    *,
    on_error: OnError = "mean",
) -> RewardFunction:
    """Make a reward function for `GRPOTrainer(reward_funcs=...)` and its like.

    Parameters
    ----------
    model : RewardModel, path, URL, or mapping of str to these
        Several give the first one's reward, and log the others' means.
    name : str, default="embrm"
        By which TRL logs it.
    on_error : {"mean", "raise"}, default="mean"
        See `embrm.integrations.scoring.rewards_of`.

    Returns
    -------
    function
        Plain and synchronous. Of paths and URLs it can be pickled: another process
        makes it again from its name.

    Examples
    --------
    >>> trl_reward("http://localhost:8080", name="helpful").__name__
    'helpful'
    """
    places = model if isinstance(model, Mapping) else {"reward": model}
    if all(isinstance(place, str | os.PathLike) for place in places.values()):
        spec = {k: os.fspath(v) for k, v in places.items()}  # type: ignore[arg-type]
        return _named_function([spec, name, on_error])
    return _make(places, name, on_error)


def trl_rewards(
    models: Mapping[str, Model], *, on_error: OnError = "mean"
) -> list[RewardFunction]:
    """Make a function for each model, for `reward_funcs` with `reward_weights`."""
    return [
        trl_reward(model, name, on_error=on_error) for name, model in models.items()
    ]


class RewardJudge:
    """A judge that prefers the completion with the higher reward.

    It follows the protocol of TRL's `BasePairwiseJudge`.

    Parameters
    ----------
    model : RewardModel, path, URL, or mapping of str to these

    Examples
    --------
    >>> from embrm.model import RewardModel
    >>> rows = [{"prompt": "a", "chosen": "yes", "rejected": "no"}]
    >>> judge = RewardJudge(RewardModel("hashing:16").fit(rows))
    >>> judge.judge(["a", "a"], [["no", "yes"], ["yes", "no"]])
    [1, 0]
    """

    def __init__(self, model: Model | Mapping[str, Model]) -> None:
        self.model = model

    def judge(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Sequence[Any]],
        shuffle_order: bool = True,  # noqa: ARG002
    ) -> list[int]:
        """Say which completion of each pair is better: 0 or 1; of equal ones 0.

        Order does not matter to a reward, so that nothing is shuffled.
        """
        texts: list[Text] = [
            as_text(prompt, one)
            for prompt, pair in zip(prompts, completions, strict=True)
            for one in pair
        ]
        rewards = rewards_of(self.model, texts)["reward"]
        return [int(rewards[n + 1] > rewards[n]) for n in range(0, 2 * len(prompts), 2)]


def _make(places: Mapping[str, Model], name: str, on_error: OnError) -> RewardFunction:
    def reward(
        prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float]:
        pairs = zip(prompts, completions, strict=True)
        texts = [as_text(prompt, completion) for prompt, completion in pairs]
        named = rewards_of(places, texts, on_error=on_error)
        log = columns.get("log_metric")
        if callable(log) and texts:
            for part, values in named.items():
                if part != "reward":
                    log(f"{name}/{part}", sum(values) / len(values))
        return named["reward"]

    reward.__name__ = name
    return reward


def _named_function(spec: list[Any]) -> RewardFunction:
    """Make a function whose qualified name says how to make it again."""
    raw = json.dumps(spec, separators=(",", ":")).encode()
    made: RewardFunction = globals()["__getattr__"](
        _PREFIX + base64.urlsafe_b64encode(raw).decode()
    )
    return made


def __getattr__(name: str) -> Any:
    # pickle stores a function by its qualified name, and looks that up here.
    if not name.startswith(_PREFIX):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        places, display, on_error = json.loads(
            base64.urlsafe_b64decode(name.removeprefix(_PREFIX))
        )
    except ValueError as error:
        raise AttributeError(f"module {__name__!r} has no such reward") from error
    made = _make(places, display, on_error)
    made.__qualname__ = name
    made.__module__ = __name__
    globals()[name] = made
    return made
