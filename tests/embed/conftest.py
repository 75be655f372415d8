"""Tiny language models on disk, the packaged MiniLM, and a server that misbehaves."""

import base64
import contextlib
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers.utils import logging as transformers_logging

from embrm.embed import OpenAICompatibleEncoder, SentenceTransformerEncoder
from embrm.embed.causal.language_model import CausalModel
from embrm.embed.truncation import FittedTokens

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

SIZES |= {
    # Windows are shorter than the prefixes that texts share in tests.
    "mistral": SIZES["llama"] | {"sliding_window": 8},
    "gemma2": SIZES["gemma3_text"] | {"query_pre_attn_scalar": 8},
    "qwen2": SIZES["llama"],
    "qwen3": SIZES["llama"] | {"head_dim": 8},
    "opt": {
        "hidden_size": 32,
        "word_embed_proj_dim": 32,
        "ffn_dim": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "init_std": 0.3,
    },
    "falcon_h1": SIZES["llama"]
    | {
        "head_dim": 8,
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_n_groups": 1,
        "mamba_d_state": 8,
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
def make_causal_model() -> Callable[..., CausalModel]:
    """Make a tiny random model of a type in memory, once for the same settings."""
    made: dict[Any, CausalModel] = {}

    def make(
        model_type: str = "llama",
        *,
        dtype: str = "float32",
        **settings: Any,
    ) -> CausalModel:
        key = (model_type, dtype, *sorted(settings.items()))
        if key not in made:
            config = transformers.AutoConfig.for_model(
                model_type,
                **(SIZES[model_type] | settings),
                vocab_size=100,
                bos_token_id=1,
                eos_token_id=2,
                pad_token_id=0,
            )
            with torch.random.fork_rng():
                torch.manual_seed(0)
                model = transformers.AutoModel.from_config(config)
            model = model.to(getattr(torch, dtype)).eval()
            made[key] = CausalModel(model, n_layers=3, pad_id=0)
        return made[key]

    return make


@pytest.fixture(scope="session")
def grouped_tokens() -> list[FittedTokens]:
    """Texts with two prefixes, 20 and 13 tokens long, and one that shares nothing.

    The last token of the longer responses counts as white space.
    """
    rng = np.random.default_rng(0)
    texts = []
    for n_prompt, lengths in ((20, (6, 1, 9, 4)), (13, (5, 2)), (7, (3,))):
        prompt = rng.integers(3, 100, n_prompt)
        for number, length in enumerate(lengths):
            response = rng.integers(3, 100, length)
            response[0] = 3 + number  # so that no more than the prompt is shared
            ids = np.concatenate([prompt, response]).astype(np.int32)
            last = len(ids) - (2 if length > 4 else 1)
            texts.append(FittedTokens(ids, 1, n_prompt, last))
    order = [3, 0, 6, 4, 1, 5, 2]
    return [texts[n] for n in order]


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
    return SentenceTransformerEncoder(dtype="float32", store_dtype="float32")


Behave = Callable[["EmbeddingServer", "_Handler", dict[str, Any]], None]


class EmbeddingServer:
    """An embeddings server on the loopback that misbehaves as it is told.

    Vectors depend on the text alone. Each request takes the next of `behaviours`;
    when there is none left, it is answered well.
    """

    dim = 16

    def __init__(self) -> None:
        self.behaviours: deque[Behave] = deque()
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.model = "toy"
        self.seed = 0
        self.scale = 1.0
        self.noise = 0.0
        self.reads_chars: int | None = None
        self.most_at_once = self._at_once = 0
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._random = np.random.default_rng(0)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._http.embeddings = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def clear(self) -> None:
        """Forget what was asked."""
        for seen in (self.requests, self.keys):
            seen.clear()

    def vector(self, text: Any) -> np.ndarray:
        """Compute the true vector of an input."""
        read = text[: self.reads_chars]
        digest = hashlib.sha256(f"{self.seed} {read}".encode()).digest()
        random = np.random.default_rng(list(digest))
        vector = random.normal(size=self.dim)
        return self.scale * vector / np.linalg.norm(vector)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer well."""
        inputs = body["input"]
        vectors = np.array([self.vector(text) for text in inputs])
        with self._lock:
            noise = self._random.normal(size=vectors.shape)
        noise *= self.noise / np.linalg.norm(noise, axis=1, keepdims=True)
        vectors = vectors + noise * np.linalg.norm(vectors, axis=1, keepdims=True)
        packed = body["encoding_format"] == "base64"
        return {
            "object": "list",
            "model": self.model,
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode()
                    if packed
                    else row.tolist(),
                }
                for index, row in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": sum(map(len, inputs)), "total_tokens": 0},
        }

    def handle(self, handler: "_Handler", raw: bytes) -> None:
        """Take down what was asked, and answer as told."""
        body = json.loads(raw)
        with self._lock:
            self.requests.append(body)
            self.keys.append(handler.headers.get("Authorization"))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            behave = self.behaviours.popleft() if self.behaviours else None
        try:
            if behave is None:
                handler.reply(200, self.answer(body))
            else:
                behave(self, handler, body)
        finally:
            with self._lock:
                self._at_once -= 1


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, and lets the server answer it."""

    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        with contextlib.suppress(ConnectionError):
            self.server.embeddings.handle(self, raw)

    def reply(self, status: int, body: Any, **headers: str) -> None:
        """Send a whole answer; bytes are sent as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(raw))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def embedding_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    """A server that answers well until it is told otherwise."""
    for name in ("EMBRM_API_KEY", "OPENAI_API_KEY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = EmbeddingServer()
    yield server
    server.close()


@pytest.fixture
def ask(embedding_server: EmbeddingServer) -> Callable[..., OpenAICompatibleEncoder]:
    """Make an encoder that asks the server, without long waits."""

    def make(**options: Any) -> OpenAICompatibleEncoder:
        quick = {"backoff": 0.0, "timeout": 5.0, "store_dtype": "float32"}
        return OpenAICompatibleEncoder("toy", embedding_server.url, **quick | options)

    return make
