"""What all routes answer with, and how their examples are shown."""

import uuid
from typing import Any

from fastapi import Response

from embrm.web.answers import as_json

USAGE = {"prompt_tokens": 0, "total_tokens": 0}
"""Tokens are not counted here; clients want the field."""

CHAT = (
    "<|im_start|>user\nName a fruit<|im_end|>\n"
    "<|im_start|>assistant\nAn apple<|im_end|>"
)
"""A text as trainers send it."""


def json_answer(content: Any) -> Response:
    """Answer with JSON."""
    return Response(as_json(content), media_type="application/json")


def new_id(kind: str) -> str:
    """Make an identifier for an answer."""
    return f"{kind}-{uuid.uuid4().hex}"


def example(request: Any, answer: Any) -> dict[str, Any]:
    """Describe a route by an example that works; the tests send each of them."""
    body = {"content": {"application/json": {"example": request}}}
    return {
        "openapi_extra": {"requestBody": body},
        "responses": {200: {"content": {"application/json": {"example": answer}}}},
    }
