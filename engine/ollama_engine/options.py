"""The `options` of a request and the PARAMETERs of a Modelfile: names, types, defaults (spec §1.11).

`Options` is the one table: a field's annotation is the option's type, its default the option's default. The
engine merges the layers (settings, then model, then request) with `merge_options`; the Modelfile compiler and the
command line's `/set parameter` read text with `parse_parameter`. How single values are read is option_values.py's.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args

from msgspec import Struct

from ollama_engine.errors import InvalidRequest
from ollama_engine.option_values import Kind, Value, Words, from_json, from_text

log = logging.getLogger(__name__)

OptionValue = int | float | bool | str | list[str] | list[float]
Names = tuple[str, ...]
SplitMode = Literal["", "none", "layer", "row"]
Numa = Literal["", "distribute", "isolate", "numactl"]
CacheType = Literal["", "f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
Switch = bool | None
"""On, off, or left to llama.cpp."""


class Options(Struct, frozen=True, kw_only=True):
    """How a model is loaded and how its tokens are chosen: every option, resolved."""

    # How the model is loaded: another value means another runner. What leaves the choice to us is each one's default.
    num_ctx: int = 0  # 0: by model and memory
    num_batch: int = 512
    num_ubatch: int = 0  # tokens computed at once; 0: 512 (ours)
    num_gpu: int = -1  # layers on the GPU; -1: as many as fit, 0: none
    main_gpu: int | None = None  # of `devices`, counted from 0
    devices: Names = ()  # as ggml calls them; none: all there are (ours, as all that follows)
    split_mode: SplitMode = ""  # over several devices; "": none where there is a main_gpu, else layer
    tensor_split: tuple[float, ...] = ()  # parts of the devices, in their order
    num_cpu_moe: int | None = None  # layers whose experts stay in RAM; negative: all
    cache_type_k: CacheType = ""  # "": f16
    cache_type_v: CacheType = ""
    kv_offload: bool | None = None  # false: the KV cache stays in RAM
    flash_attention: Switch = None
    use_mmap: bool | None = None
    use_mlock: bool | None = None
    numa: Numa = ""
    num_thread: int = 0  # 0: one per core that others leave free
    num_thread_batch: int = 0  # for prompts; 0: num_thread
    draft_num_predict: int = 4
    adapter_scale: tuple[float, ...] = ()  # of each ADAPTER, in their order; 1 where none is said (ours)

    # How far generation goes.
    num_keep: int = 4
    num_predict: int = -1  # negative: until the model stops (see effective_num_predict)
    stop: tuple[str, ...] = ()
    ignore_eos: bool | None = None  # true: no end token is chosen, so that only num_predict or a stop ends it (ours)

    # How a token is chosen.
    seed: int = -1  # -1: another one each time
    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0

    logit_bias: dict[int, float] = {}  # token -> what is added to its logit (ours, as OpenAI's)

    # llama.cpp's further samplers, which Ollama does not offer; each is off by default.
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0


_KIND_OF_ANNOTATION: Mapping[str, Kind] = {
    "int": "integer",
    "int | None": "integer",
    "float": "float32",
    "bool | None": "boolean",
    "tuple[str, ...]": "array",
    "tuple[float, ...]": "numbers",
    "dict[int, float]": "object",
    "Names": "names",
    "SplitMode": "word",
    "Numa": "word",
    "CacheType": "word",
    "Switch": "word",
}
BOTH_CACHE_TYPES = "kv_cache_type"
"""An option that says `cache_type_k` and `cache_type_v` at once; either of them, beside it, goes before it."""
OPTION_KINDS: Mapping[str, Kind] = {
    **{name: _KIND_OF_ANNOTATION[annotation] for name, annotation in Options.__annotations__.items()},
    BOTH_CACHE_TYPES: "word",
}
"""Option name -> what its value is."""

_CACHE_TYPES: Words = {kind: kind for kind in get_args(CacheType) if kind}
_WORDS: Mapping[str, Words] = {
    "num_gpu": {"auto": -1, "all": 999},
    "num_cpu_moe": {"all": -1},
    "split_mode": {mode: mode for mode in get_args(SplitMode) if mode},
    "numa": {"off": "", "on": "distribute", **{how: how for how in get_args(Numa) if how}},
    "cache_type_k": _CACHE_TYPES,
    "cache_type_v": _CACHE_TYPES,
    BOTH_CACHE_TYPES: _CACHE_TYPES,
    "flash_attention": {"auto": None, "on": True, "off": False},
}

MAX_THREADS = 512
"""GGML_MAX_N_THREADS (ggml.h)."""
MAX_DEVICES = 16
"""llama_max_devices()."""

DEPRECATED = frozenset({"f16_kv", "logits_all", "low_vram", "penalize_newline", "vocab_only"})
"""Options of older Ollamas: a Modelfile may still name them; they do nothing."""


def merge_options(*layers: Mapping[str, Any] | None) -> Options:
    """The options in force: the defaults, then each layer over what came before it.

    Values are taken as Go takes decoded JSON: an integer option accepts any number and cuts its fraction, null
    leaves the layer below, an unknown name is ignored (and logged at debug level).

    Raises:
        InvalidRequest: a value of the wrong type, or one that is no finite number or makes no sense.
    """
    values: dict[str, Any] = {}
    for layer in layers:
        for name, value in _spoken(layer):
            if name not in OPTION_KINDS:
                log.debug("unknown option %r ignored", name)
                continue
            value = from_json(name, OPTION_KINDS[name], _WORDS.get(name, {}), value)
            _check_range(name, value)
            values |= {"cache_type_k": value, "cache_type_v": value} if name == BOTH_CACHE_TYPES else {name: value}
    return Options(**values)


def asked_for(options: Options, *layers: Mapping[str, Any] | None) -> frozenset[str]:
    """Names of options that the layers really say something with; one set to what leaves the choice to us is none.

    Args:
        options: the layers, merged.
    """
    names = {name for layer in layers for name, _ in _spoken(layer)}
    if BOTH_CACHE_TYPES in names:
        names |= {"cache_type_k", "cache_type_v"}
    return frozenset(name for name in names & set(Options.__struct_fields__) if not _is_left_to_us(name, options))


def _spoken(layer: Mapping[str, Any] | None) -> Iterator[tuple[str, Any]]:
    """What a layer says; the option that says two at once comes first, so that either of them goes before it."""
    said = [(name, value) for name, value in (layer or {}).items() if value is not None]
    yield from sorted(said, key=lambda pair: pair[0] != BOTH_CACHE_TYPES)


def _is_left_to_us(name: str, options: Options) -> bool:
    value = getattr(options, name)
    if name == "num_gpu":
        return value < 0
    return value in (None, "", ()) or (
        name in ("num_ctx", "num_ubatch", "num_thread", "num_thread_batch") and not value
    )


def _check_range(name: str, value: Value) -> None:
    match name, value:
        case (("num_thread" | "num_thread_batch"), int()) if value > MAX_THREADS:
            raise InvalidRequest(f'option "{name}" is {value}', hint=f"llama.cpp takes {MAX_THREADS} threads at most.")
        case "main_gpu", int() if value < 0:
            raise InvalidRequest(f'option "{name}" is {value}', hint="Devices are counted from 0.")
        case "num_ubatch", int() if value < 0:
            raise InvalidRequest(f'option "{name}" is {value}', hint="It is a number of tokens, such as 512.")
        case "tensor_split", tuple() if len(value) > MAX_DEVICES or any(isinstance(n, str) or n < 0 for n in value):
            raise InvalidRequest(
                f'option "{name}" cannot be {list(value)}',
                hint=f"It has the part of each device, as 3,1: up to {MAX_DEVICES} numbers from 0 on.",
            )
        case _:
            pass


class Deprecated(Struct, frozen=True):
    """What `parse_parameter` answers for a name that older Ollamas knew: drop it, show the warning."""

    name: str

    @property
    def warning(self) -> str:
        return f"warning: parameter {self.name} is deprecated"


def parse_parameter(name: str, text: str) -> OptionValue | Deprecated:
    """The value of `PARAMETER name text`; a list for the options that have several values (`stop`, `devices` …).

    Raises:
        InvalidRequest: an unknown name (the hint has the nearest one), or text that is not of its type.
    """
    if name in DEPRECATED:
        return Deprecated(name)
    kind = OPTION_KINDS.get(name)
    if kind is None:
        raise unknown_parameter(name)
    return from_text(name, kind, _WORDS.get(name, {}), text)


def words_of(name: str) -> tuple[str, ...]:
    """The words that an option may have for its value; none where it takes numbers or any text."""
    if OPTION_KINDS.get(name) == "boolean":
        return ("true", "false")
    return tuple(_WORDS.get(name, ()))


def parse_parameters(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, OptionValue], list[str]]:
    """All PARAMETERs of a Modelfile: `(values, warnings)`. The last value of a name wins; lists
    (`stop`, `adapter_scale`, `devices`, `tensor_split`) accumulate.

    Raises:
        InvalidRequest: as `parse_parameter`.
    """
    values: dict[str, OptionValue] = {}
    warnings: list[str] = []
    for name, text in pairs:
        value = parse_parameter(name, text)
        if isinstance(value, Deprecated):
            warnings.append(value.warning)
        elif isinstance(value, list):
            before = values.get(name)
            values[name] = [*before, *value] if isinstance(before, list) else value  # pyright: ignore[reportArgumentType]
        else:
            values[name] = value
    return values, warnings


def unknown_parameter(name: str) -> InvalidRequest:
    """The error for a PARAMETER that is none; its hint has the nearest one."""
    near = difflib.get_close_matches(name.lower(), OPTION_KINDS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Parameters are: {', '.join(sorted(OPTION_KINDS))}."
    return InvalidRequest(f"unknown parameter '{name}'", hint=hint)


def effective_num_predict(options: Options, num_ctx: int) -> int:
    """How many tokens at most an answer may have; no limit, or one past it, means ten contexts (spec §1.11).

    Args:
        num_ctx: the context that the request runs in, tokens.
    """
    most = 10 * num_ctx
    return options.num_predict if 0 <= options.num_predict <= most else most
