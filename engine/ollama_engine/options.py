"""The `options` of a request and the PARAMETERs of a Modelfile: names, types, defaults (spec §1.11).

`Options` is the one table: a field's annotation is the option's type, its default the option's default. The
engine merges the layers (model, then request) with `merge_options`; the Modelfile compiler and the command
line's `/set parameter` read text with `parse_parameter`.
"""

from __future__ import annotations

import difflib
import logging
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct

from ollama_engine.errors import InvalidRequest

log = logging.getLogger(__name__)

Kind = Literal["integer", "float32", "boolean", "array", "numbers", "object"]
OptionValue = int | float | bool | list[str] | list[float]


class Options(Struct, frozen=True, kw_only=True):
    """How a model is loaded and how its tokens are chosen: every option, resolved."""

    # How the model is loaded: another value means another runner.
    num_ctx: int = 0  # 0: by model and memory
    num_batch: int = 512
    num_gpu: int = -1  # layers on the GPU; -1: as many as fit, 0: none
    main_gpu: int | None = None
    use_mmap: bool | None = None
    num_thread: int = 0  # 0: one per core
    draft_num_predict: int = 4
    adapter_scale: tuple[float, ...] = ()  # of each ADAPTER, in their order; 1 where none is said (ours)

    # How far generation goes.
    num_keep: int = 4
    num_predict: int = -1  # negative: until the model stops (see effective_num_predict)
    stop: tuple[str, ...] = ()

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
}
OPTION_KINDS: Mapping[str, Kind] = {
    name: _KIND_OF_ANNOTATION[annotation] for name, annotation in Options.__annotations__.items()
}
"""Option name -> the type that a JSON value must have, in Go's word for it."""

DEPRECATED = frozenset({"f16_kv", "logits_all", "low_vram", "penalize_newline", "use_mlock", "vocab_only"})
"""Options of older Ollamas: a Modelfile may still name them; they do nothing."""

MAX_BIAS = 100.0
"""What OpenAI's API allows; it decides over any logit that a model gives."""
_INT32 = 2**31 - 1
_FLOAT32_MAX = 3.4028234663852886e38
_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_FLOAT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?")
_TOKEN = re.compile(r"[0-9]{1,9}")
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def merge_options(*layers: Mapping[str, Any] | None) -> Options:
    """The options in force: the defaults, then each layer over what came before it.

    Values are taken as Go takes decoded JSON: an integer option accepts any number and cuts its fraction, null
    leaves the layer below, an unknown name is ignored (and logged at debug level).

    Raises:
        InvalidRequest: a value of the wrong type, or one that is no finite number.
    """
    values: dict[str, Any] = {}
    for layer in layers:
        for name, value in (layer or {}).items():
            if name not in OPTION_KINDS:
                log.debug("unknown option %r ignored", name)
            elif value is not None:
                values[name] = _coerce(name, value)
    return Options(**values)


def _coerce(name: str, value: Any) -> int | float | bool | tuple[str, ...] | tuple[float, ...] | dict[int, float]:
    match OPTION_KINDS[name]:
        case "object" if isinstance(value, dict):
            return dict(_bias(name, token, bias) for token, bias in value.items())
        case "boolean" if isinstance(value, bool):
            return value
        case "array" if isinstance(value, list | tuple):
            if not all(isinstance(item, str) for item in value):
                raise _wrong_type(name, "an array of strings")
            return tuple(value)
        case "numbers":
            numbers = value if isinstance(value, list | tuple) else [value]
            if not all(isinstance(item, int | float) and not isinstance(item, bool) for item in numbers):
                raise _wrong_type(name, "an array of numbers")
            return tuple(float(_number(name, "float32", item)) for item in numbers)
        case "integer" | "float32" as kind if isinstance(value, int | float) and not isinstance(value, bool):
            return _number(name, kind, value)
        case kind:
            raise _wrong_type(name, f"type {kind}")


def _number(name: str, kind: Literal["integer", "float32"], value: int | float) -> int | float:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f'option "{name}" must be a finite number', hint=f"Leave {name} out for its default.")
    if kind == "float32":
        if abs(value) > _FLOAT32_MAX:
            raise InvalidRequest(f'option "{name}" is too large', hint=f"Leave {name} out for its default.")
        return float(value)
    whole = int(value)
    if name == "seed":
        # llama.cpp's seed has 32 bits; a longer one still means the same seed every time.
        return whole if -(2**31) <= whole < 2**32 else whole % 2**32
    return max(-_INT32, min(whole, _INT32))


def _bias(name: str, token: Any, bias: Any) -> tuple[int, float]:
    """An entry of `logit_bias`: JSON has the token's number as text."""
    if not _TOKEN.fullmatch(str(token)):
        raise InvalidRequest(
            f'option "{name}" has the key {token!r}, which is no token', hint="Its keys are the numbers of tokens."
        )
    if isinstance(bias, bool) or not isinstance(bias, int | float) or not abs(bias) <= MAX_BIAS:
        raise InvalidRequest(
            f'option "{name}" has {bias!r} for token {token}',
            hint=f"A bias is a number from {-MAX_BIAS:.0f} to {MAX_BIAS:.0f}.",
        )
    return int(token), float(bias)


_EXAMPLES: Mapping[Kind, str] = {
    "object": '{"1734": -5}',
    "array": '["###"]',
    "numbers": "[0.5, 1]",
    "boolean": "true",
    "integer": "40",
    "float32": "0.5",
}


def _wrong_type(name: str, wanted: str) -> InvalidRequest:
    example = _EXAMPLES[OPTION_KINDS[name]]
    return InvalidRequest(f'option "{name}" must be of {wanted}', hint=f"For example {name}: {example}.")


class Deprecated(Struct, frozen=True):
    """What `parse_parameter` answers for a name that older Ollamas knew: drop it, show the warning."""

    name: str

    @property
    def warning(self) -> str:
        return f"warning: parameter {self.name} is deprecated"


def parse_parameter(name: str, text: str) -> OptionValue | Deprecated:
    """The value of `PARAMETER name text`; for `stop` and `adapter_scale` a list of one.

    Raises:
        InvalidRequest: an unknown name (the hint has the nearest one), or text that is not of its type.
    """
    if name in DEPRECATED:
        return Deprecated(name)
    match OPTION_KINDS.get(name):
        case "array":
            return [text]
        case "integer":
            if not _INTEGER.fullmatch(text):
                raise InvalidRequest(f"invalid int value [{text}]", hint=f"{name} takes a whole number.")
            return int(text)
        case "float32" | "numbers" as kind:
            if not _FLOAT.fullmatch(text) or abs(float(text)) > _FLOAT32_MAX:
                raise InvalidRequest(f"invalid float value [{text}]", hint=f"{name} takes a number such as 0.5.")
            return [float(text)] if kind == "numbers" else float(text)
        case "boolean":
            if text not in _BOOLEANS:
                raise InvalidRequest(f"invalid bool value [{text}]", hint=f"{name} takes true or false.")
            return _BOOLEANS[text]
        case "object":
            raise InvalidRequest(f"{name} is no PARAMETER", hint="A request says it, in its options.")
        case None:
            raise unknown_parameter(name)


def parse_parameters(pairs: Iterable[tuple[str, str]]) -> tuple[dict[str, OptionValue], list[str]]:
    """All PARAMETERs of a Modelfile: `(values, warnings)`. The last value of a name wins; lists
    (`stop`, `adapter_scale`) accumulate.

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
