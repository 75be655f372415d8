"""Routes as vLLM and OpenAI have them: classify, score, pooling, embeddings."""

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Response
from pydantic import AliasChoices, Field, model_validator
from scipy.special import expit

from embrm._typing import Text
from embrm.serve.routes.answers import CHAT, USAGE, example, json_answer, new_id
from embrm.serve.service import Service
from embrm.serve.texts import Body, Conversation, WordsOrMany, split_messages
from embrm.web.answers import Refusal


class Input(Body):
    """Texts with a chat template applied, or messages; `activation` is an old name."""

    model: str | None = None
    input: WordsOrMany | None = None
    messages: Conversation | None = None
    use_activation: Annotated[
        bool | None,
        Field(validation_alias=AliasChoices("use_activation", "activation")),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def take_messages(cls, body: Any) -> Any:
        """Take messages that come as the input, as some clients send them."""
        given = body.get("input") if isinstance(body, dict) else None
        if isinstance(given, list) and given and isinstance(given[0], dict):
            return {**body, "input": None, "messages": given}
        return body

    def texts(self, service: Service) -> list[Text]:
        """Return the items to reward."""
        if (self.input is None) == (self.messages is None):
            raise Refusal(422, "expected either input, a text or a list, or messages")
        if self.messages is not None:
            return [split_messages(self.messages)]
        given = [self.input] if isinstance(self.input, str) else self.input or []
        service.check_count(len(given))
        return [service.split(text) for text in given]


class ScoreRequest(Body):
    """Two columns of texts, by any of the names that vLLM knows."""

    model: str | None = None
    first: Annotated[
        WordsOrMany, Field(validation_alias=AliasChoices("queries", "data_1", "text_1"))
    ]
    second: Annotated[
        WordsOrMany,
        Field(validation_alias=AliasChoices("documents", "items", "data_2", "text_2")),
    ]
    use_activation: Annotated[
        bool | None,
        Field(validation_alias=AliasChoices("use_activation", "activation")),
    ] = None

    def texts(self) -> list[Text]:
        """Pair the columns: one query for all documents, or one for each."""
        first = [self.first] if isinstance(self.first, str) else self.first
        second = [self.second] if isinstance(self.second, str) else self.second
        if len(first) == 1:
            first = first * len(second)
        if len(first) != len(second) or not second:
            raise Refusal(
                422,
                "expected one query, or as many as documents; got "
                f"{len(first)} and {len(second)}",
            )
        return list(zip(first, second, strict=True))


class EmbeddingsRequest(Body):
    """OpenAI's request."""

    model: str | None = None
    input: WordsOrMany
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


def activated(rewards: Sequence[float], use_activation: bool | None) -> list[float]:
    """Put rewards through the sigmoid unless that is switched off, as vLLM does.

    Examples
    --------
    >>> activated([0.0], None), activated([3.5], False)
    ([0.5], [3.5])
    """
    if use_activation is False:
        return list(rewards)
    return [float(p) for p in expit(np.asarray(rewards, dtype=np.float64))]


def router(service: Service) -> APIRouter:
    """Make the routes of vLLM and OpenAI."""
    routes = APIRouter(tags=["vLLM and OpenAI"])
    head = {"object": "list", "model": "model"}

    @routes.post(
        "/classify",
        **example(
            {"input": CHAT, "use_activation": False},
            {
                "id": "classify-1",
                "created": 1,
                **head,
                "usage": USAGE,
                "data": [
                    {"index": 0, "label": "LABEL_0", "probs": [1.2], "num_classes": 1}
                ],
            },
        ),
    )
    async def classify(body: Input) -> Response:
        """One class, whose probability is the reward: as it is with
        `"use_activation": false`, else through the sigmoid.
        """  # noqa: D205
        done = await service.rewards(body.texts(service))
        probs = activated(done.rewards, body.use_activation)
        rows = [
            {"index": n, "label": "LABEL_0", "probs": [p], "num_classes": 1}
            for n, p in enumerate(probs)
        ]
        return _listed(service, "classify", rows)

    @routes.post(
        "/pooling",
        **example(
            {"input": CHAT},
            {
                "id": "pool-1",
                "created": 1,
                **head,
                "usage": USAGE,
                "data": [{"index": 0, "object": "pooling", "data": [1.2]}],
            },
        ),
    )
    async def pooling(body: Input) -> Response:
        """Reward texts as vLLM's reward models do: one number each, as it is."""
        done = await service.rewards(body.texts(service))
        rows = [
            {"index": n, "object": "pooling", "data": [reward]}
            for n, reward in enumerate(done.rewards)
        ]
        return _listed(service, "pool", rows)

    _add_score(routes, service, head)
    _add_embeddings(routes, service, head)
    return routes


def _add_score(routes: APIRouter, service: Service, head: dict[str, str]) -> None:
    @routes.post("/v1/score", include_in_schema=False)
    @routes.post(
        "/score",
        **example(
            {"queries": "Name a fruit", "documents": ["An apple", "A car"]},
            {
                "id": "score-1",
                "created": 1,
                **head,
                "usage": USAGE,
                "data": [{"index": 0, "object": "score", "score": 0.7}],
            },
        ),
    )
    async def score(body: ScoreRequest) -> Response:
        """Score documents, or responses, for queries: the sigmoid of the reward, or
        the reward with `"use_activation": false`.
        """  # noqa: D205
        done = await service.rewards(body.texts())
        scores = activated(done.rewards, body.use_activation)
        rows = [
            {"index": n, "object": "score", "score": one}
            for n, one in enumerate(scores)
        ]
        return _listed(service, "score", rows)


def _add_embeddings(routes: APIRouter, service: Service, head: dict[str, str]) -> None:
    @routes.post(
        "/v1/embeddings",
        **example(
            {"model": "model", "input": ["An apple"]},
            {
                **head,
                "usage": USAGE,
                "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
            },
        ),
    )
    async def embeddings(body: EmbeddingsRequest) -> Response:
        """Return the vectors that the reward rests on. Texts with a chat template are
        split; others are responses without a prompt.
        """  # noqa: D205
        given = [body.input] if isinstance(body.input, str) else body.input
        if not given:
            raise Refusal(422, "expected at least one text; got none")
        dim = service.source.main.fingerprint_.dim
        if body.dimensions not in (None, dim):
            raise Refusal(422, f"expected dimensions {dim}, or none given")
        service.check_count(len(given))
        vectors = await service.vectors([service.split(text) for text in given])
        as_text = body.encoding_format == "base64"
        rows = [
            {
                "object": "embedding",
                "index": n,
                "embedding": _base64(row) if as_text else row.tolist(),
            }
            for n, row in enumerate(vectors)
        ]
        named = {"object": "list", "model": service.name}
        return json_answer({**named, "data": rows, "usage": USAGE})


def _base64(vector: Any) -> str:
    """Write a vector as OpenAI's client reads it: float32, little-endian, base64."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def _listed(service: Service, kind: str, rows: list[dict[str, Any]]) -> Response:
    return json_answer(
        {
            "id": new_id(kind),
            "object": "list",
            "created": service.created,
            "model": service.name,
            "data": rows,
            "usage": USAGE,
        }
    )
