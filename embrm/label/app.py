"""The labelling page and its server: next pair, judgement, undo, progress."""

import secrets
from collections.abc import Callable
from importlib.resources import files
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import FastAPI, Query, Response
from pydantic import BaseModel, ConfigDict, Field

import embrm
from embrm.exceptions import InvalidInputError
from embrm.label.progress import Refitter, progress_of
from embrm.label.queue import LabelQueue, Shown
from embrm.web.answers import Refusal, as_json
from embrm.web.bounds import Bounds
from embrm.web.errors import add_error_handlers
from embrm.web.guard import LOOPBACK, Guard, allowed_hosts, page_headers
from embrm.web.serving import leave, listen, serve, url_of

Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")]
Reason = Annotated[str, Field(max_length=80)]
Short = Annotated[str, Field(max_length=4000)]


class Judgement(BaseModel):
    """What the page sends when an annotator has decided."""

    model_config = ConfigDict(extra="forbid")

    annotator: Name | None = None
    pair_id: Annotated[str, Field(max_length=40)]
    winner: Literal["first", "second", "tie", "both bad", "skip"]
    seconds: Annotated[float, Field(ge=0, le=1e6)] | None = None
    strength: Annotated[int, Field(ge=-3, le=3)] | None = None
    reasons: Annotated[list[Reason], Field(max_length=20)] = []
    comment: Short = ""


class Whose(BaseModel):
    """Whose last judgement is taken back."""

    model_config = ConfigDict(extra="forbid")

    annotator: Name | None = None
    request: Annotated[str, Field(max_length=40)] | None = None


def create_app(
    queue: LabelQueue,
    *,
    host: str = "127.0.0.1",
    hosts: tuple[str, ...] = (),
    token: str | None = None,
    annotator: str = "me",
    bounds: Bounds | None = None,
    refit_every: int = 8,
) -> Guard:
    """Make the ASGI app of a queue.

    Parameters
    ----------
    queue : LabelQueue
    host : str, default="127.0.0.1"
        Address that is listened on: names it may be called by follow from it.
    hosts : tuple of str
        Further names.
    token : str, optional
        That all but the page itself needs, as a bearer token.
    annotator : str, default="me"
        Who judges where a request names no one.
    bounds : Bounds, optional
    refit_every : int, default=8
        Labels after which the head is fitted again.

    Returns
    -------
    Guard
    """
    app = FastAPI(
        title="embrm: labelling",
        version=embrm.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    _add_routes(app, queue, Refitter(queue, refit_every), annotator)
    add_error_handlers(app)
    return Guard(
        app,
        Bounds(body_bytes=64 * 1024) if bounds is None else bounds,
        hosts=allowed_hosts(host, hosts),
        token=token,
        # The page holds no data; its script sends the token that its URL has.
        open_paths=("/", "/favicon.ico"),
    )


def _add_routes(
    app: FastAPI, queue: LabelQueue, refitter: Refitter, default: str
) -> None:
    html = files("embrm.label").joinpath("page.html").read_text("utf-8")
    headers = page_headers(html)
    annotator_of = Annotated[Name, Query()]

    @app.get("/", response_class=Response)
    def page() -> Response:
        """Return the page; it loads nothing from elsewhere."""
        return Response(html, media_type="text/html; charset=utf-8", headers=headers)

    @app.get("/favicon.ico", status_code=204, response_class=Response)
    def icon() -> Response:
        """Return no icon; without an answer browsers complain in their console."""
        return Response(status_code=204)

    # Plain functions run in threads: the lock of the queue stops no event loop.
    @app.get("/api/next")
    def next_pair(annotator: annotator_of = default) -> Response:
        """Show the next pair: the same one until it is judged."""
        return _shown(queue, queue.next(annotator), annotator)

    @app.post("/api/label")
    def label(judgement: Judgement) -> Response:
        """Keep a judgement, on disk, and show the next pair."""
        details = judgement.model_dump(exclude={"annotator", "pair_id", "winner"})
        named, key = judgement.annotator or default, judgement.pair_id
        try:
            queue.judge(named, key, judgement.winner, details)
        except InvalidInputError as error:
            raise Refusal(409, str(error)) from error
        refitter.notice()
        return _shown(queue, queue.next(named), named)

    @app.post("/api/undo")
    def undo(whose: Whose) -> Response:
        """Take an annotator's last judgement back, and show its pair again."""
        named = whose.annotator or default
        shown = queue.undo(named, whose.request)
        if shown is None:
            raise Refusal(409, "there is nothing to undo")
        refitter.notice()
        return _shown(queue, shown, named)

    @app.get("/api/progress")
    def progress(annotator: annotator_of = default) -> Response:
        """Sum up the session."""
        return _json(progress_of(queue, annotator))


def _shown(queue: LabelQueue, shown: Shown | None, annotator: str) -> Response:
    """Answer with a pair, without what could tell who wrote the responses.

    Its `pair_id` is null where no pair is left.
    """
    names = ("pair_id", "prompt", "second_prompt", "first", "second")
    content: dict[str, Any] = dict.fromkeys(names)
    if shown is not None:
        task, texts = shown.task, queue.texts
        sides = [task.first, task.second]
        first, second = reversed(sides) if shown.swapped else sides
        prompts = [texts.prompt(first), texts.prompt(second)]
        content = {
            "pair_id": shown.key,
            "prompt": prompts[0],
            "second_prompt": None if prompts[0] == prompts[1] else prompts[1],
            "first": texts.response(first),
            "second": texts.response(second),
        }
    return _json(content | {"progress": progress_of(queue, annotator)})


def _json(content: Any) -> Response:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Response(as_json(content), media_type="application/json", headers=headers)


def run(
    queue: LabelQueue,
    started: Callable[[str], None],
    *,
    annotator: str = "me",
    host: str = "127.0.0.1",
    port: int = 0,
    hosts: tuple[str, ...] = (),
) -> None:
    """Serve the page until SIGTERM or SIGINT.

    Parameters
    ----------
    queue : LabelQueue
    started : callable
        Called with the URL of the page once it listens. Beyond loopback it has a token.
    annotator : str, default="me"
        Named in that URL; others share the server with a name of their own.
    host, port, hosts
        Where to listen, and further names by which the page may be called.
    """
    token = None if host.strip("[]") in LOOPBACK else secrets.token_urlsafe(24)
    bounds = Bounds(body_bytes=64 * 1024)
    app = create_app(
        queue, host=host, hosts=hosts, token=token, annotator=annotator, bounds=bounds
    )
    sock = listen(host, port)
    key = "" if token is None else f"#token={token}"
    started(f"{url_of(host, sock)}/?annotator={quote(annotator)}{key}")
    try:
        serve(app, [sock], bounds)
    finally:
        queue.close()
    leave()
