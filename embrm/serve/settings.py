"""Settings of a reward server."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from embrm.exceptions import invalid_input
from embrm.integrations.templates import TEMPLATES, Template
from embrm.web.bounds import Bounds

OnError = Literal["raise", "mean"]


@dataclass(frozen=True)
class Gathering:
    """How texts of many requests are embedded together.

    Parameters
    ----------
    window_seconds : float, default=0.003
        How long the first text waits for others when the encoder is idle.
    batch_items : int, default=256
        Texts embedded together at most; fewer where they would take over half a
        second.
    queue_items : int, default=8192
        Texts that wait for the encoder; 503 beyond it. A request that finds the queue
        empty is always taken.
    wait_seconds : float, default=60
        Expected wait beyond which requests get 503, by the time of recent texts.
    remembered_items : int, default=100_000
        Rewards in memory, those used last.
    """

    window_seconds: float = 0.003
    batch_items: int = 256
    queue_items: int = 8192
    wait_seconds: float = 60.0
    remembered_items: int = 100_000


@dataclass(frozen=True)
class Settings:
    """What `embrm serve` is told.

    Parameters
    ----------
    models : mapping of str to str
        Directories of saved models by name; the first gives the reward.
    cache : str, optional
        Directory or URI of the vector cache.
    encoder : str, optional
        Where the models' encoder is found now.
    template : str, default="auto"
        Chat template of texts that come with special tokens; see
        `embrm.integrations.templates`.
    whole : bool, default=False
        Whether models with a block of style give the whole reward, and not the reward
        net of style.
    on_error : {"raise", "mean"}, default="raise"
        Whether a text that cannot be rewarded is refused, or gets the mean reward.
    training : str, optional
        Preference file the model was fitted on; the page shows the nearest of it.
    items : int, default=1024
        Items of a request.
    characters : int, default=262_144
        Characters of an item, prompt and response together.
    hosts : tuple of str
        Names besides loopback by which clients may call.
    api_key_file : str, optional
    host, port, workers
        Where to listen, and in how many processes.

    Examples
    --------
    >>> settings = Settings({"reward": "model"}, gathering=Gathering(batch_items=8))
    >>> Settings.from_json(settings.to_json()) == settings
    True
    """

    models: dict[str, str]
    cache: str | None = None
    encoder: str | None = None
    template: Template = "auto"
    whole: bool = False
    on_error: OnError = "raise"
    training: str | None = None
    items: int = 1024
    characters: int = 262_144
    hosts: tuple[str, ...] = ()
    api_key_file: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    gathering: Gathering = field(default_factory=Gathering)
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        _check_one_of("on_error", self.on_error, ("raise", "mean"))
        _check_one_of("template", self.template, TEMPLATES)

    def to_json(self) -> str:
        """Write the settings for a worker process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """Read what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        values["gathering"] = Gathering(**values["gathering"])
        values["bounds"] = Bounds(**values["bounds"])
        values["hosts"] = tuple(values["hosts"])
        return cls(**values)


def _check_one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise invalid_input(
            expected=f"{name} to be one of {', '.join(known)}",
            got=repr(value)[:20],
            fix="choose one of these",
        )
