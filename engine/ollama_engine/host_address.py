"""`HostAddress`: where a server listens, or where a client finds it, as OLLAMA_HOST writes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

DEFAULT_PORT = 11434


@dataclass(frozen=True)
class HostAddress:
    """Where a server listens, or where a client finds it."""

    scheme: str = "http"
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    path: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def client(self) -> HostAddress:
        """The same address as a client must write it: one cannot connect to 0.0.0.0 or ::."""
        unspecified = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
        return replace(self, host=unspecified.get(self.host, self.host))

    @classmethod
    def parse(cls, text: str) -> HostAddress:
        """`[scheme://]host[:port][/path]` as OLLAMA_HOST takes it; a bad port falls back to the default."""
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "http", text
        default_port = {"http": 80, "https": 443}.get(scheme, DEFAULT_PORT) if separator else DEFAULT_PORT
        if rest == "ollama.com" and not separator:
            scheme, default_port = "https", 443
        split = urlsplit(f"//{rest}" if not _is_bare_ipv6(rest) else f"//[{rest}]")
        try:
            port = split.port
        except ValueError:
            port = None
        host = split.hostname or "127.0.0.1"
        return cls(scheme, host, port if port is not None else default_port, split.path.rstrip("/"))


def _is_bare_ipv6(text: str) -> bool:
    return text.count(":") > 1 and not text.startswith("[")
