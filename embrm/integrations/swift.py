"""A reward for ms-swift: `--external_plugins FILE --reward_funcs embrm`.

```
export EMBRM_REWARD=http://localhost:8080
swift rlhf --rlhf_type grpo --reward_funcs embrm \
    --external_plugins $(python -m embrm.integrations.swift) ...
```
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from embrm.integrations.scoring import as_text, model_from_environment, rewards_of

if TYPE_CHECKING:
    _Base = object
else:
    try:
        from swift.rewards import ORM as _Base  # noqa: N811
        from swift.rewards import orms as _orms
    except ImportError:
        try:
            from swift.plugin import ORM as _Base  # noqa: N811
            from swift.plugin import orms as _orms
        except ImportError:
            _Base, _orms = object, {}


class EmbrmReward(_Base):
    """Rewards completions for the messages before them.

    ms-swift passes `messages`, the conversation with the completion as its last turn,
    for every completion.

    Examples
    --------
    >>> import os, tempfile
    >>> from unittest import mock
    >>> from embrm import RewardModel, save_model
    >>> rows = [{"prompt": "A fruit?", "chosen": "An apple.", "rejected": "A car."}]
    >>> model = RewardModel(encoder="hashing:64").fit(rows)
    >>> place = save_model(model, tempfile.mkdtemp() + "/model")
    >>> with mock.patch.dict(os.environ, EMBRM_REWARD=str(place)):
    ...     reward = EmbrmReward()
    >>> asked = [{"role": "user", "content": "A fruit?"}]
    >>> good, bad = reward(["An apple.", "A car."], messages=[asked, asked])
    >>> good > bad
    True
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        self.models = model_from_environment()

    def __call__(
        self,
        completions: Sequence[str],
        messages: Sequence[Sequence[Any]] | None = None,
        **_: Any,
    ) -> list[float]:
        """Reward completions, in their order."""
        turns = messages or [[]] * len(completions)
        texts = [
            as_text(_before(list(said)), completion)
            for said, completion in zip(turns, completions, strict=True)
        ]
        return rewards_of(self.models, texts)["reward"]


def _before(turns: list[Any]) -> list[dict[str, str]]:
    """Leave out the last turn if it is the answer; keep role and content."""
    if turns and turns[-1].get("role") == "assistant":
        turns = turns[:-1]
    return [{"role": t["role"], "content": t.get("content") or ""} for t in turns]


if not TYPE_CHECKING:
    _orms["embrm"] = EmbrmReward

if __name__ == "__main__":
    print(__file__)  # noqa: T201
