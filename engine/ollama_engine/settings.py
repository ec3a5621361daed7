"""Settings, resolved once: defaults < config.toml < OLLAMA_* environment < command line.

Each setting is one field of `Settings`, declared once with the environment variable that sets it; the keys of
config.toml are the field names. `settings_view` shows them with where each comes from, `config_file` writes the file.
`setting_values` reads them: Ollama's variables keep Ollama's meaning (its envconfig: values are trimmed of blanks and
quotes, an unparsable boolean is true).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import platformdirs

from ollama_engine import setting_values as take
from ollama_engine.choices import GLYPHS, KEYMAPS, REQUIRE_KEY, SSH
from ollama_engine.durations import parse_env_keep_alive
from ollama_engine.errors import InvalidRequest
from ollama_engine.host_address import DEFAULT_PORT as DEFAULT_PORT
from ollama_engine.host_address import HostAddress as HostAddress
from ollama_engine.options import merge_options, parse_parameter

APP = "ollama-tui"

Source = Literal["default", "config.toml", "environment", "command line"]
"""Where the value of a setting comes from."""
Kind = Literal["address", "boolean", "choice", "duration", "integer", "list", "number", "path", "text"]
"""What a setting takes."""


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


@dataclass(frozen=True)
class Settings:
    """One resolved view; build it with `Settings.resolve`."""

    host: HostAddress = _setting(
        HostAddress(), "OLLAMA_HOST", HostAddress.parse, "address the server binds and clients connect to"
    )
    models: Path = _setting(
        Path("~/.ollama/models"), "OLLAMA_MODELS", take.path, "root of the model store (Ollama's own layout)"
    )
    keep_alive: float = _setting(
        300.0, "OLLAMA_KEEP_ALIVE", parse_env_keep_alive, "how long an idle model stays in memory"
    )
    load_timeout: float = _setting(
        300.0, "OLLAMA_LOAD_TIMEOUT", take.load_timeout, "how long a load may make no progress"
    )
    max_loaded_models: int = _setting(
        0, "OLLAMA_MAX_LOADED_MODELS", take.count, "models in memory at once; 0: three per GPU, or three"
    )
    num_parallel: int = _setting(
        0, "OLLAMA_NUM_PARALLEL", take.count, "requests a model answers at once; 0: four where memory allows"
    )
    max_queue: int = _setting(512, "OLLAMA_MAX_QUEUE", take.count, "requests that may wait before 503")
    queue_timeout: float = _setting(
        1800.0,
        "OLLAMA_QUEUE_TIMEOUT",
        take.load_timeout,
        "how long a request may wait while no other's turn comes either",
    )
    context_length: int = _setting(0, "OLLAMA_CONTEXT_LENGTH", take.count, "default num_ctx; 0: by model and memory")
    num_gpu: int | None = _option("num_gpu", "LLAMA_ARG_N_GPU_LAYERS", "layers on the GPU; auto, all, or a number")
    main_gpu: int | None = _option("main_gpu", "LLAMA_ARG_MAIN_GPU", "the GPU that models are loaded on, from 0")
    devices: tuple[str, ...] | None = _option("devices", "LLAMA_ARG_DEVICE", "devices to load on, by name")
    split_mode: str | None = _option("split_mode", "LLAMA_ARG_SPLIT_MODE", "over several GPUs: none, layer, row")
    tensor_split: tuple[float, ...] | None = _option("tensor_split", "LLAMA_ARG_TENSOR_SPLIT", "parts of GPUs, as 3,1")
    sched_spread: bool = _setting(False, "OLLAMA_SCHED_SPREAD", take.boolean, "spread models over all GPUs")
    num_cpu_moe: int | None = _option("num_cpu_moe", "LLAMA_ARG_N_CPU_MOE", "layers whose experts stay in RAM; all")
    kv_cache_type: str | None = _option("kv_cache_type", "OLLAMA_KV_CACHE_TYPE", "KV cache type: f16, q8_0, q4_0")
    cache_type_k: str | None = _option("cache_type_k", "LLAMA_ARG_CACHE_TYPE_K", "the same for keys alone")
    cache_type_v: str | None = _option("cache_type_v", "LLAMA_ARG_CACHE_TYPE_V", "the same for values alone")
    kv_offload: bool | None = _option(
        "kv_offload", "LLAMA_ARG_KV_OFFLOAD", "0: the KV cache stays in RAM", take.boolean
    )
    flash_attention: bool | None = _option(
        "flash_attention", "OLLAMA_FLASH_ATTENTION", "1 on, 0 off, unset: where the device has it", take.flash_attention
    )
    use_mmap: bool | None = _option(
        "use_mmap", "LLAMA_ARG_MMAP", "1: map weights, 0: read them into memory", take.boolean
    )
    use_mlock: bool | None = _option("use_mlock", "LLAMA_ARG_MLOCK", "1: lock weights in memory", take.boolean)
    numa: str | None = _option("numa", "LLAMA_ARG_NUMA", "distribute, isolate or numactl")
    num_thread: int | None = _option("num_thread", "LLAMA_ARG_THREADS", "threads of a model; 0: one per core")
    num_thread_batch: int | None = _option("num_thread_batch", "LLAMA_ARG_THREADS_BATCH", "the same for prompts")
    num_ubatch: int | None = _option("num_ubatch", "LLAMA_ARG_UBATCH", "tokens that are computed at once")
    amx: bool = _setting(False, "OLLAMA_AMX", take.boolean, "use the matrix units (AMX) of recent Intel processors")
    origins: tuple[str, ...] = _setting((), "OLLAMA_ORIGINS", take.words, "further origins that browsers may call from")
    api_key: str = _setting(
        "", "OLLAMA_API_KEY", take.text, "the key that is sent to the server at OLLAMA_HOST", secret=True
    )
    require_key: str = _setting(
        "remote",
        "OLLAMA_REQUIRE_KEY",
        take.Choice(REQUIRE_KEY),
        "who needs a key; remote: all but loopback",
    )
    keys_file: Path | None = _setting(
        None, "OLLAMA_KEYS_FILE", take.path, "the server's keys, hashed; unset: keys.json in the config folder"
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (), "OLLAMA_TRUSTED_PROXIES", take.networks, "addresses of proxies whose X-Forwarded-For names the client"
    )
    tls_cert: Path | None = _setting(None, "OLLAMA_TLS_CERT", take.path, "the server's certificate and its chain, PEM")
    tls_key: Path | None = _setting(
        None, "OLLAMA_TLS_KEY", take.path, "its private key, PEM; unset: in the certificate's file"
    )
    max_connections: int = _setting(1000, "OLLAMA_MAX_CONNECTIONS", take.positive, "open connections before 503")
    client_timeout: float = _setting(
        60.0,
        "OLLAMA_CLIENT_TIMEOUT",
        take.seconds,
        "how long a client may take for a request's head, or be silent in it",
    )
    max_body: int = _setting(256 << 20, "OLLAMA_MAX_BODY", take.byte_count, "bytes of a request's JSON; 0: no limit")
    bandwidth: int = _setting(
        0,
        "OLLAMA_BANDWIDTH",
        take.byte_count,
        "bytes a second of all pulls; 0: as registry.bandwidth",
    )
    max_upload: int = _setting(0, "OLLAMA_MAX_UPLOAD", take.byte_count, "bytes of a blob; 0: what the disk holds")
    go_template: bool | None = _setting(
        None,
        "OLLAMA_GO_TEMPLATE",
        take.optional_boolean,
        "1: TEMPLATE layers speak, 0: the GGUF's chat template, unset: as the model says",
    )
    no_history: bool = _setting(False, "OLLAMA_NOHISTORY", take.boolean, "keep no history of what is typed at `run`")
    editor: str = _setting(
        "", "OLLAMA_EDITOR", take.text, "editor of ctrl+g at `run`; without one VISUAL, EDITOR, or vi"
    )
    no_prune: bool = _setting(False, "OLLAMA_NOPRUNE", take.boolean, "leave unused blobs when the server starts")
    debug: bool = _setting(False, "OLLAMA_DEBUG", take.boolean, "log more")
    theme: str = _setting("", "OLLAMA_TUI_THEME", take.text, "the workstation's colours; unset: as the terminal can")
    keymap: str = _setting(
        "default", "OLLAMA_TUI_KEYMAP", take.Choice(KEYMAPS), "its keys; keymap.toml in the config folder changes some"
    )
    glyphs: str = _setting(
        "unicode", "OLLAMA_TUI_GLYPHS", take.Choice(GLYPHS), "what bars, marks and frames are drawn with"
    )
    ssh: str = _setting(
        "auto", "OLLAMA_TUI_SSH", take.Choice(SSH), "spare the line; auto: where the terminal is on another machine"
    )
    mouse: bool = _setting(True, "OLLAMA_TUI_MOUSE", take.boolean, "0: the mouse stays the terminal's own")
    plain: bool = _setting(False, "OLLAMA_TUI_PLAIN", take.boolean, "no frames and no pictures, for screen readers")
    refresh: float = _setting(2.0, "OLLAMA_TUI_REFRESH", take.seconds, "how often PS asks what is in memory")
    tour: bool = _setting(
        True, "OLLAMA_TUI_TOUR", take.boolean, "1: begin in Chat with bard and three lines of help; once used, set to 0"
    )

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
        case _ if setting.metadata["parse"] in (parse_env_keep_alive, take.load_timeout, take.seconds):
            return "duration"
        case _ if setting.metadata["parse"] is take.path:
            return "path"
        case _ if setting.metadata["parse"] in (take.boolean, take.optional_boolean):
            return "boolean"
        case _ if isinstance(setting.metadata["parse"], take.Choice):
            return "choice"
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


def choices_of(setting: Field[Any]) -> tuple[str, ...]:
    """The words that a setting of kind `choice` takes; none for the others."""
    parse = setting.metadata["parse"]
    return parse.words if isinstance(parse, take.Choice) else ()


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
