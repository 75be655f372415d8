"""embrm's own route: items or messages in; rewards, intervals and ranks out."""

from bisect import bisect_right
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from embrm._typing import Prompt, Text
from embrm.messages import canonical_json
from embrm.serve.routes.answers import example, json_answer
from embrm.serve.service import Rewarded, Service
from embrm.serve.texts import (
    Body,
    Conversation,
    Many,
    Words,
    as_prompt,
    split_messages,
)
from embrm.web.answers import Refusal


class Item(Body):
    """A prompt and a response."""

    prompt: Words | Conversation
    response: Words


class RewardsRequest(Body):
    """Items, conversations, or one prompt with its responses."""

    model: str | None = None
    items: Many[Item] | None = None
    conversations: Many[Conversation] | None = None
    messages: Conversation | None = None
    prompt: Words | Conversation | None = None
    responses: Annotated[Many[Words] | None, Field(min_length=1)] = None

    def texts(self) -> list[Text]:
        """Return the items, in order.

        Raises
        ------
        Refusal
            If none or several of the forms are there.
        """
        pair = self.prompt is not None and self.responses is not None
        forms = [self.items, self.conversations, self.messages, pair or None]
        if sum(form is not None for form in forms) != 1:
            raise Refusal(
                422,
                "expected one of: items [{prompt, response}], messages, conversations, "
                "or prompt with responses",
            )
        if self.items is not None:
            return [(as_prompt(item.prompt), item.response) for item in self.items]
        if self.prompt is not None and self.responses is not None:
            prompt = as_prompt(self.prompt)
            return [(prompt, response) for response in self.responses]
        together = self.conversations or [self.messages or []]
        return [split_messages(turns) for turns in together]


def router(service: Service) -> APIRouter:
    """Make the native routes."""
    routes = APIRouter(tags=["embrm"])

    @routes.post(
        "/v1/rewards",
        **example(
            {"prompt": "Name a fruit", "responses": ["An apple", "A car"]},
            {
                "object": "list",
                "model": "model",
                "data": [
                    {
                        "index": 0,
                        "reward": 1.2,
                        "std": 0.3,
                        "lower": 0.6,
                        "upper": 1.8,
                        "rank": 1,
                    }
                ],
                "warnings": [],
            },
        ),
    )
    async def rewards(body: RewardsRequest) -> Response:
        """Reward items: in nats for Bradley-Terry heads, with 95% intervals where the
        head has them; rank 1 is best for its prompt.
        """  # noqa: D205
        texts = body.texts()
        done = await service.rewards(texts)
        named = {"object": "list", "model": service.name}
        return json_answer({**named, **describe(service, texts, done)})

    return routes


def describe(service: Service, texts: list[Text], done: Rewarded) -> dict[str, Any]:
    """Write rewards with intervals, ranks and components, ready for JSON."""
    ranks = rank_within_prompts(texts, done.rewards)
    names = service.source.component_names
    data = []
    for index, (score, rank) in enumerate(zip(done.scores, ranks, strict=True)):
        lower, upper = score.interval
        row: dict[str, Any] = {
            "index": index,
            "reward": score.reward,
            "std": score.std,
            "lower": lower,
            "upper": upper,
            "rank": rank,
        }
        if names:
            row["components"] = dict(zip(names, score.components, strict=True))
        data.append(row)
    return {"data": data, "warnings": done.warnings}


def rank_within_prompts(texts: list[Text], rewards: list[float]) -> list[int]:
    """Rank rewards among those of the same prompt: 1 is best, ties share it.

    Examples
    --------
    >>> rank_within_prompts([("a", "x"), ("b", "y"), ("a", "z")], [1.0, 0.0, 2.0])
    [2, 1, 1]
    """
    groups: dict[str, list[float]] = {}
    names = _prompt_names([prompt for prompt, _ in texts])
    for name, reward in zip(names, rewards, strict=True):
        groups.setdefault(name, []).append(reward)
    for values in groups.values():
        values.sort()
    return [
        len(groups[name]) - bisect_right(groups[name], reward) + 1
        for name, reward in zip(names, rewards, strict=True)
    ]


def _prompt_names(prompts: list[Prompt]) -> list[str]:
    """Name prompts so that both spellings of a single user turn are the same."""
    texts = [prompt for prompt in prompts if isinstance(prompt, str)]
    if len(texts) == len(prompts):
        return texts
    return [canonical_json(prompt) for prompt in prompts]
