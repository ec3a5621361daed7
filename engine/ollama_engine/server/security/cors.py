"""Which web pages may reach the API (spec §0.1), as ASGI middleware. It runs before keys are asked for, since a
preflight carries none. Better than Ollama: `:*` stands for a port and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOCAL_ORIGINS = (
    *(
        f"{scheme}://{host}{port}"
        for scheme in ("http", "https")
        for host in ("localhost", "127.0.0.1", "0.0.0.0")
        for port in ("", ":*")
    ),
    *(f"{scheme}://*" for scheme in ("app", "file", "tauri", "vscode-webview", "vscode-file")),
)
_METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_STAINLESS = (
    *("arch", "async", "custom-poll-interval", "helper-method", "lang", "os", "package-version", "poll-helper"),
    *("retry-count", "runtime", "runtime-version", "timeout"),
)
_HEADERS = ",".join(
    (
        *("Authorization", "Content-Type", "User-Agent", "Accept", "X-Requested-With", "OpenAI-Beta"),
        # What Anthropic's client sends from a browser; the rest of the list is Ollama's.
        *("x-api-key", "anthropic-version", "anthropic-beta", "anthropic-dangerous-direct-browser-access"),
        *(f"x-stainless-{name}" for name in _STAINLESS),
    )
)
_MAX_AGE = str(12 * 60 * 60)


class CORS:
    """Answers preflights and refuses pages of other origins (403, empty body), whatever the method.

    Args:
        origins: OLLAMA_ORIGINS; local pages and desktop shells are allowed beside them. `*` stands for any text,
            and alone for every origin.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self.app = app
        self.allow_all = "*" in origins
        self.allowed = re.compile("|".join(_pattern(origin) for origin in (*origins, *_LOCAL_ORIGINS)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        host = headers.get("host", "")
        if scope["type"] != "http" or not origin or origin in (f"http://{host}", f"https://{host}"):
            await self.app(scope, receive, send)
        elif not self.allow_all and not self.allowed.fullmatch(origin.lower()):
            await Response(status_code=403)(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=self._preflight(origin))(scope, receive, send)
        else:
            await self.app(scope, receive, self._marking(send, origin))

    def _preflight(self, origin: str) -> dict[str, str]:
        headers = {
            "Access-Control-Allow-Origin": "*" if self.allow_all else origin,
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _HEADERS,
            "Access-Control-Max-Age": _MAX_AGE,
        }
        if not self.allow_all:
            headers["Vary"] = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        return headers

    def _marking(self, send: Send, origin: str) -> Send:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = "*" if self.allow_all else origin
                if not self.allow_all:
                    headers.add_vary_header("Origin")
            await send(message)

        return send_marked


def _pattern(origin: str) -> str:
    text = origin.lower()
    if text.endswith(":*"):
        return re.escape(text[:-1]) + r"\d{1,5}"
    return ".*".join(map(re.escape, text.split("*")))
