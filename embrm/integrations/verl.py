"""Rewards for verl: a reward manager, which sees the prompt, and a score function.

```
reward.reward_manager.source=importlib
reward.reward_manager.name=RewardManager
reward.reward_manager.module.path=pkg://embrm.integrations.verl
```

The model is named by the environment variable EMBRM_REWARD, since verl's managers get
no arguments of their own.
"""

import asyncio
import inspect
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from embrm._typing import Message, Prompt
from embrm.integrations.scoring import Model, model_from_environment, rewards_of


class _Base:
    """Enough of verl's base to be used where verl is not installed."""

    def __init__(self, config: Any, tokenizer: Any) -> None:
        self.config, self.tokenizer = config, tokenizer


if not TYPE_CHECKING:
    with suppress(ImportError):
        from verl.experimental.reward_loop.reward_manager.base import (
            RewardManagerBase as _Base,
        )


class RewardManager(_Base):
    """Rewards one sample by its prompt and its response.

    Parameters
    ----------
    config, tokenizer, compute_score
        As verl passes them; the last is not used.
    **_
        Whatever else verl passes, as its router.
    """

    def __init__(
        self, config: Any, tokenizer: Any, compute_score: Any = None, **_: Any
    ) -> None:
        # Some releases of verl hand the score function to the base class, too.
        takes = inspect.signature(super().__init__).parameters
        more = {"compute_score": compute_score} if "compute_score" in takes else {}
        super().__init__(config, tokenizer, **more)
        self._models = model_from_environment()

    async def run_single(self, data: Any) -> dict[str, Any]:
        """Reward the last sample of a batch: verl calls this for each.

        Returns
        -------
        dict
            "reward_score", and "reward_extra_info" with the same keys for every sample:
            the rewards of all models by name.
        """
        sample = data[-1]
        ids = sample.batch["responses"]
        n_valid = int(sample.batch["attention_mask"][-ids.shape[-1] :].sum())
        response = await asyncio.to_thread(
            self.tokenizer.decode, ids[:n_valid], skip_special_tokens=True
        )
        prompt = _plain(sample.non_tensor_batch["raw_prompt"])
        named = await asyncio.to_thread(rewards_of, self._models, [(prompt, response)])
        extra = {name: values[0] for name, values in named.items()}
        return {"reward_score": extra["reward"], "reward_extra_info": extra}


def compute_score(
    data_source: Any,  # noqa: ARG001
    solution_str: str,
    ground_truth: Any = None,  # noqa: ARG001
    extra_info: Any = None,
    *,
    model: Model | None = None,
    prompt_key: str = "prompt",
    **_: Any,
) -> dict[str, float]:
    """Score a solution, for `reward.custom_reward_function`.

    verl does not pass the prompt: it is read from `extra_info[prompt_key]`, where your
    data must have it. Prefer `RewardManager`, which sees it.

    Parameters
    ----------
    solution_str : str
        The response.
    extra_info : mapping, optional
    model : path or URL, optional
        By `reward.custom_reward_function.reward_kwargs.model`; else EMBRM_REWARD.
    prompt_key : str, default="prompt"

    Returns
    -------
    dict of str to float
        "score", and the reward of each model by name.

    Examples
    --------
    >>> import tempfile
    >>> from embrm import RewardModel, save_model
    >>> rows = [{"prompt": "A fruit?", "chosen": "An apple.", "rejected": "A car."}]
    >>> model = RewardModel(encoder="hashing:64").fit(rows)
    >>> place = save_model(model, tempfile.mkdtemp() + "/model")
    >>> asked = {"prompt": "A fruit?"}
    >>> good = compute_score("data", "An apple.", None, asked, model=place)
    >>> bad = compute_score("data", "A car.", None, asked, model=place)
    >>> good["score"] > bad["score"]
    True
    """
    prompt = (extra_info or {}).get(prompt_key, "")
    models = model_from_environment() if model is None else {"reward": model}
    named = rewards_of(models, [(_plain(prompt), solution_str)])
    values = {name: rewards[0] for name, rewards in named.items()}
    return {"score": values.pop("reward"), **values}


def compute_score_batched(
    data_sources: Sequence[Any],  # noqa: ARG001
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any] | None = None,  # noqa: ARG001
    extra_infos: Sequence[Any] | None = None,
    *,
    model: Model | None = None,
    prompt_key: str = "prompt",
    **_: Any,
) -> list[float]:
    """Score solutions of a batch, for verl's older batch manager."""
    infos = extra_infos or [None] * len(solution_strs)
    texts = [
        (_plain((info or {}).get(prompt_key, "")), solution)
        for info, solution in zip(infos, solution_strs, strict=True)
    ]
    models = model_from_environment() if model is None else {"reward": model}
    return rewards_of(models, texts)["reward"]


def _plain(prompt: Any) -> Prompt:
    """Turn what verl keeps, an array of messages or text, into a prompt."""
    if isinstance(prompt, str):
        return prompt
    return [Message(role=turn["role"], content=turn["content"]) for turn in prompt]
