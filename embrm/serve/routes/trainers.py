"""Routes of RLHF trainers: OpenRLHF, LLaMA-Factory, slime, NeMo-Gym."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field, FiniteFloat

from embrm._typing import Message, Text
from embrm.serve.routes.answers import CHAT, example, json_answer, new_id
from embrm.serve.service import Service
from embrm.serve.texts import (
    Body,
    Conversation,
    Many,
    Part,
    Turn,
    Words,
    as_prompt,
    join_parts,
)
from embrm.web.answers import Refusal


class GetReward(Body):
    """OpenRLHF's request: whole texts, with special tokens; lists may be empty."""

    query: Many[Words]
    prompts: Many[Words | None] | None = None
    labels: list[Any] | None = None


class ScoreEvaluation(Body):
    """LLaMA-Factory's request: whole texts, with special tokens."""

    model: str | None = None
    messages: Many[Words]
    max_length: int | None = None


class Sample(Body):
    """slime's request: one sample."""

    prompt: Words | Conversation
    response: Words
    label: Any = None


class OutputItem(Body):
    """An item of a response: a message, or something without a text for us."""

    type: str = "message"
    role: str = "assistant"
    content: str | Many[Part] | None = None


class ModelResponse(Body):
    """A response of OpenAI's Responses API."""

    output: Many[OutputItem]

    def text(self) -> str:
        """Return what the assistant said, and not what a simulated user did."""
        return "".join(
            join_parts(item.content)
            for item in self.output
            if item.type == "message" and item.role == "assistant"
        )


class InputItem(Body):
    """An item of the input: a message, or something without a text for us."""

    type: str = "message"
    role: str | None = None
    content: str | Many[Part] | None = None


class CreateParams(Body):
    """What the response was asked with."""

    input: Words | Many[InputItem]
    instructions: str | None = None

    def prompt(self) -> list[Message]:
        """Return the conversation so far."""
        system = [Message(role="system", content=self.instructions or "")]
        turns = system if self.instructions else []
        if isinstance(self.input, str):
            return [*turns, Message(role="user", content=self.input)]
        return turns + [
            Message(role=item.role, content=join_parts(item.content))
            for item in self.input
            if item.type == "message" and item.role is not None
        ]


class Verify(Body):
    """NeMo-Gym's request; what else it holds is sent back."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    responses_create_params: dict[str, Any]
    response: dict[str, Any]


class Rollout(Body):
    """What is left of an answer of `/verify` when rollouts are summed up."""

    reward: FiniteFloat
    task: int = Field(0, alias="_ng_task_index")


class Rollouts(Body):
    """NeMo-Gym's request for a summary of rollouts."""

    verify_responses: Many[Rollout]

    def by_task(self) -> dict[int, list[float]]:
        """Gather rewards by task."""
        tasks: dict[int, list[float]] = {}
        for one in self.verify_responses:
            tasks.setdefault(one.task, []).append(one.reward)
        return dict(sorted(tasks.items()))


class Compare(Body):
    """NeMo-Gym's request for a group of responses."""

    conversation_history: Many[Turn]
    response_objs: Annotated[Many[ModelResponse], Field(min_length=1)]


def router(service: Service) -> APIRouter:
    """Make the trainers' routes."""
    routes = APIRouter(tags=["trainers"])

    @routes.post(
        "/get_reward",
        **example(
            {"query": [CHAT], "prompts": ["Name a fruit"], "labels": [None]},
            {"rewards": [1.2], "scores": [1.2], "extra_logs": {"std": [0.3]}},
        ),
    )
    async def get_reward(body: GetReward) -> Response:
        """Reward texts for OpenRLHF; empty lists get empty lists."""
        prompts = body.prompts or [None] * len(body.query)
        if len(prompts) != len(body.query):
            raise Refusal(
                422,
                f"expected as many prompts as queries; got {len(prompts)} and "
                f"{len(body.query)}",
            )
        service.check_count(len(body.query))
        pairs = zip(body.query, prompts, strict=True)
        done = await service.rewards([service.split(*pair) for pair in pairs])
        logs = service.components(done.scores) if done.scores else {}
        return json_answer(
            {"rewards": done.rewards, "scores": done.rewards, "extra_logs": logs}
        )

    @routes.post(
        "/v1/score/evaluation",
        **example(
            {"model": "model", "messages": [CHAT]},
            {
                "id": "scoreeval-1",
                "object": "score.evaluation",
                "model": "model",
                "scores": [1.2],
            },
        ),
    )
    async def score_evaluation(body: ScoreEvaluation) -> Response:
        """Reward texts for LLaMA-Factory (`reward_model_type: api`)."""
        service.check_count(len(body.messages))
        done = await service.rewards([service.split(text) for text in body.messages])
        return json_answer(
            {
                "id": new_id("scoreeval"),
                "object": "score.evaluation",
                "model": service.name,
                "scores": done.rewards,
            }
        )

    _add_slime(routes, service)
    _add_nemo(routes, service)
    return routes


