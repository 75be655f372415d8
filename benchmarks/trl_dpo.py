"""TRL's DPOTrainer on what `embrm mine` wrote.

    python -m venv trl && trl/bin/pip install torch trl
    python benchmarks/trl_dpo.py --python trl/bin/python

TRL has an environment of its own. The policy is a tiny Llama with random weights and a
vocabulary of words; after some steps it should find the chosen responses likelier than
the rejected ones, by more than its reference does.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from trl_grpo import PROMPTS, WORDS, fit

RESULT = Path("benchmarks/results/trl_dpo.json")
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' <eos> ' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant ' }}{% endif %}"
)


def train(file: Path, steps: int, out: Path) -> None:
    """Train the policy; this runs in TRL's environment."""
    # benchmarks/datasets.py would stand in the way of the library of that name.
    sys.path.remove(str(Path(__file__).resolve().parent))
    import torch
    from datasets import load_dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    words = ["<pad>", "<eos>", "<unk>", "user", "assistant", *WORDS.split()]
    words += sorted({w for prompt in PROMPTS for w in prompt.split()} - set(words))
    inner = Tokenizer(
        models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="<unk>")  # noqa: S106
    )
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",  # noqa: S106
        eos_token="<eos>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
    )
    tokenizer.chat_template = TEMPLATE
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
    # The reference is loaded from where the policy was.
    LlamaForCausalLM(config).save_pretrained(out / "tiny")
    tokenizer.save_pretrained(out / "tiny")
    trainer = DPOTrainer(
        model=LlamaForCausalLM.from_pretrained(out / "tiny"),
        args=DPOConfig(
            output_dir=str(out / "trainer"),
            use_cpu=True,
            bf16=False,
            max_steps=steps,
            per_device_train_batch_size=8,
            learning_rate=1e-2,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=0,
        ),
        processing_class=tokenizer,
        train_dataset=load_dataset("json", data_files=str(file), split="train"),
    )
    trainer.train()
    log = [row for row in trainer.state.log_history if "rewards/margins" in row]
    (out / "log.json").write_text(json.dumps(log))


def mined(directory: Path) -> tuple[Path, dict]:
    """Fit a reward model and mine a pool with it, by the command line."""
    import numpy as np

    rng = np.random.default_rng(1)
    rows = [
        {"prompt": prompt, "response": " ".join(rng.choice(WORDS.split(), 6))}
        for prompt in PROMPTS
        for _ in range(8)
    ]
    rows = [
        {**row, "prompt": f"{row['prompt']} {n // 8 % 9}"}
        for n, row in enumerate(rows * 8)
    ]
    pool, out = directory / "pool.jsonl", directory / "pairs.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        *(sys.executable, "-c", "from embrm.cli import main; main()", "mine"),
        *(fit(directory), pool, "--out", out, "--strategy", "best-vs-random", "--json"),
    ]
    done = subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True
    )
    return out, json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    if given.train:
        train(given.train, given.steps, given.work)
        return
    with tempfile.TemporaryDirectory() as place:
        file, summary = mined(Path(place))
        command = [given.python, __file__, "--train", file, "--work", place]
        subprocess.run(list(map(str, [*command, "--steps", given.steps])), check=True)
        log = json.loads((Path(place) / "log.json").read_text())
    result = {
        "pairs": summary["n_written"],
        "steps": len(log),
        "first_loss": round(log[0]["loss"], 4),
        "last_loss": round(log[-1]["loss"], 4),
        "last_margin": round(log[-1]["rewards/margins"], 4),
        "last_accuracy": log[-1]["rewards/accuracies"],
    }
    print(json.dumps(result, indent=1))
    given.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
