"""How to reach registries: what the user set for all of them, and for each (config.toml, table `registry`).

[registry]
connections = 8
bandwidth = 0                       # bytes a second; 0: no limit

[registry.hosts."registry.example.org"]
mirror = "https://mirror.lan"       # ask here instead
username = "ann"                    # basic auth, or for the token exchange
password = "..."
token = "..."                       # sent as a bearer token instead
ca_file = "/etc/ssl/lan.pem"        # trusted besides the system's
insecure = false                    # plain http
realms = ["auth.example.org"]       # further hosts that may hand out its tokens
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from ollama_engine.errors import InvalidRequest

HUGGING_FACE_HOSTS = ("hf.co", "huggingface.co")

Count = Annotated[int, Meta(ge=1, le=256)]
Seconds = Annotated[float, Meta(gt=0)]


class HostConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is set for one registry. Empty means not set."""

    mirror: str = ""
    username: str = ""
    password: str = ""
    token: str = ""
    ca_file: str = ""
    insecure: bool = False
    realms: tuple[str, ...] = ()


class RegistryConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of all transfers together, and the settings of each registry by its host (`host` or `host:port`).

    `connections` is the budget of all transfers; `bandwidth` in bytes a second, 0 for no limit; `stall` the
    seconds without a byte after which a connection is replaced; `attempts` how often in a row without progress
    something is tried; `backoff` the seconds before the second attempt, doubled for each further one.
    """

    key_file: Path = field(default_factory=lambda: Path.home() / ".ollama" / "id_ed25519")
    hosts: dict[str, HostConfig] = field(default_factory=dict)
    connections: Count = 8
    bandwidth: Annotated[int, Meta(ge=0)] = 0
    stall: Seconds = 30.0
    attempts: Count = 6
    backoff: Seconds = 1.0

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, where: str = "config.toml") -> RegistryConfig:
        """The settings in the table `registry` of a configuration file; InvalidRequest names what is wrong."""
        try:
            return msgspec.convert(dict(table), cls)
        except msgspec.ValidationError as error:
            message = f"bad [registry] settings in {where}: {error}"
            raise InvalidRequest(message, hint="Correct the file.", path=Path(where)) from error

    def host(self, host: str, environ: Mapping[str, str] | None = None) -> HostConfig:
        """What is set for a host; for Hugging Face with the token that its own tools would use."""
        aliases = HUGGING_FACE_HOSTS if host.lower() in HUGGING_FACE_HOSTS else ()
        found = next((self.hosts[name] for name in (host.lower(), *aliases) if name in self.hosts), HostConfig())
        if aliases and not found.token:
            token = hugging_face_token(os.environ if environ is None else environ)
            return msgspec.structs.replace(found, token=token)
        return found


def hugging_face_token(environ: Mapping[str, str]) -> str:
    """The token from HF_TOKEN, or the one that `hf auth login` stored; empty where there is none."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := environ.get(name, "").strip():
            return token
    cache = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = environ.get("HF_HOME") or Path(cache) / "huggingface"
    path = Path(environ.get("HF_TOKEN_PATH") or Path(folder) / "token")
    try:
        return path.read_text(encoding="ascii").strip() if path.stat().st_size < 1024 else ""
    except (OSError, UnicodeDecodeError):
        return ""
