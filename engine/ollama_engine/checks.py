"""What a chat or generate request may ask of a model, checked in Ollama's words (spec §1.3, §1.4)."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import UNSET, UnsetType

from ollama_engine.durations import parse_keep_alive
from ollama_engine.errors import InvalidRequest
from ollama_engine.types import ChatRequest, GenerateRequest, KeepAlive, Think

THINK_LEVELS = ("high", "medium", "low", "max")
MAX_TOP_LOGPROBS = 20


def keep_alive_seconds(value: KeepAlive | UnsetType) -> float | None:
    """Seconds, math.inf for ever; None where the request leaves it open."""
    return None if value is None or value is UNSET else parse_keep_alive(value)


def think_of(request: ChatRequest | GenerateRequest, capabilities: Collection[str]) -> Think:
    """What the template is told: a model that can think does, unless the request says otherwise."""
    think = request.think
    if isinstance(think, str) and think not in THINK_LEVELS:
        raise InvalidRequest(f'invalid think value: "{think}" (must be "high", "medium", "low", "max", true, or false)')
    if "thinking" in capabilities:
        return True if think is None else think
    if think:
        raise InvalidRequest(f'"{request.model}" does not support thinking')
    return None


def check_logprobs(request: ChatRequest | GenerateRequest) -> None:
    if not 0 <= request.top_logprobs <= MAX_TOP_LOGPROBS:
        raise InvalidRequest("top_logprobs must be between 0 and 20")


def check_chat(request: ChatRequest, capabilities: Collection[str], full_name: str) -> None:
    _require("completion" in capabilities, f'"{request.model}" does not support chat')
    _require(not request.tools or "tools" in capabilities, f"{full_name} does not support tools")


def check_generate(request: GenerateRequest, capabilities: Collection[str], full_name: str) -> None:
    _require(
        not (request.raw and (request.template or request.system or request.context)),
        "raw mode does not support template, system, or context",
    )
    _require("completion" in capabilities, f'"{request.model}" does not support generate')
    _require(not request.suffix or "insert" in capabilities, f"{full_name} does not support insert")
    # An answer that ignored what it was asked to look at would be false.
    _require(request.raw or not (request.suffix and request.images), "images cannot stand around a suffix's hole")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvalidRequest(otherwise)
