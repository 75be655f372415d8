"""The app: routes on one service, errors in each caller's form, the guard around."""

import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

import embrm
from embrm.datasets import Preferences
from embrm.model import RewardModel
from embrm.serve.evidence import Evidence
from embrm.serve.metrics import Metrics
from embrm.serve.rewards import RewardSource
from embrm.serve.routes import native, page, rerank, system, tei, trainers, vllm
from embrm.serve.service import Service
from embrm.serve.settings import Settings
from embrm.serve.vectors import ServingCache
from embrm.web.errors import add_error_handlers
from embrm.web.guard import (
    App,
    Event,
    Guard,
    Receive,
    Scope,
    Send,
    allowed_hosts,
    send_refusal,
)

_ROUTERS = (native, trainers, vllm, rerank, tei, system)


def create_app(
    models: RewardModel | Mapping[str, RewardModel],
    settings: Settings | None = None,
    *,
    token: str | None = None,
    name: str = "model",
    training: Preferences | None = None,
) -> Guard:
    """Make the ASGI app that serves fitted models.

    Parameters
    ----------
    models : RewardModel or mapping of str to RewardModel
        The first gives the reward; several give named components.
    settings : Settings, optional
    token : str, optional
        Bearer token that clients need.
    name : str, default="model"
        By which clients know the model.
    training : Preferences, optional
        What the first model was fitted on: the page shows the nearest of it.

    Returns
    -------
    Guard
        For uvicorn, Ray Serve or any other ASGI server. Only `embrm.web.serving`
        bounds the time of headers as well.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastapi.testclient import TestClient
    >>> rows = {"prompt": ["a", "b"], "chosen": ["yes", "so"], "rejected": ["no", "x"]}
    >>> app = create_app(RewardModel("hashing:16").fit(pd.DataFrame(rows)))
    >>> with TestClient(app, base_url="http://localhost") as client:
    ...     body = {"prompt": "a", "responses": ["yes", "no"]}
    ...     data = client.post("/v1/rewards", json=body).json()["data"]
    >>> [row["rank"] for row in data]
    [1, 2]
    """
    settings = Settings({}) if settings is None else settings
    source = RewardSource(models, ServingCache(settings.cache), whole=settings.whole)
    service = Service(source, settings, Metrics(), name)
    app = FastAPI(
        title="embrm: rewards of responses",
        version=embrm.__version__,
        lifespan=_running(service),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    for module in _ROUTERS:
        app.include_router(module.router(service))
    evidence = None if training is None else Evidence.of(source.main, training)
    app.include_router(page.router(service, evidence))
    add_error_handlers(app)
    return Guard(
        _Door(app, service),
        settings.bounds,
        hosts=allowed_hosts(settings.host, settings.hosts),
        token=token,
        open_paths=system.OPEN_PATHS,
    )


def _running(service: Service) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.gatherer:
            yield

    return lifespan


class _Door:
    """Counts requests by route and status, and turns them away where that is sure.

    While the encoder is full, new texts are refused, and to find that out costs more
    than the refusal: other requests wait meanwhile. Most are refused unread then, by
    adaptive throttling (Beyer et al., Site Reliability Engineering, 2016, chapter 21):
    of those that come while it is full, twice as many are read as were answered lately,
    since their texts were known, and always one in twenty.
    """

    _SECONDS, _READ, _LEAST = 5.0, 2.0, 0.05

    def __init__(self, app: FastAPI, service: Service) -> None:
        self._app: App = app
        self._metrics, self._gatherer = service.metrics, service.gatherer
        self._asked = self._answered = self._credit = self._seen = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        full = scope["method"] == "POST" and self._gatherer.is_full_for(1)

        async def noting(event: Event) -> None:
            nonlocal status
            status = event.get("status", status)
            await send(event)

        try:
            if full and self._refuses(started):
                await send_refusal(scope, noting, self._gatherer.refuse())
            else:
                await self._app(scope, receive, noting)
                self._answered += full and status != 503
        finally:
            # Only paths that exist: others would be series without end.
            route = getattr(scope.get("route"), "path", "other")
            seconds = time.perf_counter() - started
            self._metrics.request(route, status, seconds)

    def _refuses(self, now: float) -> bool:
        """Decide on a request that comes while the encoder is full."""
        fade = math.exp((self._seen - now) / self._SECONDS)
        self._seen = now
        self._asked = 1 + fade * self._asked
        self._answered *= fade
        share = (1 + self._READ * self._answered) / self._asked
        self._credit += min(1.0, max(self._LEAST, share))
        if self._credit < 1:
            return True
        self._credit -= 1
        return False
