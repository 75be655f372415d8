"""Handlers that turn errors of an app into answers in the form its callers read."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from embrm.exceptions import EmbrmError
from embrm.web.answers import Refusal, as_json, describe_validation, error_content


def add_error_handlers(app: FastAPI) -> None:
    """Answer errors in the form that the route's callers read."""

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, Refusal):
            return _answer(request, error.status, error.message, error.headers)
        return _answer(request, 422, str(error))

    async def invalid(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError | ValidationError):
            raise error
        errors = _errors_of(error)
        words = describe_validation(errors)
        kind = request.headers.get("content-type", "")
        if request.method == "POST" and "json" not in kind:
            words = "send the header Content-Type: application/json; " + words
        too_long = any(one.get("type") == "too_long" for one in errors)
        return _answer(request, 413 if too_long else 422, words)

    async def failed(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        return _answer(request, error.status_code, str(error.detail)[:200])

    async def broken(request: Request, _: Exception) -> Response:
        return _answer(request, 500, "internal error; the log says where")

    app.add_exception_handler(Exception, broken)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(EmbrmError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ValidationError, invalid)
    app.add_exception_handler(HTTPException, failed)


def _errors_of(error: RequestValidationError | ValidationError) -> list[Any]:
    return list(error.errors())


def _answer(
    request: Request, status: int, message: str, headers: dict[str, str] | None = None
) -> Response:
    content = as_json(error_content(request.url.path, status, message))
    return Response(content, status, headers, media_type="application/json")
