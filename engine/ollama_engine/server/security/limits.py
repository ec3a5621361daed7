"""How much a body may hold, as ASGI middleware: counted as it comes, whatever its Content-Length says."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ollama_engine.errors import TooLarge
from ollama_engine.server.compressed import MAX_UNPACKED

SMALL = 1 << 20
"""Bytes of a request that only names things."""

_SMALL_PATHS = ("/api/show", "/api/copy", "/api/delete", "/api/pull", "/api/push", "/api/updates")
_UPLOADS = "/api/blobs/"


class BodyLimits:
    """Raises TooLarge where a body is announced, or turns out, to hold more than its endpoint takes.

    Args:
        max_body: bytes of a body of JSON; 0: no limit.
        max_upload: bytes of a blob; 0: no limit.
    """

    def __init__(self, app: ASGIApp, *, max_body: int, max_upload: int) -> None:
        self.app = app
        self.max_body = max_body
        self.max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._limit(scope) if scope["type"] == "http" else 0
        if not limit:
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isascii() and announced.isdigit() and (len(announced) > 18 or int(announced) > limit):
            raise _too_large(limit)
        received = 0

        async def receive_bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
            return message

        await self.app(scope, receive_bounded, send)

    def _limit(self, scope: Scope) -> int:
        path: str = scope["path"]
        if path.startswith(_UPLOADS):
            return self.max_upload
        limit = SMALL if path.startswith(_SMALL_PATHS) else self.max_body
        if Headers(scope=scope).get("content-encoding", "identity").lower() not in ("", "identity"):
            limit = min(limit or MAX_UNPACKED, MAX_UNPACKED)
        return limit


def _too_large(limit: int) -> TooLarge:
    shown = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes"
    return TooLarge("request body too large", hint=f"Here it may hold {shown}.")
