"""What a key of scope `inference` is good for: a table of endpoints.

Everything else needs `admin`, so that an endpoint that nobody has thought about here is not open.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType
from starlette.types import Scope

from ollama_engine.durations import parse_keep_alive
from ollama_engine.errors import Forbidden
from ollama_engine.server.security.authentication import OPEN_PATHS
from ollama_engine.server.security.clients import client_of
from ollama_engine.types import KeepAlive

INFERENCE = frozenset(
    (
        ("GET", "/api/version"),
        ("GET", "/api/status"),
        ("GET", "/api/tags"),
        ("GET", "/api/ps"),
        ("GET", "/api/devices"),
        ("GET", "/api/pulls"),
        ("GET", "/api/pulls/limits"),
        # Their own; which those are the endpoint knows.
        ("GET", "/api/requests"),
        ("DELETE", "/api/requests/{id}"),
        # Ollama's accounts, which are not here.
        ("POST", "/api/me"),
        ("POST", "/api/signout"),
        ("DELETE", "/api/user/keys/{key}"),
        ("POST", "/api/experimental/web_search"),
        ("POST", "/api/experimental/web_fetch"),
        ("GET", "/api/experimental/model-recommendations"),
        ("GET", "/metrics"),
        ("POST", "/api/show"),
        ("POST", "/api/plan"),
        ("POST", "/api/layers"),
        ("POST", "/api/generate"),
        ("POST", "/api/chat"),
        ("POST", "/api/embed"),
        ("POST", "/api/embeddings"),
        ("POST", "/api/rerank"),
        ("POST", "/api/tokenize"),
        ("POST", "/api/detokenize"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/responses"),
        # Its id is known to nobody but who has been given it.
        ("GET", "/v1/responses/{id}"),
        ("DELETE", "/v1/responses/{id}"),
        ("POST", "/v1/rerank"),
        ("POST", "/v1/reranking"),
        ("POST", "/v1/audio/transcriptions"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{model:name}"),
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
    )
)
"""Method and path of a route; GET stands for HEAD, too."""


def check_permission(scope: Scope, path: str) -> None:
    """Forbidden where the client may not call the endpoint at `path`, a route's pattern."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    if path not in OPEN_PATHS and (method, path) not in INFERENCE:
        require_admin(scope, f"{scope['method']} {path}")


def require_admin(scope: Scope, what: str) -> None:
    """Forbidden, which says `what` cannot be done, where the client is no administrator."""
    client = client_of(scope)
    if client.is_admin:
        return
    held = f"the key '{client.key.name}' is" if client.key else "without a key a client is"
    raise Forbidden(
        f"access denied: {held} for inference only, not for {what}",
        hint="Use a key that 'ollama-tui key new --scope admin' made.",
    )


def check_unload(scope: Scope, keep_alive: KeepAlive | UnsetType, *, idle: bool) -> None:
    """Forbidden where a request that asks for nothing (`idle`) would end a model that others may be using."""
    if idle and keep_alive is not None and keep_alive is not UNSET and parse_keep_alive(keep_alive) == 0:
        require_admin(scope, "unloading a model")
