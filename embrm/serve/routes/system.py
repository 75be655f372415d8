"""Routes for operators: health, readiness, counters, models."""

from fastapi import APIRouter, Response

from embrm.serve.routes.answers import json_answer
from embrm.serve.service import Service

OPEN_PATHS = ("/", "/docs", "/openapi.json", "/health", "/ready")
"""Paths that need no token: probes, descriptions, and the page that asks for it."""


def router(service: Service) -> APIRouter:
    """Make the operators' routes."""
    routes = APIRouter(tags=["operation"])

    @routes.get("/health")
    async def health() -> Response:
        """Say that the process answers."""
        return json_answer({"status": "ok"})

    @routes.get("/ready", responses={503: {"description": "starting or stopping"}})
    async def ready() -> Response:
        """Say whether requests are taken, and how many texts wait."""
        running = service.gatherer.is_running
        answer = json_answer(
            {"ready": running, "queued_items": service.gatherer.n_queued}
        )
        answer.status_code = 200 if running else 503
        return answer

    @routes.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counters, as Prometheus reads them."""
        service.metrics.queued(service.gatherer.n_queued)
        text, kind = service.metrics.text()
        return Response(text, media_type=kind)

    @routes.get("/v1/models")
    async def models() -> Response:
        """List the models: one reward, and its components where there are several."""
        names = service.source.component_names
        main = service.source.main
        about = {
            "object": "model",
            "created": service.created,
            "owned_by": "embrm",
            "head": type(main.head_).__name__,
            "encoder": main.fingerprint_.describe(),
            "dimensions": main.fingerprint_.dim,
            "components": list(names),
        }
        return json_answer({"object": "list", "data": [{"id": service.name, **about}]})

    return routes
