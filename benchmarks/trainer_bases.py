"""Our plug-ins and routes under the trainers' own code, loaded as these load it.

    python -m venv trainers
    trainers/bin/pip install torch ray omegaconf tensordict hydra-core codetiming \
        aiohttp requests colorlog datasets peft modelscope pillow -e '.[serve,http]'
    trainers/bin/pip install --no-deps verl ms-swift openrlhf areal llamafactory
    trainers/bin/python -P benchmarks/trainer_bases.py [--slime DIR] [--only verl,...]

-P keeps this folder's datasets.py from hiding the package of that name. No training:
few of these train without a GPU. slime is on no index: DIR is a checkout.
Prints what each gave, as JSON; all must give the same reward.
"""

import argparse
import ast
import asyncio
import importlib
import importlib.util
import json
import os
import runpy
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace

from embrm import RewardModel, save_model
from embrm.integrations import openrlhf, rewards_of, swift

TURNS = [{"role": "user", "content": "Name a fruit"}]
ROWS = [{"prompt": "Name a fruit", "chosen": "An apple", "rejected": "A car"}]
PROMPT = "<|im_start|>user\nName a fruit<|im_end|>\n<|im_start|>assistant\n"
RESPONSE, END = "An apple", "<|im_end|>"


class Characters:
    """A tokenizer whose tokens are characters."""

    eos_token, bos_token = END, None

    def __call__(self, text, **_):
        import torch

        return {"input_ids": torch.tensor([[ord(c) for c in text]])}

    def decode(self, ids, **_):
        return "".join(chr(int(one)) for one in ids)


def module_of(name):
    """Import a module without running its packages, which import what needs a GPU."""
    top, *parts = name.split(".")
    if top not in sys.modules:
        found = importlib.util.find_spec(top).submodule_search_locations
        _add_package(top, next(iter(found)))
    path = top
    for part in parts[:-1]:
        folder, path = Path(sys.modules[path].__path__[0]) / part, f"{path}.{part}"
        if path not in sys.modules:
            _add_package(path, str(folder))
    return importlib.import_module(name)


def _add_package(path, folder):
    package = sys.modules[path] = ModuleType(path)
    package.__path__ = [folder]


def by_verl(_):
    """Resolve manager and score function by a configuration; reward a DataProto."""
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
    no_function = {"path": None, "name": "compute_score", "reward_kwargs": {}}
    function = {**no_function, "path": "pkg://embrm.integrations.verl"}
    naive = {"source": "register", "name": "naive"}
    ids = torch.tensor([[ord(c) for c in RESPONSE] + [0, 0]])
    mask = torch.tensor([[1, 1] + [1] * len(RESPONSE) + [0, 0]])
    prompts = torch.zeros((1, 2), dtype=torch.long)
    kept = {
        "raw_prompt": TURNS,
        "data_source": "fruit",
        "reward_model": {"ground_truth": "x"},
        "extra_info": {"prompt": TURNS[0]["content"]},
    }
    columns = {name: np.empty(1, dtype=object) for name in kept}
    for name, value in kept.items():
        columns[name][0] = value
    data = DataProto.from_dict(
        tensors={"prompts": prompts, "responses": ids, "attention_mask": mask},
        non_tensors=columns,
    )

    async def reward(manager, function):
        parts = {"reward_manager": manager, "custom_reward_function": function}
        loaded = load_reward_manager(OmegaConf.create({"reward": parts}), Characters())
        assert isinstance(loaded, RewardManagerBase)
        got = (await loaded.run_single(data))["reward_score"]
        # At the last token of the response, as verl's trainer takes it.
        assert loaded.assemble_rm_scores(data, [got])[0, len(RESPONSE) - 1] > 0
        return got

    by_manager = asyncio.run(reward(manager, no_function))
    assert asyncio.run(reward(naive, function)) == by_manager
    return by_manager


def by_ms_swift(_):
    """Load the plug-in as `--external_plugins` does, and let GRPO's own code ask it."""
    import torch
    from swift.rewards import ORM, orms
    from swift.rl_core.data import GRPOSample
    from swift.rl_core.grpo_algorithm import score_completions

    runpy.run_path(swift.__file__)
    assert issubclass(orms["embrm"], ORM)
    said = [*TURNS, {"role": "assistant", "content": RESPONSE}]
    sample = GRPOSample.from_row({"messages": said, "solution": "x"})
    device = torch.device("cpu")
    reward = orms["embrm"](args=None)
    scores = score_completions(
        [sample, sample], [reward], [None], use_gym_env=False, device=device
    )
    assert scores.shape == (2, 1)
    return reward([RESPONSE], messages=[said], solution=["x"])[0]


