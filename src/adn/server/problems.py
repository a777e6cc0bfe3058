"""Errors of the HTTP API: RFC 9457 problems, worded for users, never repeating what the client sent."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from adn.server.models import Problem
from adn.work.exits import debugging

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger(__name__)


class ProblemError(Exception):
    """An error to raise anywhere in a request; it becomes a problem response."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def response(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """A response that describes a problem."""
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(problem.model_dump(), status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turn every error of `app` into a problem response."""

    @app.exception_handler(ProblemError)
    async def _(request: Request, error: ProblemError) -> JSONResponse:
        return response(error.status, error.detail, error.headers)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> JSONResponse:
        return response(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> JSONResponse:
        places = sorted({" ".join(str(part) for part in one["loc"][:2]) for one in error.errors()})
        return response(422, f"The request does not fit the API's description: {', '.join(places)}.")

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> JSONResponse:
        route = getattr(request.scope.get("route"), "path", "unknown path")  # not the address: it is the client's
        log.error("%s %s: %s", request.method, route, type(error).__name__, exc_info=debugging())
        return response(500, f"Something went wrong unexpectedly ({type(error).__name__}); see the server's output.")


def documented(*statuses: int) -> dict[int | str, dict]:
    """What OpenAPI says about an operation's errors."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _REFERENCE}}}
        for status in statuses
    }


_REFERENCE = {"$ref": "#/components/schemas/Problem"}
