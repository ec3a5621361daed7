"""Settings, resolved once: defaults < config.toml < OLLAMA_* environment < command line.

Each setting is one field of `Settings`, declared once with the environment variable that sets it; the keys of
config.toml are the field names. Ollama's variables keep Ollama's meaning (its envconfig: values are trimmed of blanks
and quotes, an unparsable boolean is true).
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from ollama_engine.durations import parse_env_keep_alive
from ollama_engine.errors import InvalidRequest

APP = "ollama-tui"
DEFAULT_PORT = 11434
REQUIRE_KEY = ("remote", "always", "never")


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


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    return Path(value).expanduser()


def _count(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(f"{value} is negative")
    return number


def _positive(value: str) -> int:
    if not (number := _count(value)):
        raise ValueError("it is at least 1")
    return number


def _boolean(value: str) -> bool:
    """Go's ParseBool, where anything else that is not empty counts as true."""
    return value.lower() not in {"0", "f", "false"}


def _optional_boolean(value: str) -> bool | None:
    return _boolean(value)


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _load_timeout(value: str) -> float:
    seconds = parse_env_keep_alive(value)
    return math.inf if seconds <= 0 else seconds


_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_BYTES = re.compile(r"(\d{1,18})\s*([KMGT]?)(i?B)?", re.IGNORECASE)


def _bytes(value: str) -> int:
    """A number of bytes; `K`, `M`, `G` and `T` are powers of 1024."""
    match = _BYTES.fullmatch(value)
    if match is None:
        raise ValueError("a number of bytes is written as 1000000, 64M or 1G")
    return int(match[1]) << _UNITS[match[2].upper()]


def _seconds(value: str) -> float:
    seconds = parse_env_keep_alive(value)
    if not 0 < seconds < math.inf:
        raise ValueError("a time is written as 30, 90s or 2m")
    return seconds


def _require_key(value: str) -> str:
    if value.lower() not in REQUIRE_KEY:
        raise ValueError(f"it is one of {', '.join(REQUIRE_KEY)}")
    return value.lower()


def _networks(value: str) -> tuple[str, ...]:
    for word in _words(value):
        ipaddress.ip_network(word)
    return _words(value)