def by_openrlhf(url):
    """Let its executor generate and ask: one server, several, and a file."""
    agent = module_of("openrlhf.utils.agent")

    class Engine:
        async def generate(self, *_, **__):
            ids, text = [ord(c) for c in RESPONSE + END], RESPONSE + END
            said = {"token_ids": ids, "text": text, "finish_reason": "stop"}
            output = SimpleNamespace(**said, logprobs=None)
            return SimpleNamespace(outputs=[output])

    async def ask(place):
        executor = agent.SingleTurnAgentExecutor(place)
        params = SimpleNamespace(max_tokens=None, logprobs=None)
        rewards = []
        for _ in range(2):
            done = await executor.execute(
                PROMPT, "label", params, 4096, Characters(), Engine()
            )
            rewards.append(float(done["reward"][0]))
        return rewards

    route = f"{url}/get_reward"
    found = {
        one
        for place in (route, [route, route], openrlhf.__file__)
        for one in asyncio.run(ask(place))
    }
    # Its own tensors are float32.
    assert max(found) - min(found) < 1e-6
    return asyncio.run(ask(route))[0]


def by_llama_factory(url):
    """Ask by its client; it makes a tensor of the answer."""
    client = module_of("llamafactory.train.ppo.ppo_utils")
    text = PROMPT + RESPONSE + END
    return client.get_rewards_from_server(f"{url}/v1/score/evaluation", [text])


def by_areal(_):
    """Name the function as its workflows do; let its pool of processes call it."""
    wrapper = module_of("areal.api.reward_api").AsyncRewardWrapper
    named = module_of("areal.utils.dynamic_import").import_from_string
    asked = (PROMPT, RESPONSE + END, [1], [2])
    call = wrapper(named("embrm.integrations.areal.reward_fn"), max_workers=1)
    return asyncio.run(call(*asked, answer="x"))


def by_slime(url, checkout):
    """Ask by its `remote_rm`, cut out of a module that imports all its rewards."""
    import logging
    import random

    import aiohttp

    place = checkout / "slime/rollout/rm_hub/__init__.py"
    wanted = {"_get_shared_session", "remote_rm"}
    tree = ast.parse(place.read_text())
    body = [one for one in tree.body if getattr(one, "name", "") in wanted]
    scope = {"asyncio": asyncio, "aiohttp": aiohttp, "random": random}
    scope |= {"logger": logging.getLogger("slime"), "_shared_session": None}
    names = ast.Module([ast.parse("Sample = object").body[0], *body], [])
    exec(compile(ast.fix_missing_locations(names), str(place), "exec"), scope)  # noqa: S102

    async def ask(route, prompt):
        sample = SimpleNamespace(prompt=prompt, response=RESPONSE + END, label="x")
        got = await scope["remote_rm"](SimpleNamespace(rm_url=url + route), sample)
        await scope["_shared_session"].close()
        return got

    named = asyncio.run(ask("/slime/named", PROMPT))["reward"]
    bare = asyncio.run(ask("/slime", PROMPT))
    assert named == bare
    return bare


@contextmanager
def server(model):
    """Start `embrm serve`; yields its URL."""
    code = "from embrm.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", str(model), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


CALLERS = {
    "verl": by_verl,
    "ms-swift": by_ms_swift,
    "openrlhf": by_openrlhf,
    "llamafactory": by_llama_factory,
    "areal": by_areal,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(CALLERS))
    parser.add_argument("--slime", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        model = RewardModel("hashing", progress=False).fit(ROWS)
        place = save_model(model, Path(directory) / "model")
        expected = rewards_of(place, [(TURNS, RESPONSE)])["reward"][0]
        with server(place) as url:
            os.environ["EMBRM_REWARD"] = url
            found = {
                f"{name} {version(name)}": float(CALLERS[name](url))
                for name in arguments.only.split(",")
            }
            if arguments.slime:
                found["slime"] = by_slime(url, arguments.slime)
    print(json.dumps({"expected": expected, **found}, indent=1))
    assert all(abs(reward - expected) < 1e-6 for reward in found.values())


if __name__ == "__main__":
    main()
