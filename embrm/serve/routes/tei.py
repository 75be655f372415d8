"""Routes as text-embeddings-inference has them, under `/tei`."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BeforeValidator, Field

from embrm._typing import Text
from embrm.serve.routes.answers import example, json_answer
from embrm.serve.routes.rerank import best_first
from embrm.serve.routes.vllm import activated
from embrm.serve.service import Service
from embrm.serve.texts import Body, Many, Words, refuse_token_ids

Inputs = Annotated[
    str | Many[str | Many[str]],
    BeforeValidator(refuse_token_ids),
]


class PredictRequest(Body):
    """A text, a pair [prompt, response], or a list of such lists."""

    inputs: Inputs
    raw_scores: bool = False
    truncate: bool | None = None

    @property
    def is_single(self) -> bool:
        """Whether one text or one pair was sent, and one result is expected."""
        if isinstance(self.inputs, str):
            return True
        return len(self.inputs) == 2 and all(isinstance(p, str) for p in self.inputs)

    def texts(self, service: Service) -> list[Text]:
        """Return the items to reward."""
        single = self.is_single
        given: list[Any] = [self.inputs] if single else list(self.inputs)
        service.check_count(len(given))
        return [_as_text(one, service) for one in given]


class RerankRequest(Body):
    """A query with its texts."""

    query: Words
    texts: Annotated[Many[Words], Field(min_length=1)]
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None


def _as_text(one: str | list[str], service: Service) -> Text:
    """Read an input: a text by itself, or a pair of prompt and response."""
    if isinstance(one, list) and len(one) == 2:
        return one[0], one[1]
    return service.split(one if isinstance(one, str) else "".join(one))


def router(service: Service) -> APIRouter:
    """Make the routes of text-embeddings-inference."""
    routes = APIRouter(prefix="/tei", tags=["text-embeddings-inference"])

    @routes.post(
        "/predict",
        **example(
            {"inputs": [["Name a fruit", "An apple"]], "raw_scores": True},
            [[{"label": "LABEL_0", "score": 1.2}]],
        ),
    )
    async def predict(body: PredictRequest) -> Response:
        """Reward texts or pairs: the sigmoid, or the reward with `raw_scores`."""
        done = await service.rewards(body.texts(service))
        scores = activated(done.rewards, not body.raw_scores)
        rows = [[{"label": "LABEL_0", "score": score}] for score in scores]
        return json_answer(rows[0] if body.is_single else rows)

    @routes.post(
        "/rerank",
        **example(
            {"query": "Name a fruit", "texts": ["A car", "An apple"]},
            [{"index": 1, "score": 0.7}],
        ),
    )
    async def rerank(body: RerankRequest) -> Response:
        """Sort texts by their reward, best first."""
        done = await service.rewards([(body.query, text) for text in body.texts])
        scores = activated(done.rewards, not body.raw_scores)
        rows = [
            {
                "index": n,
                "score": scores[n],
                **({"text": body.texts[n]} if body.return_text else {}),
            }
            for n in best_first(done.rewards)
        ]
        return json_answer(rows)

    return routes
