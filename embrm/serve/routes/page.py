"""The page at `/`: paste a prompt and responses, see rewards and what they rest on."""

import asyncio
import json
import shlex
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from jinja2 import Environment
from pydantic import Field

from embrm._typing import Text
from embrm.serve.evidence import Evidence
from embrm.serve.routes.answers import example, json_answer
from embrm.serve.routes.native import describe
from embrm.serve.service import Service
from embrm.serve.texts import Body, Conversation, Many, Words, as_prompt
from embrm.web.guard import page_headers


class ExplainRequest(Body):
    """A prompt and its responses."""

    prompt: Words | Conversation
    responses: Annotated[Many[Words], Field(min_length=1)]


def router(service: Service, evidence: Evidence | None) -> APIRouter:
    """Make the page and the route it asks."""
    routes = APIRouter(tags=["page"])
    html = files("embrm.serve").joinpath("page.html").read_text("utf-8")
    headers = page_headers(html)

    @routes.get("/", response_class=Response, include_in_schema=False)
    async def page() -> Response:
        """Return the page; it loads nothing from elsewhere."""
        return Response(html, media_type="text/html; charset=utf-8", headers=headers)

    @routes.get("/docs", response_class=Response, include_in_schema=False)
    async def docs(request: Request) -> Response:
        """List the routes with their examples; FastAPI's own page needs a network."""
        listed = _list_routes(request)
        style = headers | {"content-security-policy": "default-src 'none'"}
        return Response(listed, media_type="text/html; charset=utf-8", headers=style)

    @routes.post(
        "/v1/explain",
        **example(
            {"prompt": "Name a fruit", "responses": ["An apple", "A car"]},
            {
                "data": [
                    {
                        "index": 0,
                        "reward": 1.2,
                        "std": 0.3,
                        "lower": 0.6,
                        "upper": 1.8,
                        "rank": 1,
                        "evidence": None,
                    }
                ],
                "warnings": [],
            },
        ),
    )
    async def explain(body: ExplainRequest) -> Response:
        """Reward responses, and say what the rewards rest on, where the server was
        started with `--training`.
        """  # noqa: D205
        prompt = as_prompt(body.prompt)
        texts: list[Text] = [(prompt, response) for response in body.responses]
        answer = describe(service, texts, done := await service.rewards(texts))
        found: list[dict[str, Any] | None] = [None] * len(texts)
        if evidence is not None:
            vectors = await service.vectors(texts)
            found = list(
                await asyncio.to_thread(evidence.explain, texts, vectors, done.rewards)
            )
        for row, one in zip(answer["data"], found, strict=True):
            row["evidence"] = one
        return json_answer(answer)

    return routes


_DOCS = Environment(autoescape=True).from_string(
    """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>embrm: routes</title><h1>Routes</h1>
<p>The same as JSON: <a href="openapi.json">openapi.json</a></p>
{% for route in routes %}<h2>{{ route.method }} {{ route.path }}</h2>
<p>{{ route.about }}</p>{% if route.curl %}<pre>{{ route.curl }}</pre>
<p>answers</p><pre>{{ route.answer }}</pre>{% endif %}
{% endfor %}</html>"""
)


def _list_routes(request: Request) -> str:
    """Write every route with a curl line that works, and its answer."""
    url = str(request.base_url).rstrip("/")
    rows = []
    for path, operations in request.app.openapi()["paths"].items():
        for method, about in operations.items():
            row = {"method": method.upper(), "path": path, "curl": None}
            row["about"] = about.get("description", about.get("summary"))
            if method == "post":
                body = about["requestBody"]["content"]["application/json"]["example"]
                sent = shlex.quote(json.dumps(body))
                kind = "-H 'Content-Type: application/json'"
                row["curl"] = f"curl {url}{path} {kind} -d {sent}"
                good = about["responses"]["200"]["content"]["application/json"]
                row["answer"] = json.dumps(good["example"])
            rows.append(row)
    return _DOCS.render(routes=rows)
