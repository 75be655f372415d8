"""A reward file for OpenRLHF, in the trainer's process.

`--reward.remote_url` (once `--remote_rm_url`) takes a URL, or a Python file with a
function `reward_func`. This is such a file:

```
export EMBRM_REWARD=model
openrlhf ... --reward.remote_url $(python -m embrm.integrations.openrlhf)
```
"""

from collections.abc import Sequence
from typing import Any

from embrm._typing import Text
from embrm.integrations.scoring import model_from_environment, rewards_of
from embrm.integrations.templates import split_text


def reward_func(
    queries: Sequence[str],
    prompts: Sequence[str],
    labels: Sequence[Any] | None = None,  # noqa: ARG001
    **_: Any,
) -> dict[str, Any]:
    """Reward queries: whole texts, prompt and response, with special tokens.

    Returns
    -------
    dict
        "rewards" and "scores", flat tensors where torch is there, and "extra_logs":
        the rewards of other models by name.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest import mock
    >>> from embrm import RewardModel, save_model
    >>> rows = [{"prompt": "A fruit?", "chosen": "An apple.", "rejected": "A car."}]
    >>> model = RewardModel(encoder="hashing:64").fit(rows)
    >>> place = save_model(model, tempfile.mkdtemp() + "/model")
    >>> with mock.patch.dict(os.environ, EMBRM_REWARD=str(place)):
    ...     found = reward_func(["A fruit?An apple."], ["A fruit?"])
    >>> sorted(found), found["rewards"].shape
    (['extra_logs', 'rewards', 'scores'], torch.Size([1]))
    """
    texts: list[Text] = [
        split_text(query, prompt=prompt) or ("", query)
        for query, prompt in zip(queries, prompts, strict=True)
    ]
    named = {
        k: _tensor(v) for k, v in rewards_of(model_from_environment(), texts).items()
    }
    reward = named.pop("reward")
    return {"rewards": reward, "scores": reward, "extra_logs": named}


def _tensor(values: list[float]) -> Any:
    from embrm._optional import import_optional

    return import_optional("torch", extra="torch").tensor(values)


if __name__ == "__main__":
    print(__file__)  # noqa: T201
