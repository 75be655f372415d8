"""Tiny language models with random weights, on disk, and the packaged MiniLM."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers.utils import logging as transformers_logging

from embrm.embed.sentence import SentenceTransformerEncoder

SPECIAL_TOKENS = ["<pad>", "<bos>", "<eos>", "<|user|>", "<|assistant|>", "<|end|>"]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>\n"
    "{{ message['content'] | trim }}<|end|>\n{% endfor %}"
)
CORPUS = [
    "Why is the sky blue? Because air scatters blue light more than red light.",
    "Name three colours. Red, green and blue are three colours of light.",
    "User: Hello there.\n\nAssistant: Hello! How can I help you today?\n\n",
]
SIZES: dict[str, Any] = {
    "llama": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.5,
    },
    "gpt2": {
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 128,
        "initializer_range": 0.3,
    },
    "gemma3_text": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 8,
        "max_position_embeddings": 256,
        "initializer_range": 0.5,
    },
}


def _tokenizer(chat_template: str | None) -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS * 20,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=SPECIAL_TOKENS,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{name}_token": f"<{name}>" for name in ("bos", "eos", "pad")},
    )
    if chat_template is not None:
        fast.chat_template = chat_template
    return fast


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a tiny random model of a type to a new directory, and return it."""

    def make(
        model_type: str = "llama",
        *,
        seed: int = 0,
        chat_template: str | None = CHAT_TEMPLATE,
        **settings: Any,
    ) -> Path:
        directory = tmp_path_factory.mktemp(model_type)
        tokenizer = _tokenizer(chat_template)
        config = transformers.AutoConfig.for_model(
            model_type,
            **(SIZES[model_type] | settings),
            vocab_size=len(tokenizer),
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = transformers.AutoModelForCausalLM.from_config(config)
        transformers_logging.disable_progress_bar()
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        transformers_logging.enable_progress_bar()
        return directory

    return make


@pytest.fixture(scope="session")
def tiny_models(make_model: Callable[..., Path]) -> dict[str, Path]:
    """Directories of a tiny Llama (with a chat template), GPT-2 and Gemma 3."""
    return {
        "llama": make_model("llama"),
        "gpt2": make_model("gpt2", chat_template=None),
        "gemma3": make_model("gemma3_text", chat_template=None),
    }


@pytest.fixture(scope="session")
def minilm() -> SentenceTransformerEncoder:
    """The packaged MiniLM with float32 vectors, loaded once for all tests."""
    return SentenceTransformerEncoder(store_dtype="float32")
