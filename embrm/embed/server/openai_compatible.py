"""Embed texts with a server that has OpenAI's interface: vLLM, TEI, infinity, ..."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from embrm._typing import Text
from embrm.embed.base import BatchReport, Fingerprint, OnBatch
from embrm.embed.batching import as_stored
from embrm.embed.server._answers import Answer, endpoint
from embrm.embed.server._client import EmbeddingsClient, Server, request_waves
from embrm.embed.server._identity import (
    GOLDEN_TEXTS,
    TOLERANCE,
    ServerIdentity,
    check_ends_are_read,
    end_texts,
)
from embrm.embed.server._texts import ServerInput, TokenFitter, fit_chars
from embrm.exceptions import FingerprintMismatchError, invalid_input

_RECOGNISED = "_recognised"
RESERVED = ("model", "input", "encoding_format")
"""Fields of a request that `extra_body` must not set."""

# The texts that probe whether a server reads to the end have to fit.
_FEWEST_CHARS = 256


@dataclass(frozen=True)
class OpenAICompatibleEncoder:
    r"""Embed texts with a server's `/v1/embeddings`.

    The server is identified by its vectors: two golden texts are embedded at first
    contact and once in every call of `encode`, and a sketch of their vectors is in
    the fingerprint; see `embrm.embed.server._identity`. The address is not: a model
    that moves keeps its vectors.

    One response of each prompt is sent first, then the others prompt by prompt, so
    that a server with a prefix cache computes each prompt once.

    Parameters
    ----------
    model : str
        As the server calls it.
    url : str, default="https://api.openai.com/v1"
        http or https. Redirects are not followed, certificates are verified.
    api_key_env : str, default="EMBRM_API_KEY"
        Environment variable with the key for the server. The key is read when it is
        used and kept nowhere; where the variable is not set, none is sent.
    template : {"plain", "chat"}, default="plain"
        `"chat"` renders with the tokenizer's chat template and needs
        `send_token_ids`.
    max_chars : int, default=8192
        Without `tokenizer`: texts are cut to so many characters, at the beginning
        of the prompt, then of the response. Characters outside ASCII count as their
        bytes in UTF-8. A server that cuts texts of two characters a token and this
        length at their ends is refused at first contact; for a model of 512 tokens
        pass 1000.
    tokenizer : str, optional
        Directory or id on the Hugging Face hub of the model's tokenizer. Texts are
        then cut to exactly `max_tokens`.
    revision : str, optional
        Branch, tag or commit of the tokenizer on the hub.
    max_tokens : int, optional
        Token limit, special tokens included. None takes the tokenizer's own.
    send_token_ids : bool, default=False
        Send arrays of token ids instead of text, which vLLM, TEI and OpenAI take:
        what was counted is what is embedded, and no BOS is there twice.
    on_long_response : {"truncate", "raise"}, default="truncate"
        What to do when a response alone exceeds the limit.
    extra_body : mapping, optional
        More fields of every request, e.g. `{"dimensions": 256}` for OpenAI or
        `{"use_activation": False}` for vectors of vLLM that are not normalised.
        It is in the fingerprint, so never a secret.
    encoding_format : {"base64", "float"}, default="base64"
        The requested format. Answers in either are understood.
    batch_items : int, default=32
        Texts of a request at most.
    concurrency : int, default=8
        Concurrent requests.
    timeout : float, default=60
        Seconds that the server may be silent, and that it may take for an answer.
    attempts : int, default=6
        How often a request is tried when the failure may pass.
    backoff : float, default=1
        Seconds; before attempt n + 1 comes a random wait up to
        `backoff * 2**(n - 1)`, after what the server asked for.
    max_body_bytes : int, default=67108864
        Largest answer that is read.
    store_dtype : {"float16", "float32"}, default="float16"
        Dtype of the vectors.

    Notes
    -----
    Needs `embrm[http]`. No request is sent before the fingerprint or a vector is
    needed. A pickled encoder keeps the server's identity, but not the key.

    Examples
    --------
    >>> encoder = OpenAICompatibleEncoder("e5", "http://localhost:8000/v1")
    >>> encoder.model, encoder.concurrency
    ('e5', 8)
    """

    model: str
    url: str = "https://api.openai.com/v1"
    _: KW_ONLY
    api_key_env: str = "EMBRM_API_KEY"
    template: str = "plain"
    max_chars: int = 8192
    tokenizer: str | None = None
    revision: str | None = None
    max_tokens: int | None = None
    send_token_ids: bool = False
    on_long_response: str = "truncate"
    extra_body: Mapping[str, Any] = field(default_factory=dict, hash=False)
    encoding_format: str = "base64"
    batch_items: int = 32
    concurrency: int = 8
    timeout: float = 60.0
    attempts: int = 6
    backoff: float = 1.0
    max_body_bytes: int = 2**26
    store_dtype: str = "float16"

    def __post_init__(self) -> None:
        check_server_options(self)

    @property
    def fingerprint(self) -> Fingerprint:
        """Who this encoder is; see `embrm.embed.base.Fingerprint`.

        Raises
        ------
        EmbrmError
            If the server cannot be reached or refuses.
        IntegrityError
            If its answer is not usable.
        InvalidInputError
            If it cuts the ends of texts.
        """
        recognised: Fingerprint | None = vars(self).get(_RECOGNISED)
        return recognised or self._own

    def recognise(self, known: Iterable[Fingerprint]) -> bool:
        """Take one of `known` for the fingerprint, if the server answers like it.

        Parameters
        ----------
        known : iterable of Fingerprint
            Of the stores of a cache, or of a saved model. The present one is kept
            if it is among them; of several others that fit, the one with the first
            digest is taken.

        Returns
        -------
        bool
            Whether one fits: all options are the same, and the vectors of the
            golden texts as well, up to the noise of bfloat16.
        """
        own, present = self._own, self.fingerprint.digest
        for one in sorted(known, key=lambda one: (one.digest != present, one.digest)):
            # Whatever is not about the server has to be the same.
            fields = {**one.fields, **self._met.fields()}
            alike = replace(own, fields=fields).digest == own.digest
            is_same = alike and (one.dim, one.dtype) == (own.dim, own.dtype)
            if is_same and self._met.distance(one.fields) <= TOLERANCE:
                vars(self)[_RECOGNISED] = one
                return True
        return False

    def encode(
        self, texts: Sequence[Text], *, on_batch: OnBatch | None = None
    ) -> NDArray[np.floating[Any]]:
        """Embed texts; see `embrm.embed.base.Encoder`.

        Returns
        -------
        ndarray of shape (n_texts, d)

        Raises
        ------
        EmbrmError
            If the server refuses, or fails in every attempt. What was
            embedded by earlier calls is not touched by that.
        IntegrityError
            If an answer is not one finite vector of the right length for each text,
            or the server has become another one (FingerprintMismatchError).
        InvalidInputError
            If a text is malformed or empty, a response is too long and that is to
            raise, or a vector does not fit `store_dtype`.
        """
        dim = self.fingerprint.dim
        inputs = self._fit(texts)
        self._check_responses(inputs)
        vectors = np.empty((len(inputs), dim), dtype=self.store_dtype)
        waves = request_waves(
            [one.before for one in inputs],
            batch_items=self.batch_items,
            concurrency=self.concurrency,
        )
        with EmbeddingsClient(self._server, dim=dim) as client:
            for n, wave in enumerate(waves, 1):
                requests = [[inputs[row].content for row in rows] for rows in wave]
                if n == len(waves):
                    requests.append([one.content for one in self._golden])
                with closing(client.embed_all(requests)) as answers:
                    for number, answer in answers:
                        if number == len(wave):
                            self._check_still_the_same(answer)
                            continue
                        rows = wave[number]
                        vectors[rows] = as_stored(answer.vectors, self.store_dtype)
                        if on_batch is not None:
                            on_batch(_report([inputs[row] for row in rows], answer))
        return vectors

    @property
    def _server(self) -> Server:
        asked = {"model": self.model, "encoding_format": self.encoding_format}
        return Server(
            url=endpoint(self.url),
            fields={**self.extra_body, **asked},
            api_key_env=self.api_key_env,
            timeout=self.timeout,
            attempts=self.attempts,
            backoff=self.backoff,
            max_body_bytes=self.max_body_bytes,
            concurrency=self.concurrency,
        )

    @property
    def _own(self) -> Fingerprint:
        """The fingerprint with the sketch that this encoder saw itself."""
        values = {
            "kind": "openai-compatible",
            "recipe": 1,
            "model": self.model,
            **self._met.fields(),
            "extra_body": dict(self.extra_body),
            "truncation": "start of prompt, then start of response",
        }
        if self._fitter is None:
            values |= {"template": {"id": "plain"}, "max_chars": self.max_chars}
        else:
            values |= {**self._fitter.fields(), "max_tokens": self._limit}
        return Fingerprint(values, dim=self._met.dim, dtype=self.store_dtype)

    @cached_property
    def _met(self) -> ServerIdentity:
        """Who answered at first contact."""
        with EmbeddingsClient(self._server) as client:
            identity = ServerIdentity.of(
                client.embed([one.content for one in self._golden])
            )
            ends = self._fit(end_texts(4 * self._limit))
            limit = "max_chars" if self._fitter is None else "max_tokens"
            check_ends_are_read(
                client.embed([one.content for one in ends]), f"{limit}={self._limit}"
            )
        return identity

    @cached_property
    def _golden(self) -> list[ServerInput]:
        return self._fit(GOLDEN_TEXTS)

    @cached_property
    def _fitter(self) -> TokenFitter | None:
        if self.tokenizer is None:
            return None
        return TokenFitter(
            self.tokenizer, self.revision, self.template, self.send_token_ids
        )

    @cached_property
    def _limit(self) -> int:
        """Largest length of a text, in tokens or in characters."""
        return self._fitter.limit(self.max_tokens) if self._fitter else self.max_chars

    def _fit(self, texts: Sequence[Text]) -> list[ServerInput]:
        if self._fitter is None:
            return fit_chars(texts, self._limit)
        return self._fitter.fit(texts, self._limit)

    def _check_responses(self, inputs: Sequence[ServerInput]) -> None:
        n_long = sum(one.response_cut for one in inputs)
        if n_long and self.on_long_response == "raise":
            unit = "characters" if self._fitter is None else "tokens"
            raise invalid_input(
                expected=f"responses of at most {self._limit} {unit}",
                got=f"{n_long} of {len(inputs)} that are longer",
                fix="raise the limit, leave these items out, or pass "
                "on_long_response='truncate' to drop the beginning of the response",
            )

    def _check_still_the_same(self, answer: Answer) -> None:
        moved = ServerIdentity.of(answer).distance(self._met.fields())
        if moved > TOLERANCE:
            raise FingerprintMismatchError.of(
                expected=f"the {self.model} that answered at first contact",
                got=f"golden texts with other vectors (moved by {moved:.2g} of "
                "their length), or another name",
                fix="start the old model again, or make a new encoder: the "
                "new one has vectors of its own",
            )

    def __getstate__(self) -> dict[str, Any]:
        """Keep the server's identity, so that all processes agree; no tokenizer."""
        kept = {"_met", _RECOGNISED}.intersection(vars(self))
        return {one.name: getattr(self, one.name) for one in fields(self)} | {
            name: vars(self)[name] for name in kept
        }

    def __sklearn_clone__(self) -> Self:
        """Stay one object when an estimator that holds it is cloned: it is frozen."""
        return self


