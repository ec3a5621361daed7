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
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ollama_engine.engine import Engine
from ollama_engine.keys import Keyring
from ollama_engine.server.anthropic.routes import anthropic_routes
from ollama_engine.server.callers import NameCallers
from ollama_engine.server.description.routes import Description
from ollama_engine.server.discretion import Discretion
from ollama_engine.server.drain import Drain, DrainRequests
from ollama_engine.server.errors import ErrorAnswers, http_exception
from ollama_engine.server.metrics.engine import metered
from ollama_engine.server.metrics.meters import Meters
from ollama_engine.server.metrics.middleware import CountRequests
from ollama_engine.server.metrics.routes import metrics_routes
from ollama_engine.server.native.routes import native_routes
from ollama_engine.server.openai.routes import openai_routes
from ollama_engine.server.routing import ExactRoute
from ollama_engine.server.security.addresses import is_loopback
from ollama_engine.server.security.authentication import Authenticate, RememberPeer
from ollama_engine.server.security.cors import CORS
from ollama_engine.server.security.host_rule import HostRule
from ollama_engine.server.security.limits import BodyLimits
from ollama_engine.settings import Settings


def create_app(engine: Engine, settings: Settings, *, drain: Drain | None = None, terminal_pass: str = "") -> Starlette:
    """The app for a server bound to `settings.host`.

    Args:
        engine: what does the work; the caller opens and closes it.
        drain: shared with whoever ends the server, `serve.py`; the app makes its own where nobody does.
        terminal_pass: what terminals show that go before others (terminal_pass.py).
    """
    meters = Meters()
    app = Starlette(
        routes=_routes(engine, meters),
        middleware=[
            Middleware(CountRequests, meters=meters),
            *_middleware(settings, drain or Drain(), terminal_pass),
        ],
        exception_handlers={HTTPException: http_exception},
    )
    app.router.redirect_slashes = False
    app.router.default = _no_route(app)
    return app


def _middleware(settings: Settings, drain: Drain, terminal_pass: str) -> list[Middleware]:
    discretion = Discretion.of(settings)
    middleware = [
        Middleware(ErrorAnswers, discretion=discretion),
        Middleware(DrainRequests, drain=drain),
        Middleware(CORS, origins=settings.origins),
        # Again: what is raised further in must become an answer inside CORS, or a browser cannot read it.
        Middleware(ErrorAnswers, discretion=discretion),
        Middleware(RememberPeer),
    ]
    if settings.trusted_proxies:
        middleware.append(Middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies)))
    middleware.append(Middleware(Authenticate, keys=Keyring.of(settings), require_key=settings.require_key))
    middleware.append(Middleware(NameCallers, terminal_pass=terminal_pass))
    # Who says that anybody from anywhere may ask anything cannot be asked for a list of the server's names, too.
    if settings.require_key != "never" or is_loopback(settings.host.host):
        middleware.append(Middleware(HostRule))
    middleware.append(Middleware(BodyLimits, max_body=settings.max_body, max_upload=settings.max_upload))
    return middleware


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
