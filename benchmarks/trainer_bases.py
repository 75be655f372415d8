"""Our plug-ins on verl's and ms-swift's own classes, loaded as these load them.

    python -m venv trainers
    trainers/bin/pip install torch ray omegaconf tensordict hydra-core codetiming -e .
    trainers/bin/pip install --no-deps verl ms-swift
    trainers/bin/python benchmarks/trainer_bases.py

No training: neither trains without a GPU. Prints what each gave, as JSON.
"""

import asyncio
import json
import os
import runpy
import tempfile
from importlib.metadata import version
from pathlib import Path

from embrm import RewardModel, save_model
from embrm.integrations import rewards_of, swift

TURNS = [{"role": "user", "content": "Name a fruit"}]
ROWS = [{"prompt": "Name a fruit", "chosen": "An apple", "rejected": "A car"}]


class Characters:
    """A tokenizer whose tokens are characters."""

    def decode(self, ids, **_):
        return "".join(chr(int(one)) for one in ids)


def by_verl(response: str) -> dict:
    """Resolve the manager by a configuration, and let it reward a DataProto."""
    import numpy as np
    import torch
    from omegaconf import OmegaConf
    from verl import DataProto
    from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
    from verl.trainer.ppo.reward import load_reward_manager

    manager = {
        "source": "importlib",
        "name": "RewardManager",
        "module": {"path": "pkg://embrm.integrations.verl"},
    }
    function = {"path": None, "name": "compute_score", "reward_kwargs": {}}
    config = OmegaConf.create(
        {"reward": {"reward_manager": manager, "custom_reward_function": function}}
    )
    ids = torch.tensor([[ord(c) for c in response] + [0, 0]])
    mask = torch.tensor([[1, 1] + [1] * len(response) + [0, 0]])
    data = DataProto.from_dict(
        tensors={"responses": ids, "attention_mask": mask},
        non_tensors={"raw_prompt": np.array([TURNS, None], dtype=object)[:1]},
    )

    async def reward():
        loaded = load_reward_manager(config, Characters())
        assert isinstance(loaded, RewardManagerBase)
        return await loaded.run_single(data)

    return asyncio.run(reward())


def by_swift(response: str) -> list[float]:
    """Load the plug-in as `--external_plugins` does, and ask what it registered."""
    from swift.rewards import ORM, orms

    runpy.run_path(swift.__file__)
    assert issubclass(orms["embrm"], ORM)
    said = [[*TURNS, {"role": "assistant", "content": response}]]
    return orms["embrm"](args=None)([response], messages=said, solution=["x"])


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        model = RewardModel("hashing", progress=False).fit(ROWS)
        place = save_model(model, Path(directory) / "model")
        os.environ["EMBRM_REWARD"] = str(place)
        response = "An apple"
        expected = rewards_of(place, [(TURNS, response)])["reward"][0]
        found = {
            f"verl {version('verl')}": by_verl(response)["reward_score"],
            f"ms-swift {version('ms-swift')}": by_swift(response)[0],
        }
    print(json.dumps({"expected": expected, **found}, indent=1))
    assert set(found.values()) == {expected}


if __name__ == "__main__":
    main()
