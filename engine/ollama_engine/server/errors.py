"""What a failure looks like over HTTP: the error's status and words in the dialect of the path, never a traceback
(spec §0, §2.1, §2.8)."""

from __future__ import annotations

import logging
import math

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ollama_engine.errors import Busy, EngineError
from ollama_engine.server.anthropic.errors import anthropic_error
from ollama_engine.server.discretion import Discretion
from ollama_engine.server.encode import json_response
from ollama_engine.server.openai.errors import openai_error
from ollama_engine.server.security.authentication import KeyRequired

_DISCRETION = "ollama_engine.discretion"
_LOG = logging.getLogger("ollama_engine.server")


def error_object(error: EngineError) -> dict[str, str]:
    """`{"error": ..., "hint": ...}`; the hint, which Ollama does not have, only where there is one."""
    return {"error": error.message, "hint": error.hint} if error.hint else {"error": error.message}


def unexpected(error: Exception) -> EngineError:
    """An error that nobody raised on purpose, as the client may see it: the log has the rest."""
    _LOG.error("unexpected error while answering a request", exc_info=error)
    return EngineError("internal server error", hint="The server's log says more.")


def error_response(error: EngineError, path: str) -> Response:
    """The answer to a request for `path` that failed."""
    if path.startswith("/v1/messages"):
        body: object = anthropic_error(error)
    else:
        body = openai_error(error) if path.startswith("/v1/") else error_object(error)
    return json_response(body, error.status, _headers(error))


def _headers(error: EngineError) -> dict[str, str] | None:
    if isinstance(error, Busy):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after)))}
    return {"WWW-Authenticate": 'Bearer realm="ollama-tui"'} if isinstance(error, KeyRequired) else None


def http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals, in gin's words."""
    if not isinstance(error, HTTPException):
        raise error
    texts = {404: "404 page not found", 405: "405 method not allowed"}
    text = texts.get(error.status_code, f"{error.status_code} {error.detail}")
    return PlainTextResponse(text, error.status_code, headers=error.headers)


def discreet(error: EngineError, scope: Scope) -> EngineError:
    """`error` as the client of the request may see it."""
    discretion: Discretion | None = scope.get(_DISCRETION)
    return discretion.error(error) if discretion else error


class ErrorAnswers:
    """ASGI middleware: turns what an endpoint raises into an answer, where none has begun.

    Args:
        discretion: what errors must not tell; also of those inside an answer that has begun (`discreet`).
    """

    def __init__(self, app: ASGIApp, discretion: Discretion) -> None:
        self.app = app
        self.discretion = discretion

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope[_DISCRETION] = self.discretion
        started = False

        async def watching_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watching_send)
        except EngineError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - the last place where a client can still get an answer
            failure = unexpected(error)
        else:
            return
        if started:
            raise failure
        await error_response(discreet(failure, scope), scope["path"])(scope, receive, send)
