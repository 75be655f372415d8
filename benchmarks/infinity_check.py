"""Check `OpenAICompatibleEncoder` against a real server, infinity, with MiniLM.

infinity needs numpy 1.26 and an older transformers, so it lives in an environment of
its own:

    python3 -m venv infinity-env
    infinity-env/bin/pip install 'infinity_emb[torch,server]==0.0.78'
    python benchmarks/infinity_check.py --infinity infinity-env/bin/infinity_emb

The script starts it on a free port, on the CPU, with the packaged MiniLM, as

    infinity_emb v2 --model-id DIRECTORY --served-model-name minilm --engine torch
        --no-bettertransformer --url-prefix /v1 --device cpu

and stops it at the end. Printed, and written where --out says, is for each check what
came out; the exit status is 0 if all hold. infinity cuts texts at the end in silence
and always normalises, so it is the server that the check of texts' ends is for.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from embrm.embed import (
    OpenAICompatibleEncoder,
    SentenceTransformerEncoder,
    VectorCache,
    embed_items,
)
from embrm.exceptions import EmbrmError, InvalidInputError

TEXTS = [
    (f"Question {n // 8}: what is {n // 8} times {n // 8}?", f"It is {n} or so. " * 3)
    for n in range(256)
]
LONG = [("one two three " * 400, f"and the answer is number {n}.") for n in range(16)]


@contextlib.contextmanager
def running(program: Path, model: Path) -> Iterator[str]:
    """Start infinity on a free port, and stop it in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {
        "--model-id": str(model),
        "--served-model-name": "minilm",
        "--engine": "torch",
        "--device": "cpu",
        "--url-prefix": "/v1",
        "--host": "127.0.0.1",
        "--port": str(port),
    }
    flags = [part for pair in options.items() for part in pair]
    offline = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [str(program), "v2", "--no-bettertransformer", *flags],
            env=os.environ | offline,
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}/v1"
            wait_until_ready(server, url)
            yield url
        finally:
            server.terminate()
            server.wait(30)


def wait_until_ready(server: subprocess.Popen, url: str, seconds: float = 180) -> None:
    """Ask until there is an answer."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(EmbrmError):
            _ = encoder(url, attempts=1).fingerprint
            return
        time.sleep(1)
    sys.exit("infinity did not start; run it by hand to see why")


def encoder(url: str, **options: Any) -> OpenAICompatibleEncoder:
    """Make an encoder for the server; 400 characters fit into MiniLM's 256 tokens."""
    defaults = {"max_chars": 400, "store_dtype": "float32"}
    return OpenAICompatibleEncoder("minilm", url, **defaults | options)


def least_cosine(one: np.ndarray, other: np.ndarray) -> float:
    cosines = (one * other).sum(axis=1)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float((cosines / lengths).min())


def check(url: str, local: SentenceTransformerEncoder) -> dict[str, Any]:
    """Run all checks."""
    found: dict[str, Any] = {}
    expected = local.encode(TEXTS)
    for form in ("base64", "float"):
        client = encoder(url, encoding_format=form)
        _ = client.fingerprint
        started = time.perf_counter()
        vectors = client.encode(TEXTS)
        found[f"texts_per_second_{form}"] = len(TEXTS) / (time.perf_counter() - started)
        found[f"least_cosine_{form}"] = least_cosine(vectors, expected)
    exact = encoder(url, tokenizer=str(local.files.directory), max_tokens=256)
    found["least_cosine_cut_to_256_tokens"] = least_cosine(
        exact.encode(LONG), local.encode(LONG)
    )
    try:
        _ = encoder(url, max_chars=8192).fingerprint
        found["silent_cut_of_ends_is_noticed"] = False
    except InvalidInputError as error:
        found["silent_cut_of_ends_is_noticed"] = "other ends" in str(error)
    with tempfile.TemporaryDirectory() as directory:
        cache = VectorCache(directory)
        embed_items(TEXTS, encoder(url), cache)
        found["hits_at_second_contact"] = embed_items(TEXTS, encoder(url), cache).n_hits
    try:
        encoder(url.removesuffix("/v1"), attempts=1).encode(TEXTS[:1])
    except EmbrmError as error:
        found["wrong_address"] = str(error)
    found["fingerprint"] = encoder(url).fingerprint.describe()
    found["holds"] = (
        min(found[f"least_cosine_{form}"] for form in ("base64", "float")) > 0.9999
        and found["least_cosine_cut_to_256_tokens"] > 0.999
        and found["silent_cut_of_ends_is_noticed"]
        and found["hits_at_second_contact"] == len(TEXTS)
        and "404" in found["wrong_address"]
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--infinity", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    local = SentenceTransformerEncoder(dtype="float32", store_dtype="float32")
    with running(arguments.infinity, local.files.directory) as url:
        found = check(url, local)
    text = json.dumps(found, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(not found["holds"])


if __name__ == "__main__":
    main()
