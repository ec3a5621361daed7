"""`/openapi.json` and `/docs`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ollama_engine.server.description.document import openapi
from ollama_engine.server.description.page import page
from ollama_engine.server.encode import json_response
from ollama_engine.server.operations import Body
from ollama_engine.server.routing import ExactRoute, Table
from ollama_engine.types import JSON

OURS = Table("ollama-tui")
_NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy: the page loads nothing and runs nothing."""


class Description:
    """Describes `routes` and its own two, when first asked."""

    def __init__(self, routes: Sequence[ExactRoute]) -> None:
        self.routes = [
            *routes,
            OURS("GET", "/openapi.json", self._openapi, "This API, as an OpenAPI document", gives=JSON),
            OURS("GET", "/docs", self._page, "This API, as a page", gives=Body(str, "text/html")),
        ]

    @cached_property
    def document(self) -> JSON:
        return openapi(self.routes)

    @cached_property
    def page(self) -> str:
        return page(self.document)

    async def _openapi(self, request: Request) -> Response:
        return json_response(self.document)

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(self.page, headers={"Content-Security-Policy": _NOTHING_ELSE})