def _report(inputs: Sequence[ServerInput], answer: Answer) -> BatchReport:
    return BatchReport(
        n_texts=len(inputs),
        n_tokens=sum(one.n_tokens for one in inputs) or answer.n_tokens,
        n_truncated=sum(one.prompt_cut for one in inputs),
        n_response_truncated=sum(one.response_cut for one in inputs),
    )


def check_server_options(options: Any) -> None:
    """Check the options of an `OpenAICompatibleEncoder`.

    Parameters
    ----------
    options : OpenAICompatibleEncoder
        The key's variable is checked, not the key.

    Raises
    ------
    InvalidInputError
        With the first rule that does not hold; values are not shown.
    """
    endpoint(options.url)
    by_ids = options.tokenizer is not None and options.send_token_ids
    rules = {
        "model, a name": bool(options.model),
        "api_key_env, the name of a variable": options.api_key_env.isidentifier(),
        "template 'plain', or 'chat' with tokenizer and send_token_ids": (
            options.template == "plain" or (options.template == "chat" and by_ids)
        ),
        f"max_chars >= {_FEWEST_CHARS}": options.max_chars >= _FEWEST_CHARS,
        "max_tokens >= 1, and only with a tokenizer": options.max_tokens is None
        or (options.max_tokens >= 1 and options.tokenizer is not None),
        "send_token_ids only with a tokenizer": by_ids or not options.send_token_ids,
        "on_long_response 'truncate' or 'raise'": options.on_long_response
        in ("truncate", "raise"),
        f"extra_body in JSON and without {', '.join(RESERVED)}": _is_extra(
            options.extra_body
        ),
        "encoding_format 'base64' or 'float'": options.encoding_format
        in ("base64", "float"),
        "1 <= batch_items <= 2048": 1 <= options.batch_items <= 2048,
        "1 <= concurrency <= 256": 1 <= options.concurrency <= 256,
        "timeout > 0": options.timeout > 0,
        "1 <= attempts <= 100": 1 <= options.attempts <= 100,
        "backoff >= 0": options.backoff >= 0,
        "max_body_bytes >= 1": options.max_body_bytes >= 1,
        "store_dtype 'float16' or 'float32'": options.store_dtype
        in ("float16", "float32"),
    }
    wrong = [rule for rule, holds in rules.items() if not holds]
    if wrong:
        raise invalid_input(
            expected=wrong[0],
            got="something else",
            fix="see the parameters of OpenAICompatibleEncoder",
        )


def _is_extra(body: Any) -> bool:
    """Say whether this can be more fields of a request."""
    try:
        text = json.dumps(body, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return bool(json.loads(text) == body) and set(RESERVED).isdisjoint(body)