def _add_slime(routes: APIRouter, service: Service) -> None:
    sample = {"prompt": "Name a fruit", "response": "An apple", "label": None}

    async def _score(body: Sample) -> Any:
        text: Text = (as_prompt(body.prompt), body.response)
        if isinstance(body.prompt, str):
            # slime sends the prompt as its template made it.
            text = service.split(body.prompt + body.response, body.prompt)
        return await service.rewards([text])

    @routes.post("/slime", **example(sample, 1.2))
    async def slime(body: Sample) -> Response:
        """Reward a sample for slime (`--rm-url`): a bare number."""
        return json_answer((await _score(body)).rewards[0])

    @routes.post("/slime/named", **example(sample, {"reward": 1.2, "std": 0.3}))
    async def slime_named(body: Sample) -> Response:
        """Reward a sample for slime with `--reward-key reward`: a dict."""
        done = await _score(body)
        parts = service.components(done.scores)
        named = {name: values[0] for name, values in parts.items()}
        return json_answer({**named, "reward": done.rewards[0]})


def _add_nemo(routes: APIRouter, service: Service) -> None:
    @routes.post("/seed_session", **example({}, {}))
    async def seed_session(_: dict[str, Any]) -> Response:
        """Begin a session, as NeMo-Gym's agents do: nothing is kept."""
        return json_answer({})

    output = [{"type": "message", "content": [{"type": "output_text", "text": "Yes"}]}]
    asked = {"input": [{"role": "user", "content": "Is water wet?"}]}

    @routes.post(
        "/verify",
        **example(
            {"responses_create_params": asked, "response": {"output": output}},
            {
                "responses_create_params": asked,
                "response": {"output": output},
                "reward": 1.2,
            },
        ),
    )
    async def verify(body: Verify) -> Response:
        """Reward a response for NeMo-Gym: the same body, with its reward."""
        params = CreateParams.model_validate(body.responses_create_params)
        response = ModelResponse.model_validate(body.response)
        done = await service.rewards([(params.prompt(), response.text())])
        answer = {
            **(body.model_extra or {}),
            "responses_create_params": body.responses_create_params,
            "response": body.response,
            "reward": done.rewards[0],
        }
        parts = service.components(done.scores)
        if parts:
            answer["reward_components"] = {k: v[0] for k, v in parts.items()}
        try:
            return json_answer(answer)
        except ValueError:
            # Python reads NaN in JSON, which is none.
            raise Refusal(422, "expected JSON without NaN or Infinity") from None

    history = asked["input"]

    @routes.post(
        "/compare",
        **example(
            {"conversation_history": history, "response_objs": [{"output": output}]},
            {"rewards": [1.2]},
        ),
    )
    async def compare(body: Compare) -> Response:
        """Reward a group of responses for NeMo-Gym, in their order."""
        prompt = [turn.message() for turn in body.conversation_history]
        texts: list[Text] = [(prompt, one.text()) for one in body.response_objs]
        done = await service.rewards(texts)
        return json_answer({"rewards": done.rewards})

    mean = {"mean/reward": 1.2}

    @routes.post(
        "/aggregate_metrics",
        **example(
            {"verify_responses": [{"_ng_task_index": 0, "reward": 1.2}]},
            {
                "group_level_metrics": [{"_ng_task_index": 0, **mean}],
                "agent_metrics": mean,
                "key_metrics": mean,
            },
        ),
    )
    async def aggregate_metrics(body: Rollouts) -> Response:
        """Sum up rollouts for NeMo-Gym: mean rewards, of all and by task."""
        every = _mean([one.reward for one in body.verify_responses])
        groups = [
            {"_ng_task_index": task, **_mean(rewards)}
            for task, rewards in body.by_task().items()
        ]
        return json_answer(
            {
                "group_level_metrics": groups,
                "agent_metrics": every,
                "key_metrics": every,
            }
        )


def _mean(rewards: list[float]) -> dict[str, float]:
    # Each is divided, so that no sum is infinite.
    n = len(rewards)
    return {"mean/reward": sum(reward / n for reward in rewards)} if n else {}
