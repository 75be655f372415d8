"""Ask a judge behind any OpenAI-compatible server: bounded, cached, counted."""

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from embrm._validation import check_count, check_positive
from embrm.embed.server._answers import NoJSONError, endpoint
from embrm.embed.server._client import EmbeddingsClient, Server
from embrm.exceptions import EmbrmError, invalid_input

_MAX_BODY_BYTES = 4_000_000


class JudgeAnswer(NamedTuple):
    """What a judge said.

    Attributes
    ----------
    text : str
    is_cut : bool
        Whether the answer ended at the limit of tokens.
    tokens_in, tokens_out : int
        As the server counted them; 0 where it did not.
    """

    text: str
    is_cut: bool
    tokens_in: int
    tokens_out: int


@dataclass
class JudgeCost:
    """What was asked, and what it cost.

    Attributes
    ----------
    n_asked : int
        Requests that were sent and answered.
    n_cached : int
        Answers that were there already.
    tokens_in, tokens_out : int
        Of the requests that were sent.
    price : float
        Of these tokens, at the server's prices.
    """

    n_asked: int = 0
    n_cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    price: float = 0.0


@dataclass(eq=False)
class JudgeServer:
    """A judge: a model behind `/chat/completions`.

    Parameters
    ----------
    url : str
        As `"http://localhost:8000/v1"`.
    model : str
    cache : path, optional
        JSON lines file of all answers. What was asked before is not asked again, so
        that an interrupted run goes on where it stopped.
    max_requests : int >= 1, default=100_000
        Most requests that are sent in this object's life; more is an error.
    max_tokens : int >= 1, default=1024
        Longest answer.
    temperature : float >= 0, default=0
    price_in, price_out : float >= 0, default=0
        Of a million tokens, in any currency.
    concurrency : int >= 1, default=8
    timeout : float > 0, default=120
        Seconds that an answer may take.
    attempts : int >= 1, default=5
        How often a request is tried, where trying again may help.
    api_key_env : str, default="OPENAI_API_KEY"
        Environment variable with the key; it is never stored.

    Examples
    --------
    >>> judge = JudgeServer("http://localhost:8000/v1", "my-model")
    >>> judge.url
    'http://localhost:8000/v1/chat/completions'
    """

    url: str
    model: str
    cache: str | Path | None = None
    max_requests: int = 100_000
    max_tokens: int = 1024
    temperature: float = 0.0
    price_in: float = 0.0
    price_out: float = 0.0
    concurrency: int = 8
    timeout: float = 120.0
    attempts: int = 5
    backoff: float = 1.0
    api_key_env: str = "OPENAI_API_KEY"
    cost: JudgeCost = field(default_factory=JudgeCost, init=False)

    def __post_init__(self) -> None:
        base = endpoint(self.url.removesuffix("/chat/completions"))
        self.url = base.removesuffix("/embeddings") + "/chat/completions"
        if not self.model:
            raise invalid_input("a model's name", "none", "pass the judge's model")
        for name in ("max_requests", "max_tokens", "concurrency", "attempts"):
            check_count(getattr(self, name), name)
        check_positive(self.timeout, "timeout")
        for name in ("temperature", "price_in", "price_out"):
            check_positive(getattr(self, name), name, zero=True)
        self._known: dict[str, JudgeAnswer] = dict(self._read_cache())
        self._lock = threading.Lock()

    def ask(
        self, conversations: Sequence[list[dict[str, str]]], *, repeat: int = 0
    ) -> list[JudgeAnswer]:
        """Ask for an answer to each conversation; cached ones are not sent.

        Parameters
        ----------
        conversations : sequence of lists of messages
        repeat : int >= 0, default=0
            Another number asks again what was asked before, to see whether the judge
            agrees with itself; it is sent as the seed.

        Returns
        -------
        list of JudgeAnswer

        Raises
        ------
        EmbrmError
            If the server refuses, fails in every attempt, or answers something else;
            answers that arrived before are in the cache.
        InvalidInputError
            If that would be more than `max_requests`; nothing is sent then.
        """
        bodies = [self._body(messages, repeat) for messages in conversations]
        keys = [hashlib.sha256(body).hexdigest() for body in bodies]
        missing = {
            key: body
            for key, body in zip(keys, bodies, strict=True)
            if key not in self._known
        }
        if self.cost.n_asked + len(missing) > self.max_requests:
            raise invalid_input(
                f"at most {self.max_requests} requests",
                f"{self.cost.n_asked + len(missing)}",
                "raise max_requests, or judge fewer texts",
            )
        self.cost.n_cached += len(keys) - len(missing)
        if missing:
            self._send(missing)
        return [self._known[key] for key in keys]

    def _body(self, messages: list[dict[str, str]], repeat: int) -> bytes:
        fields: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        if repeat:
            fields["seed"] = repeat
        return json.dumps(fields, sort_keys=True).encode()

    def _send(self, missing: dict[str, bytes]) -> None:
        server = Server(
            url=self.url,
            fields={},
            api_key_env=self.api_key_env,
            timeout=self.timeout,
            attempts=self.attempts,
            backoff=self.backoff,
            max_body_bytes=_MAX_BODY_BYTES,
            concurrency=self.concurrency,
        )
        workers = ThreadPoolExecutor(min(self.concurrency, len(missing)))
        with EmbeddingsClient(server) as client, workers as pool:
            # An error cancels those that wait, and is raised here.
            list(pool.map(partial(self._ask_one, client), missing, missing.values()))

    def _ask_one(self, client: EmbeddingsClient, key: str, body: bytes) -> None:
        answer = client.post(body, read_completion)
        answer = answer._replace(text=client.without_key(answer.text))
        with self._lock:
            self._known[key] = answer
            self.cost.n_asked += 1
            self.cost.tokens_in += answer.tokens_in
            self.cost.tokens_out += answer.tokens_out
            self.cost.price += (
                answer.tokens_in * self.price_in + answer.tokens_out * self.price_out
            ) / 1e6
            if self.cache is not None:
                line = json.dumps({"key": key, **answer._asdict()}, ensure_ascii=False)
                with Path(self.cache).open("a", encoding="utf-8") as stream:
                    stream.write(line + "\n")

    def _read_cache(self) -> Iterator[tuple[str, JudgeAnswer]]:
        path = None if self.cache is None else Path(self.cache)
        if path is None or not path.exists():
            return
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                try:
                    row = json.loads(line)
                    yield row.pop("key"), JudgeAnswer(**row)
                except (ValueError, TypeError, KeyError, AttributeError):
                    # A line that was cut off when a run was stopped: ask again.
                    continue


def read_completion(body: bytes) -> JudgeAnswer:
    """Read the answer of a chat completion.

    Raises
    ------
    NoJSONError
        If the body is no JSON.
    EmbrmError
        If it is something else than a completion.

    Examples
    --------
    >>> read_completion(b'{"choices": [{"message": {"content": "Hi"}}]}').text
    'Hi'
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoJSONError("no JSON") from error
    try:
        choice = parsed["choices"][0]
        text = choice["message"]["content"] or ""
        usage = parsed.get("usage") or {}
        tokens = [
            int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")
        ]
        cut = choice.get("finish_reason") == "length"
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        text = None
    if not isinstance(text, str):
        raise EmbrmError.of(
            expected="a chat completion with choices[0].message.content",
            got="another answer",
            fix="check that the url is of an OpenAI-compatible chat server",
        )
    return JudgeAnswer(text, cut, *tokens)
