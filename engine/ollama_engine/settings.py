"""Settings, resolved once: defaults < config.toml < OLLAMA_* environment < command line.

Each setting is one field of `Settings`, declared once with the environment variable that sets it; the keys of
config.toml are the field names. `settings_view` shows them with where each comes from, `config_file` writes the file.
Ollama's variables keep Ollama's meaning (its envconfig: values are trimmed of blanks
and quotes, an unparsable boolean is true).
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import platformdirs

from ollama_engine.durations import parse_env_keep_alive
from ollama_engine.errors import InvalidRequest
from ollama_engine.options import merge_options, parse_parameter

APP = "ollama-tui"
DEFAULT_PORT = 11434
REQUIRE_KEY = ("remote", "always", "never")

Source = Literal["default", "config.toml", "environment", "command line"]
"""Where the value of a setting comes from."""
Kind = Literal["address", "boolean", "duration", "integer", "list", "number", "path", "text"]
"""What a setting takes."""


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


def _flash_attention(value: str) -> bool | None:
    """Ollama's variable is a boolean; the words are llama.cpp's."""
    return {"auto": None, "on": True, "off": False}.get(value.lower(), _boolean(value))


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _load_timeout(value: str) -> float:
    seconds = parse_env_keep_alive(value)
    return math.inf if seconds <= 0 else seconds


def _setting(
    default: Any, env: str, parse: Callable[[str], Any], meaning: str, *, is_option: bool = False, secret: bool = False
) -> Any:
    """`is_option`: a default for the option of that name. `secret`: a value that is not to be shown."""
    metadata = {"env": env, "parse": parse, "meaning": meaning, "is_option": is_option, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


def _option(name: str, env: str, meaning: str, parse: Callable[[str], Any] | None = None) -> Any:
    """A setting that is the option `name` for all models; None where it says nothing. The value is what JSON has."""

    def checked(text: str) -> Any:
        value = parse_parameter(name, text)
        merge_options({name: value})
        return tuple(value) if isinstance(value, list) else value

    return _setting(None, env, parse or checked, meaning, is_option=True)


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
    queue_timeout: float = _setting(
        1800.0, "OLLAMA_QUEUE_TIMEOUT", _load_timeout, "how long a request may wait while no other's turn comes either"
    )
    context_length: int = _setting(0, "OLLAMA_CONTEXT_LENGTH", _count, "default num_ctx; 0: by model and memory")
    num_gpu: int | None = _option("num_gpu", "LLAMA_ARG_N_GPU_LAYERS", "layers on the GPU; auto, all, or a number")
    main_gpu: int | None = _option("main_gpu", "LLAMA_ARG_MAIN_GPU", "the GPU that models are loaded on, from 0")
    devices: tuple[str, ...] | None = _option("devices", "LLAMA_ARG_DEVICE", "devices to load on, by name")
    split_mode: str | None = _option("split_mode", "LLAMA_ARG_SPLIT_MODE", "over several GPUs: none, layer, row")
    tensor_split: tuple[float, ...] | None = _option("tensor_split", "LLAMA_ARG_TENSOR_SPLIT", "parts of GPUs, as 3,1")
    sched_spread: bool = _setting(False, "OLLAMA_SCHED_SPREAD", _boolean, "spread models over all GPUs")
    num_cpu_moe: int | None = _option("num_cpu_moe", "LLAMA_ARG_N_CPU_MOE", "layers whose experts stay in RAM; all")
    kv_cache_type: str | None = _option("kv_cache_type", "OLLAMA_KV_CACHE_TYPE", "KV cache type: f16, q8_0, q4_0")
    cache_type_k: str | None = _option("cache_type_k", "LLAMA_ARG_CACHE_TYPE_K", "the same for keys alone")
    cache_type_v: str | None = _option("cache_type_v", "LLAMA_ARG_CACHE_TYPE_V", "the same for values alone")
    kv_offload: bool | None = _option("kv_offload", "LLAMA_ARG_KV_OFFLOAD", "0: the KV cache stays in RAM", _boolean)
    flash_attention: bool | None = _option(
        "flash_attention", "OLLAMA_FLASH_ATTENTION", "1 on, 0 off, unset: where the device has it", _flash_attention
    )
    use_mmap: bool | None = _option("use_mmap", "LLAMA_ARG_MMAP", "1: map weights, 0: read them into memory", _boolean)
    use_mlock: bool | None = _option("use_mlock", "LLAMA_ARG_MLOCK", "1: lock weights in memory", _boolean)
    numa: str | None = _option("numa", "LLAMA_ARG_NUMA", "distribute, isolate or numactl")
    num_thread: int | None = _option("num_thread", "LLAMA_ARG_THREADS", "threads of a model; 0: one per core")
    num_thread_batch: int | None = _option("num_thread_batch", "LLAMA_ARG_THREADS_BATCH", "the same for prompts")
    num_ubatch: int | None = _option("num_ubatch", "LLAMA_ARG_UBATCH", "tokens that are computed at once")
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
    no_history: bool = _setting(False, "OLLAMA_NOHISTORY", _boolean, "keep no history of what is typed at `run`")
    editor: str = _setting("", "OLLAMA_EDITOR", _text, "editor of ctrl+g at `run`; without one VISUAL, EDITOR, or vi")
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
        values = {name: value for name, (value, _) in settings_found(environ, config_file).items()}
        values.update({key: value for key, value in overrides.items() if value is not None})
        settings = cls(**values)
        return replace(settings, models=settings.models.expanduser())

    @property
    def options(self) -> dict[str, Any]:
        """What holds for every model that says nothing else itself, nor the request: a layer for `merge_options`."""
        names = [setting.name for setting in fields(self) if setting.metadata["is_option"]]
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def settings_found(
    environ: Mapping[str, str] | None = None, config_file: Path | None = None
) -> dict[str, tuple[Any, Source]]:
    """What config.toml and the environment set: setting -> its value and where that comes from. InvalidRequest."""
    environ = os.environ if environ is None else environ
    found: dict[str, tuple[Any, Source]] = {
        key: (value, "config.toml") for key, value in _read_config(config_file or default_config_file()).items()
    }
    for setting in fields(Settings):
        name = setting.metadata["env"]
        text = variable(environ, name)
        if text:
            value = parse_setting(setting.name, text, f"environment variable {name}")
            found[setting.name] = (value, "environment")
    return found


def variable(environ: Mapping[str, str], name: str) -> str:
    """The value of an environment variable as Ollama reads it: without blanks and quotes around it."""
    return environ.get(name, "").strip().strip("\"'").strip()


def parse_setting(name: str, text: str, where: str) -> Any:
    """The value that `text` means for a setting. InvalidRequest, which names `where` it stands."""
    parse = next(setting.metadata["parse"] for setting in fields(Settings) if setting.name == name)
    try:
        return parse(text)
    except (ValueError, InvalidRequest) as error:
        hint = error.hint if isinstance(error, InvalidRequest) and error.hint else "Correct it or leave it out."
        raise InvalidRequest(f"bad value '{text}' for {where}: {error}", hint=hint) from error


def unknown_setting(key: str, path: Path) -> InvalidRequest:
    """The error for a key of config.toml that is no setting; its hint has the nearest one."""
    known = sorted(setting.name for setting in fields(Settings))
    # An environment variable's name is near, too, and a likely mistake.
    wanted = key.lower().removeprefix("ollama_")
    by_variable = {
        setting.metadata["env"].removeprefix("OLLAMA_").lower(): setting.name for setting in fields(Settings)
    }
    near = difflib.get_close_matches(wanted, [*known, *by_variable], n=1)
    hint = f"Did you mean '{by_variable.get(near[0], near[0])}'?" if near else f"Settings are: {', '.join(known)}."
    return InvalidRequest(f"unknown setting '{key}' in {path}", hint=hint)


def kind_of(setting: Field[Any]) -> Kind:
    """What a setting takes, in a word."""
    match setting.default:
        case _ if setting.metadata["parse"] in (parse_env_keep_alive, _load_timeout, _seconds):
            return "duration"
        case _ if setting.metadata["parse"] is _path:
            return "path"
        case _ if setting.metadata["parse"] in (_boolean, _optional_boolean):
            return "boolean"
        case HostAddress():
            return "address"
        case Path():
            return "path"
        case int():
            return "integer"
        case float():
            return "number"
        case tuple():
            return "list"
        case _:
            return "text"


def default_config_file() -> Path:
    return Path(platformdirs.user_config_dir(APP)) / "config.toml"


def read_table(name: str, config_file: Path | None = None) -> dict[str, Any]:
    """The table `[name]` of config.toml, unchecked; empty where there is none. InvalidRequest names the file."""
    path = config_file or default_config_file()
    table = read_toml(path).get(name, {})
    if not isinstance(table, dict):
        raise InvalidRequest(f"'{name}' in {path} is not a table", hint=f"Write it as [{name}].", path=path)
    return table


def read_toml(path: Path) -> dict[str, Any]:
    """What config.toml says, unchecked; empty where there is none. InvalidRequest names the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"cannot read settings from {path}: {error}"
        raise InvalidRequest(message, hint="Correct or remove the file.", path=path) from error


def _read_config(path: Path) -> dict[str, Any]:
    known = {setting.name for setting in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in read_toml(path).items():
        if isinstance(value, dict):
            continue  # tables belong to the faces of the engine, which check them themselves
        if key not in known:
            raise unknown_setting(key, path)
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        values[key] = parse_setting(key, text, f"setting '{key}' in {path}")
    return values