def _setting(default: Any, env: str, parse: Callable[[str], Any], meaning: str, *, secret: bool = False) -> Any:
    """`secret`: a value that is not to be shown."""
    metadata = {"env": env, "parse": parse, "meaning": meaning, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """One resolved view; build it with `Settings.resolve`."""

    host: HostAddress = _setting(
        HostAddress(), "OLLAMA_HOST", HostAddress.parse, "address the server binds and clients connect to"
    )
    models: Path = _setting(
        Path("~/.ollama/models"), "OLLAMA_MODELS", _path, "root of the model store (Ollama's own layout)"
    )
    keep_alive: float = _setting(
        300.0, "OLLAMA_KEEP_ALIVE", parse_env_keep_alive, "how long an idle model stays in memory"
    )
    load_timeout: float = _setting(300.0, "OLLAMA_LOAD_TIMEOUT", _load_timeout, "how long a load may make no progress")
    max_loaded_models: int = _setting(
        0, "OLLAMA_MAX_LOADED_MODELS", _count, "models in memory at once; 0: three per GPU, or three"
    )
    num_parallel: int = _setting(
        0, "OLLAMA_NUM_PARALLEL", _count, "requests a model answers at once; 0: four where memory allows"
    )
    max_queue: int = _setting(512, "OLLAMA_MAX_QUEUE", _count, "requests that may wait before 503")
    context_length: int = _setting(0, "OLLAMA_CONTEXT_LENGTH", _count, "default num_ctx; 0: by model and memory")
    kv_cache_type: str = _setting("", "OLLAMA_KV_CACHE_TYPE", _text, "KV cache type: f16, q8_0, q4_0")
    flash_attention: bool | None = _setting(
        None, "OLLAMA_FLASH_ATTENTION", _optional_boolean, "1 on, 0 off, unset: where the device has it"
    )
    amx: bool = _setting(False, "OLLAMA_AMX", _boolean, "use the matrix units (AMX) of recent Intel processors")
    origins: tuple[str, ...] = _setting((), "OLLAMA_ORIGINS", _words, "further origins that browsers may call from")
    api_key: str = _setting(
        "", "OLLAMA_API_KEY", _text, "the key that is sent to the server at OLLAMA_HOST", secret=True
    )
    require_key: str = _setting(
        "remote", "OLLAMA_REQUIRE_KEY", _require_key, "who needs a key: remote (all but loopback), always, never"
    )
    keys_file: Path | None = _setting(
        None, "OLLAMA_KEYS_FILE", _path, "the server's keys, hashed; unset: keys.json in the config folder"
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (), "OLLAMA_TRUSTED_PROXIES", _networks, "addresses of proxies whose X-Forwarded-For names the client"
    )
    tls_cert: Path | None = _setting(None, "OLLAMA_TLS_CERT", _path, "the server's certificate and its chain, PEM")
    tls_key: Path | None = _setting(
        None, "OLLAMA_TLS_KEY", _path, "its private key, PEM; unset: in the certificate's file"
    )
    max_connections: int = _setting(1000, "OLLAMA_MAX_CONNECTIONS", _positive, "open connections before 503")
    client_timeout: float = _setting(
        60.0, "OLLAMA_CLIENT_TIMEOUT", _seconds, "how long a client may take for a request's head, or be silent in it"
    )
    max_body: int = _setting(256 << 20, "OLLAMA_MAX_BODY", _bytes, "bytes of a request's JSON; 0: no limit")
    max_upload: int = _setting(0, "OLLAMA_MAX_UPLOAD", _bytes, "bytes of a blob; 0: what the disk holds")
    go_template: bool | None = _setting(
        None,
        "OLLAMA_GO_TEMPLATE",
        _optional_boolean,
        "1: TEMPLATE layers speak, 0: the GGUF's chat template, unset: as the model says",
    )
    no_prune: bool = _setting(False, "OLLAMA_NOPRUNE", _boolean, "leave unused blobs when the server starts")
    debug: bool = _setting(False, "OLLAMA_DEBUG", _boolean, "log more")

    @classmethod
    def resolve(
        cls,
        *,
        environ: Mapping[str, str] | None = None,
        config_file: Path | None = None,
        **overrides: Any,
    ) -> Settings:
        """Read config.toml and the environment, then apply `overrides` (None means not given).

        Raises:
            InvalidRequest: naming the key, and the file or variable that holds it.
        """
        environ = os.environ if environ is None else environ
        values = _read_config(config_file or default_config_file())
        for setting in fields(cls):
            name = setting.metadata["env"]
            text = environ.get(name, "").strip().strip("\"'").strip()
            if text:
                values[setting.name] = _parse(setting.metadata["parse"], text, f"environment variable {name}")
        values.update({key: value for key, value in overrides.items() if value is not None})
        settings = cls(**values)
        return replace(settings, models=settings.models.expanduser())


def default_config_file() -> Path:
    return Path(platformdirs.user_config_dir(APP)) / "config.toml"


def read_table(name: str, config_file: Path | None = None) -> dict[str, Any]:
    """The table `[name]` of config.toml, unchecked; empty where there is none. InvalidRequest names the file."""
    path = config_file or default_config_file()
    table = _read_toml(path).get(name, {})
    if not isinstance(table, dict):
        raise InvalidRequest(f"'{name}' in {path} is not a table", hint=f"Write it as [{name}].", path=path)
    return table


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"cannot read settings from {path}: {error}"
        raise InvalidRequest(message, hint="Correct or remove the file.", path=path) from error


def _read_config(path: Path) -> dict[str, Any]:
    table = _read_toml(path)
    known = {setting.name: setting for setting in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            continue  # tables belong to the faces of the engine, which check them themselves
        if key not in known:
            raise InvalidRequest(
                f"unknown setting '{key}' in {path}", hint=f"Settings are: {', '.join(sorted(known))}."
            )
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        values[key] = _parse(known[key].metadata["parse"], text, f"setting '{key}' in {path}")
    return values


def _parse(parse: Callable[[str], Any], text: str, where: str) -> Any:
    try:
        return parse(text)
    except (ValueError, InvalidRequest) as error:
        raise InvalidRequest(f"bad value '{text}' for {where}: {error}", hint="Correct it or leave it out.") from error
