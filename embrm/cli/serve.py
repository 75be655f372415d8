"""`embrm serve`: a saved model behind HTTP."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from embrm.cli.evaluate import OtherEncoder
from embrm.cli.options import CacheDir, Port, as_command, named_values
from embrm.cli.output import emit, say

ServedModel = Annotated[
    Path, Argument(help="Directory that `embrm fit` or `embrm demo` wrote.")
]
Also = Annotated[
    list[str] | None,
    Option(
        help="Another model, NAME=DIR: its reward is a named component beside the "
        "reward; may be repeated."
    ),
]
Host = Annotated[str, Option(help="Address to listen on.")]
Workers = Annotated[int, Option(min=1, help="Processes.")]
ChatTemplate = Annotated[
    str,
    Option(
        help="Chat template of texts that come with special tokens: auto, chatml, "
        "qwen, llama3, gemma, mistral or none."
    ),
]
Fallback = Annotated[
    str,
    Option(
        help="A text that cannot be rewarded. raise: 4xx that says why; mean: the mean "
        "reward of the request, for trainers that swallow errors."
    ),
]
AllowHost = Annotated[
    list[str] | None,
    Option(
        help="Name by which clients may call, besides loopback and the address; * for "
        "any; may be repeated. Other names get 403."
    ),
]
KeyFile = Annotated[
    Path | None, Option(help="File with the bearer token that clients must send.")
]
Training = Annotated[
    str | None,
    Option(
        help="Preference file the model was fitted on: the page then shows the nearest "
        "training pairs, and marks what lies outside."
    ),
]
MaxBody = Annotated[float, Option(min=0.001, help="MiB of a request's body (413).")]
MaxItems = Annotated[int, Option(min=1, max=100_000, help="Items of a request (413).")]
MaxChars = Annotated[int, Option(min=1, help="Characters of an item (422).")]
Queue = Annotated[int, Option(min=1, help="Texts that wait for the encoder (503).")]
MaxWait = Annotated[float, Option(min=0.001, help="Seconds of expected waiting (503).")]
Timeout = Annotated[float, Option(min=0.01, help="Seconds of a request (504).")]
HeaderTimeout = Annotated[float, Option(min=0.01, help="Seconds for headers (408).")]
BodyTimeout = Annotated[float, Option(min=0.01, help="Seconds for a body (408).")]
StopTimeout = Annotated[float, Option(min=1, help="Seconds to finish after SIGTERM.")]
Connections = Annotated[int, Option(min=1, help="Connections of a worker (503).")]
Window = Annotated[
    float, Option(min=0, help="Milliseconds in which texts are gathered.")
]
BatchItems = Annotated[int, Option(min=1, help="Texts embedded together at most.")]

Whole = Annotated[
    bool,
    Option(
        "--whole-reward/--net-of-style",
        help="Of models with a block of style (minilm+style): the whole reward, or net "
        "of style, that is less what it gives for length, lists and markup.",
    ),
]


@as_command
def serve(
    model_dir: ServedModel,
    also: Also = None,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    workers: Workers = 1,
    encoder: OtherEncoder = None,
    cache: CacheDir = None,
    template: ChatTemplate = "auto",
    whole: Whole = False,
    on_error: Fallback = "raise",
    training: Training = None,
    allow_host: AllowHost = None,
    api_key_file: KeyFile = None,
    max_body: MaxBody = 8,
    max_items: MaxItems = 1024,
    max_chars: MaxChars = 262_144,
    queue: Queue = 8192,
    max_wait: MaxWait = 60,
    timeout: Timeout = 120,
    header_timeout: HeaderTimeout = 10,
    body_timeout: BodyTimeout = 30,
    stop_timeout: StopTimeout = 30,
    connections: Connections = 1024,
    window: Window = 3,
    batch: BatchItems = 256,
) -> None:
    """Serve a saved model over HTTP, for trainers, best-of-n and reranking.

    The numbers in brackets are the statuses that answer what is beyond a bound.
    """
    from embrm._optional import import_optional

    for name in ("fastapi", "uvicorn", "httptools", "prometheus_client"):
        import_optional(name, extra="serve")
    from embrm.serve.launch import run
    from embrm.serve.settings import Gathering, Settings
    from embrm.web.bounds import MIB, Bounds

    others = named_values(also, "--also NAME=DIR", "--also harmless=models/h")
    if "reward" in others:
        raise typer.BadParameter(
            "'reward' names the first model; choose another", param_hint="--also"
        )
    run(
        Settings(
            models={"reward": str(model_dir), **others},
            cache=cache,
            encoder=encoder,
            template=template,  # type: ignore[arg-type]
            whole=whole,
            on_error=on_error,  # type: ignore[arg-type]
            training=training,
            items=max_items,
            characters=max_chars,
            hosts=tuple(allow_host or ()),
            api_key_file=None if api_key_file is None else str(api_key_file),
            host=host,
            port=port,
            workers=workers,
            gathering=Gathering(
                window_seconds=window / 1000,
                batch_items=batch,
                queue_items=queue,
                wait_seconds=max_wait,
            ),
            bounds=Bounds(
                body_bytes=int(max_body * MIB),
                connections=connections,
                header_seconds=header_timeout,
                body_seconds=body_timeout,
                request_seconds=timeout,
                stop_seconds=stop_timeout,
            ),
        ),
        lambda url: _say_where(url, needs_key=api_key_file is not None),
    )


TRAINERS = {
    "OpenRLHF": "/get_reward",
    "LLaMA-Factory": "/v1/score/evaluation",
    "slime": "/slime",
    "NeMo-Gym": "/verify",
    "verl, vLLM": "/classify",
    "Cohere, Jina": "/v2/rerank",
    "TEI": "/tei/predict",
    "TRL, ms-swift": "embrm.integrations.trl_reward('{url}')",
}
"""Where each caller finds its reward."""


def _say_where(url: str, *, needs_key: bool) -> None:
    """Print a line that works, and where each trainer finds its reward."""
    places: dict[str, Any] = {
        name: place.format(url=url) if "{url}" in place else url + place
        for name, place in TRAINERS.items()
    }
    body = '{"prompt": "Name a fruit", "responses": ["An apple", "A car"]}'
    key = ' -H "Authorization: Bearer $(cat KEYFILE)"' if needs_key else ""
    curl = f"curl {url}/v1/rewards{key} -H 'Content-Type: application/json' -d '{body}'"
    say(f"Serving at {url}; the page is at /, routes at /docs. Try:")
    say(f"  {curl}")
    for name, place in places.items():
        say(f"  {name:14} {place}")
    emit({"url": url, "curl": curl, "trainers": places})
    sys.stdout.flush()
