"""TRL's GRPOTrainer with embrm as its reward, in process and over HTTP.

    python -m venv trl && trl/bin/pip install torch trl -e '.[http]'
    python benchmarks/trl_grpo.py --python trl/bin/python [--steps 60]

TRL has an environment of its own: embrm does not need it. The policy is a tiny Llama
with random weights and a vocabulary of words; the reward model was fitted on made-up
preferences for some of these words, so that a policy that learns says them more often.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

WORDS = (
    "the a it is was good kind clear honest calm bad rude vague wrong loud of and to"
)
BETTER, WORSE = ("good", "kind", "clear", "honest"), ("bad", "rude", "vague", "wrong")
PROMPTS = ("say something", "describe it", "what is it", "tell me")
RESULT = Path("benchmarks/results/trl_grpo.json")


def train(place: str, steps: int, out: Path) -> None:
    """Train the policy; this runs in TRL's environment."""
    import torch
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    from embrm.integrations import trl_reward

    words = ["<pad>", "<eos>", "<unk>", *WORDS.split()]
    words += sorted(
        {word for prompt in PROMPTS for word in prompt.split()} - set(words)
    )
    numbered = {word: n for n, word in enumerate(words)}
    inner = Tokenizer(models.WordLevel(numbered, unk_token="<unk>"))  # noqa: S106
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",  # noqa: S106
        eos_token="<eos>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        padding_side="left",
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=1,
    )
    trainer = GRPOTrainer(
        model=LlamaForCausalLM(config),
        reward_funcs=trl_reward(place, name="embrm"),
        args=GRPOConfig(
            output_dir=str(out / "trainer"),
            use_cpu=True,
            bf16=False,
            max_steps=steps,
            per_device_train_batch_size=16,
            num_generations=8,
            max_completion_length=8,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=0,
        ),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list([{"prompt": p} for p in PROMPTS * 64]),
    )
    trainer.train()
    log = [row for row in trainer.state.log_history if "reward" in row]
    kept = [
        {
            "step": row["step"],
            "reward": row["reward"],
            "rewards/embrm/mean": row["rewards/embrm/mean"],
        }
        for row in log
    ]
    (out / "log.json").write_text(json.dumps(kept))


def fit(directory: Path) -> Path:
    """Fit a reward model that prefers some words."""
    import numpy as np
    import pandas as pd

    from embrm import RewardModel, save_model

    rng = np.random.default_rng(0)
    plain = [word for word in WORDS.split() if word not in BETTER + WORSE]

    def say(words):
        said = [*rng.choice(words, 3), *rng.choice(plain, 3)]
        return " ".join(rng.permutation(said))

    rows = [
        {"prompt": p, "chosen": say(BETTER), "rejected": say(WORSE)}
        for p in PROMPTS * 100
    ]
    model = RewardModel("hashing").fit(pd.DataFrame(rows))
    return save_model(model, directory / "model")


def run(python: str, place: str, steps: int) -> dict:
    """Train in TRL's environment, and read its log."""
    with tempfile.TemporaryDirectory() as out:
        # -P: `datasets` is the library there, not the script of that name beside this.
        command = [python, "-P", __file__, "--train", place]
        command += ["--steps", steps, "--work", out]
        subprocess.run(list(map(str, command)), check=True)
        log = json.loads((Path(out) / "log.json").read_text())
    rewards = [row["rewards/embrm/mean"] for row in log]
    n = max(1, len(rewards) // 4)
    return {
        "steps": len(rewards),
        "mean_of_first_quarter": sum(rewards[:n]) / n,
        "mean_of_last_quarter": sum(rewards[-n:]) / n,
        "rewards": [round(reward, 4) for reward in rewards],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--train", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.steps, arguments.work)
        return
    from heads import write
    from serve import server

    with tempfile.TemporaryDirectory() as directory:
        model = fit(Path(directory))
        result = {"in_process": run(arguments.python, str(model), arguments.steps)}
        with server(model) as (port, _):
            url = f"http://127.0.0.1:{port}"
            result["over_http"] = run(arguments.python, url, arguments.steps)
    print(json.dumps(result, indent=1))
    write(arguments.out, result)


if __name__ == "__main__":
    main()
