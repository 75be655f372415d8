"""What every route does: check texts, reward them, fall back where asked to."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from embrm._typing import FloatArray, Text
from embrm.exceptions import DataError, EmbrmError
from embrm.integrations.scoring import RunningMean
from embrm.integrations.templates import split_text
from embrm.serve.gathering import Gatherer
from embrm.serve.metrics import Metrics
from embrm.serve.rewards import RewardSource, Scored
from embrm.serve.settings import Settings
from embrm.serve.texts import check_text
from embrm.web.answers import Refusal

PLAIN = "no chat template was recognised: rewarded as plain text, without a prompt"
FALLBACK = "could not be rewarded: the mean reward in its place"


@dataclass
class Rewarded:
    """Rewards of a request's items, and what to know about them.

    Attributes
    ----------
    scores : list of Scored
    warnings : list of str
    """

    scores: list[Scored]
    warnings: list[str] = field(default_factory=list)

    @property
    def rewards(self) -> list[float]:
        """The rewards alone."""
        return [score.reward for score in self.scores]


class Service:
    """The models of a server, behind one queue.

    Parameters
    ----------
    source : RewardSource
    settings : Settings
    metrics : Metrics
    name : str
        By which clients know the model.
    """

    def __init__(
        self, source: RewardSource, settings: Settings, metrics: Metrics, name: str
    ) -> None:
        self.source, self.settings = source, settings
        self.metrics, self.name = metrics, name
        self.gatherer = Gatherer(source, settings.gathering, metrics)
        self.created = int(time.time())
        self._mean = RunningMean()

    def split(self, text: str, prompt: str | None = None) -> Text:
        """Split a text to which a chat template may have been applied."""
        if len(text) > self.settings.characters + len(prompt or ""):
            return "", text  # to be refused for its length, and not read before
        found = split_text(text, self.settings.template, prompt=prompt)
        if found is None:
            self.metrics.event("plain_text")
            return "", text
        return found

    async def rewards(self, texts: Sequence[Text]) -> Rewarded:
        """Reward the items of a request, in their order.

        Raises
        ------
        Refusal
            413 for too many items, 422 for a text that cannot be rewarded unless the
            server gives the mean reward then, 502 and 503 as `Gatherer.rewards`.
        """
        self.check_count(len(texts))
        if self.settings.on_error == "mean":
            return await self._with_fallback(texts)
        for position, text in enumerate(texts):
            self._check(text, position)
        try:
            scores = await self.gatherer.rewards(texts)
        except EmbrmError as error:
            raise Refusal(422, f"a text was refused: {error}") from error
        self._mean.add([score.reward for score in scores])
        return Rewarded(scores, self._warnings(texts))

    async def vectors(self, texts: Sequence[Text]) -> FloatArray:
        """Embed texts, (n, d)."""
        self.check_count(len(texts))
        for position, text in enumerate(texts):
            self._check(text, position)
        try:
            return await self.gatherer.vectors(texts)
        except EmbrmError as error:
            raise Refusal(422, f"a text was refused: {error}") from error

    def check_count(self, n: int) -> None:
        """Refuse more items than a request may have."""
        if n > self.settings.items:
            raise Refusal(
                413,
                f"expected at most {self.settings.items} items in a request; "
                f"got {n}. Fix: send them in several requests.",
            )

    def components(self, scores: Sequence[Scored]) -> dict[str, list[float]]:
        """Gather what is logged beside the reward: by model, and the deviation."""
        named: dict[str, list[float]] = {}
        for column, name in enumerate(self.source.component_names):
            named[name] = [score.components[column] for score in scores]
        deviations = [score.std for score in scores if score.std is not None]
        if deviations and len(deviations) == len(scores):
            named["std"] = deviations
        return named

    def _check(self, text: Text, position: int) -> None:
        try:
            check_text(text, self.settings.characters)
        except DataError as error:
            raise Refusal(422, f"item {position}: {error}") from error

    async def _with_fallback(self, texts: Sequence[Text]) -> Rewarded:
        """Reward each text by itself; the mean in place of those that fail."""
        outcomes = await asyncio.gather(
            *(self._attempt(text) for text in texts), return_exceptions=True
        )
        good = [one for one in outcomes if isinstance(one, Scored)]
        self._mean.add([score.reward for score in good])
        busy = [e for e in outcomes if isinstance(e, Refusal) and e.status == 503]
        if busy:
            raise busy[0]
        for error in outcomes:
            if not isinstance(error, Scored | Refusal | EmbrmError):
                raise error
        mean = sum(one.reward for one in good) / len(good) if good else self._mean.value
        self.metrics.event("fallback", len(texts) - len(good))
        mend = Scored(mean, None, (mean,) * len(self.source.component_names))
        scores = [one if isinstance(one, Scored) else mend for one in outcomes]
        failed = [n for n, one in enumerate(outcomes) if not isinstance(one, Scored)]
        warnings = [f"item {n} {FALLBACK}" for n in failed[:10]]
        return Rewarded(scores, [*warnings, *self._warnings(texts)])

    async def _attempt(self, text: Text) -> Scored:
        check_text(text, self.settings.characters)
        return (await self.gatherer.rewards([text]))[0]

    @staticmethod
    def _warnings(texts: Sequence[Text]) -> list[str]:
        plain = [n for n, (prompt, _) in enumerate(texts) if not prompt]
        return [f"item {n}: {PLAIN}" for n in plain[:10]]
