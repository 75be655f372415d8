"""From directories of saved models to a running server."""

import gc
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from uvicorn.config import STARTUP_FAILURE

from embrm.datasets.paired import read_pairs
from embrm.embed.base import Encoder
from embrm.embed.registry import make_encoder
from embrm.exceptions import InvalidInputError, invalid_input, warn
from embrm.model import RewardModel
from embrm.persist import load_model
from embrm.serve.app import create_app
from embrm.serve.metrics import MULTIPROCESS
from embrm.serve.settings import Settings
from embrm.web.guard import LOOPBACK, Guard, read_token
from embrm.web.serving import end_with_parent, leave, listen, serve, url_of

_SETTINGS = "EMBRM_SERVE_SETTINGS"
_log = logging.getLogger("embrm.serve")


def load_models(settings: Settings) -> dict[str, RewardModel]:
    """Load the models, and check that their encoder is there and is theirs.

    Raises
    ------
    IntegrityError
        If a bundle is damaged, or the encoder is another.
    InvalidInputError
        If the encoder's files are missing.
    """
    encoder: str | Encoder | None = settings.encoder
    if encoder is not None:
        # Models that share an encoder load it once.
        encoder = make_encoder(settings.encoder or "")
    models: dict[str, RewardModel] = {}
    for name, directory in settings.models.items():
        model = load_model(directory, encoder=encoder)
        for other in models.values():
            if other.fingerprint_.digest == model.fingerprint_.digest:
                model.set_params(encoder=other.encoder)
        try:
            model.check_encoder()
        except InvalidInputError as error:
            raise InvalidInputError(
                f"the encoder of this model: {error} If it is elsewhere now, say where "
                "with --encoder."
            ) from error
        models[name] = model
    for model in models.values():
        # Weights are loaded at the first text: now, and not in someone's request.
        model.set_params(progress=False).embed([("Hi", "Hello")])
    return models


def make_app(settings: Settings) -> Guard:
    """Make the app of saved models."""
    token = (
        None
        if settings.api_key_file is None
        else read_token(Path(settings.api_key_file))
    )
    first = next(iter(settings.models.values()))
    name = Path(first).resolve().name or "model"
    models = load_models(settings)
    # What is loaded now stays: collections that look through all of it stop the server
    # for up to 0.2 s with torch and transformers in memory.
    gc.collect()
    gc.freeze()
    training = None
    if settings.training is not None:
        training = read_pairs(settings.training, on_error="skip")
    return create_app(models, settings, token=token, name=name, training=training)


def worker_app() -> Guard:
    """Make the app in a worker process, by the settings it inherits.

    A worker that cannot ends with a line that says why, and the server with it.
    """
    end_with_parent()
    try:
        return make_app(Settings.from_json(os.environ[_SETTINGS]))
    except Exception as error:  # noqa: BLE001
        _log.error("a worker cannot start: %s: %s", type(error).__name__, error)
        sys.exit(STARTUP_FAILURE)


def run(settings: Settings, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    settings : Settings
    started : callable
        Called with the server's URL once it listens and the models are loaded.

    Raises
    ------
    IntegrityError, InvalidInputError
        If it cannot start; nothing was served then.
    EmbrmError
        If a worker cannot start, now or as another's replacement.
    """
    if settings.api_key_file is None and settings.host not in LOOPBACK:
        warn(
            "anyone who reaches this address may ask: set --api-key-file, or let only "
            "your network reach it"
        )
    # Before any worker starts: each of them would fail, and be replaced for ever.
    key = settings.api_key_file
    if key is not None and settings.workers > 1 and not Path(key).is_file():
        raise invalid_input(
            expected="a key file that every worker can read",
            got=f"{key}, which is none, or a pipe that is read once",
            fix="write the key into a file, or serve with one worker",
        )
    app = make_app(settings)
    sock = listen(settings.host, settings.port)
    started(url_of(settings.host, sock))
    if settings.workers == 1:
        serve(app, [sock], settings.bounds)
        leave()
        return
    del app
    cores = os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // settings.workers)))
    with tempfile.TemporaryDirectory(prefix="embrm-metrics-") as counters:
        os.environ[MULTIPROCESS] = counters
        os.environ[_SETTINGS] = settings.to_json()
        serve(
            "embrm.serve.launch:worker_app",
            [sock],
            settings.bounds,
            workers=settings.workers,
        )
