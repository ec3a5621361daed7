"""The ASGI app: Ollama's API, OpenAI's and Anthropic's in front of an Engine. `serve.py` runs it; tests call it
through httpx."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from ollama_engine.engine import Engine
from ollama_engine.server.anthropic.routes import anthropic_routes
from ollama_engine.server.description.routes import Description
from ollama_engine.server.drain import Drain, DrainRequests
from ollama_engine.server.errors import ErrorAnswers, http_exception
from ollama_engine.server.metrics.engine import metered
from ollama_engine.server.metrics.meters import Meters
from ollama_engine.server.metrics.middleware import CountRequests
from ollama_engine.server.metrics.routes import metrics_routes
from ollama_engine.server.native.routes import native_routes
from ollama_engine.server.openai.routes import openai_routes
from ollama_engine.server.routing import ExactRoute
from ollama_engine.server.security import CORS, HostRule, is_loopback
from ollama_engine.settings import Settings


def create_app(engine: Engine, settings: Settings, *, drain: Drain | None = None) -> Starlette:
    """The app for a server bound to `settings.host`.

    Args:
        engine: what does the work; the caller opens and closes it.
        drain: shared with whoever ends the server, `serve.py`; the app makes its own where nobody does.
    """
    meters = Meters()
    middleware = [
        Middleware(CountRequests, meters=meters),
        Middleware(ErrorAnswers),
        Middleware(DrainRequests, drain=drain or Drain()),
        Middleware(CORS, origins=settings.origins),
    ]
    if is_loopback(settings.host.host):
        middleware.append(Middleware(HostRule))
    # Innermost again: what an endpoint raises must become an answer inside CORS, or a browser cannot read it.
    middleware.append(Middleware(ErrorAnswers))
    app = Starlette(
        routes=_routes(engine, meters),
        middleware=middleware,
        exception_handlers={HTTPException: http_exception},
    )
    app.router.redirect_slashes = False
    app.router.default = _no_route(app)
    return app


def _routes(engine: Engine, meters: Meters) -> Sequence[ExactRoute]:
    counted = metered(engine, meters)
    routes = [
        *native_routes(counted),
        *openai_routes(counted),
        *anthropic_routes(counted),
        *metrics_routes(engine, meters),
    ]
    return Description(routes).routes


def _no_route(app: Starlette) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Gin's answer to a path it does not know: the path with, or without, a trailing slash; else 404."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        other = path[:-1] if path.endswith("/") else f"{path}/"
        if any(route.matches({**scope, "path": other})[0] is Match.FULL for route in app.routes):
            query = scope["query_string"].decode("latin-1")
            location = f"{other}?{query}" if query else other
            status = 301 if scope["method"] == "GET" else 307
            response: Response = Response(status_code=status, headers={"Location": location})
        else:
            response = PlainTextResponse("404 page not found", 404)
        await response(scope, receive, send)

    return answer
