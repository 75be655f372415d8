"""From a file of responses to a running labelling page."""

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import numpy as np

from embrm._typing import FloatArray, IntArray, Text
from embrm.active import LabelLoop
from embrm.exceptions import DataError
from embrm.label.app import create_app
from embrm.label.queue import LabelQueue
from embrm.model.items import RowItems
from embrm.pool import CandidatePool
from embrm.web.bounds import Bounds
from embrm.web.guard import LOOPBACK
from embrm.web.serving import leave, listen, serve, url_of


def distinct_items(items: RowItems) -> tuple[list[Text], IntArray]:
    """Take each (prompt, response) once, and number the prompts.

    Returns
    -------
    texts : list of (prompt, response)
    prompt_ids : ndarray of int of shape (n_items,)

    Raises
    ------
    DataError
        If no prompt has two different responses.
    """
    prompts = np.unique(items.prompts(), return_inverse=True)[1].tolist()
    kept: dict[tuple[int, str], Text] = {}
    for prompt, text in zip(prompts, items.texts, strict=True):
        kept.setdefault((prompt, text[1]), text)
    prompt_ids = np.array([prompt for prompt, _ in kept], dtype=np.intp)
    if not len(prompt_ids) or np.bincount(prompt_ids).max() < 2:
        raise DataError.of(
            expected="two different responses to some prompt",
            got=f"{len(prompt_ids)} responses to as many prompts",
            fix="give each prompt two responses or more",
            reason="nothing to compare",
        )
    return list(kept.values()), prompt_ids


def make_loop(
    texts: list[Text],
    prompt_ids: IntArray,
    vectors: FloatArray,
    head: Any = None,
    **options: Any,
) -> LabelLoop:
    """Make the loop of a labelling session.

    Parameters
    ----------
    texts, prompt_ids
        As `distinct_items` returns them.
    vectors : ndarray of shape (n_items, d)
    head : LinearBradleyTerry, optional
        Fitted: what is believed before the first label. It then learns by
        `partial_fit`, from a copy.
    **options
        As for `LabelLoop`.
    """
    from embrm.active import RewardPosterior

    pool = CandidatePool(vectors, prompt_ids, texts=texts)
    if head is None:
        return LabelLoop(pool, **options)
    loop = LabelLoop(pool, **options, refit_by="partial")
    loop.posterior = RewardPosterior.from_head(head, pool.items)
    loop.head_ = head
    return loop


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
