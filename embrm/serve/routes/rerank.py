"""Reranking as vLLM, Jina and Cohere have it: documents sorted by their reward."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from embrm.serve.routes.answers import USAGE, example, json_answer, new_id
from embrm.serve.routes.vllm import activated
from embrm.serve.service import Service
from embrm.serve.texts import Body, Many, Words
from embrm.web.answers import Refusal


class Document(Body):
    """A document as a dict."""

    text: Words


class RerankRequest(Body):
    """A query with its documents."""

    model: str | None = None
    query: Words
    documents: Annotated[Many[Words | Document], Field(min_length=1)]
    top_n: Annotated[int | None, Field(ge=0)] = None
    return_documents: bool | None = None
    use_activation: bool | None = None


def best_first(rewards: list[float], top_n: int | None = None) -> list[int]:
    """Order by reward, best first; of equal ones the first. 0 and None keep all.

    Examples
    --------
    >>> best_first([1.0, 3.0, 1.0, 2.0], top_n=3)
    [1, 3, 0]
    """
    order = sorted(range(len(rewards)), key=lambda n: -rewards[n])
    return order[:top_n] if top_n else order


def router(service: Service) -> APIRouter:
    """Make the rerank routes."""
    routes = APIRouter(tags=["rerank"])
    asked = {"query": "Name a fruit", "documents": ["A car", "An apple"]}
    result = {"index": 1, "relevance_score": 0.7}
    shown = {**result, "document": {"text": "An apple"}}
    vllm = {"id": "rerank-1", "model": "model", "usage": USAGE, "results": [shown]}

    @routes.post("/rerank", **example(asked, vllm))
    async def rerank(body: RerankRequest) -> Response:
        """Rerank as vLLM and Jina do: with documents, unless they are not wanted."""
        with_text = body.return_documents is not False
        results = await _results(service, body, with_text=with_text)
        named = {"id": new_id("rerank"), "model": service.name, "usage": USAGE}
        return json_answer({**named, "results": results})

    routes.post("/v1/rerank", **example(asked, vllm))(rerank)

    @routes.post(
        "/v2/rerank",
        **example(
            {**asked, "model": "model", "top_n": 1}, {**vllm, "results": [result]}
        ),
    )
    async def rerank_v2(body: RerankRequest) -> Response:
        """Rerank as Cohere does: indices and scores, documents on demand."""
        with_text = body.return_documents is True
        results = await _results(service, body, with_text=with_text)
        return json_answer(
            {
                "id": new_id("rerank"),
                "model": service.name,
                "usage": USAGE,
                "results": results,
                "meta": {"api_version": {"version": "2"}},
            }
        )

    return routes


async def _results(
    service: Service, body: RerankRequest, *, with_text: bool
) -> list[dict[str, Any]]:
    documents = [
        document if isinstance(document, str) else document.text
        for document in body.documents
    ]
    if not body.query.strip():
        raise Refusal(422, "expected a query with text; got an empty one")
    done = await service.rewards([(body.query, document) for document in documents])
    scores = activated(done.rewards, body.use_activation)
    return [
        {
            "index": n,
            "relevance_score": scores[n],
            **({"document": {"text": documents[n]}} if with_text else {}),
        }
        for n in best_first(done.rewards, body.top_n)
    ]
