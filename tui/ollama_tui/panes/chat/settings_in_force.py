"""What holds for the answers of a conversation, setting by setting, and who says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ollama_engine.errors import InvalidRequest
from ollama_engine.options import BOTH_CACHE_TYPES, Options, asked_for, parse_parameters
from ollama_engine.types import ModelInfo
from ollama_tui.chats import ChatSettings

Source = Literal["conversation", "model", "settings", "default", ""]
_DEFAULTS = Options()
_NOTHING_SAID = {"stop": "none", "ignore_eos": "false", "numa": "off", BOTH_CACHE_TYPES: ""}
"""What it means that nobody says anything; with other options it is left to the engine."""


@dataclass(frozen=True)
class Held:
    """A value in words; `source` is "" while it is not known what the model says."""

    value: str
    source: Source


@dataclass(frozen=True)
class Layers:
    """What a conversation's own settings lie on. `model` is None while it is not known."""

    engine_options: Mapping[str, Any] = field(default_factory=dict)
    model: ModelInfo | None = None


def in_force(name: str, chosen: ChatSettings, layers: Layers) -> Held:
    """`name` is an option, or a field of the settings of a conversation."""
    match name:
        case "system" | "template":
            return _text(name, getattr(chosen, name), layers.model)
        case "think":
            return _think(chosen, layers.model)
        case "format":
            if chosen.format is None:
                return Held("free text", "default")
            return Held("json" if chosen.format == "json" else json.dumps(chosen.format), "conversation")
        case "tools":
            names = ", ".join(map(tool_name, chosen.tools))
            return Held(names, "conversation") if names else Held("none", "default")
        case _:
            return _option(name, chosen, layers)


def _text(name: str, own: str, model: ModelInfo | None) -> Held:
    if own:
        return Held(own, "conversation")
    if model is None:
        return Held("…", "")
    of_model: str = getattr(model, name)
    return Held(of_model, "model") if of_model else Held("none", "default")


def _think(chosen: ChatSettings, model: ModelInfo | None) -> Held:
    if chosen.think is not None:
        switch = {True: "on", False: "off"}
        return Held(switch[chosen.think] if isinstance(chosen.think, bool) else chosen.think, "conversation")
    cannot = model is not None and "thinking" not in model.capabilities
    return Held("this model does not think" if cannot else "as the model does", "model")


def _option(name: str, chosen: ChatSettings, layers: Layers) -> Held:
    said, found = _said(name, chosen.options)
    if found:
        return Held(in_words(said), "conversation")
    if layers.model is None:
        return Held("…", "")
    said, found = _said(name, model_options(layers.model))
    if found:
        return Held(in_words(said), "model")
    said, found = _said(name, layers.engine_options)
    if found:
        return Held(in_words(said), "settings")
    default = getattr(_DEFAULTS, name, None)
    if name not in asked_for(_DEFAULTS, {name: default}):
        return Held(_NOTHING_SAID.get(name, "automatic"), "default")
    return Held(in_words(default), "default")


def _said(name: str, options: Mapping[str, Any]) -> tuple[Any, bool]:
    if name not in options and name in ("cache_type_k", "cache_type_v"):
        name = BOTH_CACHE_TYPES
    return options.get(name), name in options


def model_options(model: ModelInfo) -> dict[str, Any]:
    """The PARAMETERs that a model has of its own. What this program does not know is left out."""
    options: dict[str, Any] = {}
    for line in model.parameters.splitlines():
        name, _, text = line.strip().partition(" ")
        try:
            values, _warnings = parse_parameters([(name, _unquoted(text.strip()))])
        except InvalidRequest:
            continue
        for key, value in values.items():
            before = options.get(key)
            options[key] = [*before, *value] if isinstance(value, list) and isinstance(before, list) else value
    return options


def _unquoted(text: str) -> str:
    """A string as Go quotes it, which JSON reads but for escapes of control characters."""
    if not text.startswith('"'):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text[1:-1]


def tool_name(tool: Mapping[str, Any]) -> str:
    """ "" where a tool has none."""
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else ""
    return name if isinstance(name, str) else ""


def in_words(value: Any) -> str:
    """The value of an option as one writes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
