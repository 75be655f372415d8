"""Random models of real shapes, texts of known token counts, and the other ways.

The reference recipe is what reward-model code on embeddings does: pad every text on the
left to a fixed length, keep the states of all layers, take `hidden_states[-1][:, -1]`.
Length-bucketed batches are the usual better way: sort by length, pad to the longest of
the batch, take the last real token of the last layer.
"""

import time
from pathlib import Path

import numpy as np

N_WORDS = 30_000
SHAPES = {
    "llama-8x512": {
        "model_type": "llama",
        "hidden_size": 512,
        "intermediate_size": 1376,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
    },
    "gemma-2b": {
        "model_type": "gemma",
        "hidden_size": 2048,
        "intermediate_size": 16_384,
        "num_hidden_layers": 18,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "head_dim": 256,
    },
    "gemma-toy": {
        "model_type": "gemma",
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 16,
    },
}


def write_model(directory: Path, shape: str, *, dtype: str, device: str) -> None:
    """Write a random model, whose tokenizer makes one token of each word."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<pad>", "<bos>", "<eos>", *(f"w{n}" for n in range(N_WORDS))]
    tokenizer = Tokenizer(
        models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="<eos>")  # noqa: S106
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{name}_token": f"<{name}>" for name in ("bos", "eos", "pad")},
    ).save_pretrained(directory)
    sizes = dict(SHAPES[shape])
    config = transformers.AutoConfig.for_model(
        sizes.pop("model_type"),
        **sizes,
        vocab_size=len(words),
        max_position_embeddings=4096,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = transformers.AutoModel.from_config(config, dtype=getattr(torch, dtype))
    model.save_pretrained(directory)


def make_texts(
    n_prompts: int, n_responses: int, prompt_tokens: int, lengths: tuple[int, int]
) -> list[tuple[str, str]]:
    """Random words; BOS counts as one of the prompt's tokens."""
    rng = np.random.default_rng(0)

    def words(n: int) -> str:
        return " ".join(f"w{word}" for word in rng.integers(N_WORDS, size=n))

    low, high = lengths
    return [
        (prompt, words(int(rng.integers(low, high + 1))))
        for prompt in [words(prompt_tokens - 1) for _ in range(n_prompts)]
        for _ in range(n_responses)
    ]


def as_strings(texts: list[tuple[str, str]]) -> list[str]:
    return [f"<bos> {prompt}\n\n{response}" for prompt, response in texts]


class Rivals:
    """The same weights run in other ways."""

    def __init__(self, directory: Path, model) -> None:
        import transformers

        self.directory, self.model = directory, model
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(str(directory))

    def _inputs(self, texts: list[str], side: str, **options):
        self.tokenizer.padding_side = side
        batch = self.tokenizer(
            texts, return_tensors="pt", add_special_tokens=False, **options
        )
        return {
            name: batch[name].to(self.model.device)
            for name in ("input_ids", "attention_mask")
        }

    def reference(self, texts: list[tuple[str, str]], batch: int = 16) -> np.ndarray:
        """Pad to 512 on the left, keep all layers, take the last column."""
        import torch

        strings, vectors = as_strings(texts), []
        for start in range(0, len(strings), batch):
            inputs = self._inputs(
                strings[start : start + batch],
                "left",
                padding="max_length",
                max_length=512,
                truncation=True,
            )
            with torch.no_grad():
                output = self.model(**inputs, output_hidden_states=True)
            vectors.append(output.hidden_states[-1][:, -1].float().cpu().numpy())
        return np.concatenate(vectors)

    def bucketed(self, texts: list[tuple[str, str]], batch: int = 16) -> np.ndarray:
        """Sort by length, pad to the longest of a batch, gather the last real token."""
        import torch

        strings = as_strings(texts)
        order = np.argsort([-len(text.split()) for text in strings], kind="stable")
        vectors = np.empty((len(strings), self.model.config.hidden_size), np.float32)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            inputs = self._inputs([strings[row] for row in rows], "right", padding=True)
            with torch.inference_mode():
                hidden = self.model(**inputs).last_hidden_state
            last = inputs["attention_mask"].sum(dim=1) - 1
            taken = hidden[torch.arange(len(rows), device=hidden.device), last]
            vectors[rows] = taken.float().cpu().numpy()
        return vectors

    def one_by_one(self, texts: list[tuple[str, str]]) -> np.ndarray:
        """The plain truth."""
        return np.concatenate([self.bucketed([text]) for text in texts])


def sentence_transformer(directory: Path, model):
    """`SentenceTransformer.encode` as shipped, on the same weights, last token."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    first = modules.Transformer(
        str(directory), model_kwargs={"dtype": model.dtype}, max_seq_length=4096
    )
    pooling = modules.Pooling(model.config.hidden_size, pooling_mode="lasttoken")
    wrapped = SentenceTransformer(modules=[first, pooling], device=str(model.device))

    def encode(texts: list[tuple[str, str]]) -> np.ndarray:
        return wrapped.encode(as_strings(texts), show_progress_bar=False)

    return encode


def interleaved(
    ways: dict, rounds: int, clock=time.perf_counter
) -> dict[str, list[float]]:
    """Run each way once in each round; seconds by way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            started = clock()
            run()
            seconds[name].append(clock() - started)
    return seconds


def max_relative_error(vectors: np.ndarray, truth: np.ndarray) -> float:
    difference = np.linalg.norm(vectors.astype(np.float32) - truth, axis=1)
    return float((difference / np.linalg.norm(truth, axis=1)).max())
