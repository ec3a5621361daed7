"""Prompts and conversations to answer, and the answers, piece by piece."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from ollama_engine.types.base import JSON, KeepAlive, Think
from ollama_engine.types.messages import Message


class GenerateRequest(Struct, omit_defaults=True):
    """One prompt to continue. With `prompt` empty the model is loaded, or unloaded when `keep_alive` is 0."""

    model: str
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: list[int] | None = None
    stream: bool | None = None
    raw: bool = False
    format: Any = None
    keep_alive: KeepAlive | UnsetType = UNSET
    images: list[str] | None = None
    options: JSON | None = None
    think: Think = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = field(name="_debug_render_only", default=False)
    grammar: str = ""
    """GBNF that the answer keeps to, in the place of `format` (ours)."""


class ChatRequest(Struct, omit_defaults=True):
    """A conversation to answer. With `messages` empty the model is loaded, or unloaded when `keep_alive` is 0."""

    model: str
    messages: list[Message] = field(default_factory=list)
    stream: bool | None = None
    format: Any = None
    keep_alive: KeepAlive | UnsetType = UNSET
    tools: list[JSON] | None = None
    options: JSON | None = None
    think: Think = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = field(name="_debug_render_only", default=False)
    grammar: str = ""
    """As GenerateRequest's."""
    tool_choice: Any = None
    """Ours, in OpenAI's shape: `none`, `auto`, `required`, or the one tool that must be called, as
    `{"type": "function", "function": {"name": NAME}}`. None is `auto`."""
    parallel_tool_calls: bool | None = None
    """False: at most one call (ours)."""
    template: str = ""
    """A Go template in the place of the model's, as GenerateRequest's (ours)."""


class TokenLogprob(Struct, omit_defaults=True, kw_only=True):
    """A token and the natural logarithm of its probability. `bytes` are exact, also where they are part of a character;
    `token` is those bytes as text, with U+FFFD for what is no character."""

    token: str
    logprob: float
    bytes: list[int] | None = field(default_factory=list)


class Logprob(TokenLogprob, omit_defaults=True, kw_only=True):
    """A token of the answer, with the likeliest tokens in its place where `top_logprobs` asked for them."""

    top_logprobs: list[TokenLogprob] | None = None


class DebugInfo(Struct, omit_defaults=True):
    rendered_template: str
    image_count: int = 0


class GenerateChunk(Struct, omit_defaults=True, kw_only=True):
    """A piece of an answer. The last one has `done` true, a `done_reason` and the metrics.

    `prompt_eval_count` counts the whole prompt, tokens served from the prefix cache included.
    """

    model: str
    created_at: str
    response: str
    thinking: str = ""
    done: bool
    done_reason: str = ""
    tokens: int = 1
    """How many tokens the text of this chunk took (ours; left out when it is one)."""
    context: list[int] | None = None
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    debug_info: DebugInfo | None = field(name="_debug_info", default=None)
    logprobs: list[Logprob] | None = None
    cached_tokens: int = 0
    """How many tokens of the prompt were in the prefix cache already (ours, on the last chunk)."""
    stop_sequence: str = ""
    """The stop string that ended the answer, if one did (ours, on the last chunk)."""
    truncated_tokens: int = 0
    """How many tokens were cut out of a prompt longer than the context (ours, on the last chunk)."""
    notices: list[str] = field(default_factory=list)
    """What was done otherwise than asked: a smaller context or fewer layers on the GPU, for lack of memory (ours, on
    the last chunk)."""


class ChatChunk(Struct, omit_defaults=True, kw_only=True):
    """A piece of an answer. `message.content` is the new text only; the last one is as GenerateChunk's."""

    model: str
    created_at: str
    message: Message
    done: bool
    done_reason: str = ""
    tokens: int = 1
    """As GenerateChunk's."""
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    debug_info: DebugInfo | None = field(name="_debug_info", default=None)
    logprobs: list[Logprob] | None = None
    cached_tokens: int = 0
    """As GenerateChunk's."""
    stop_sequence: str = ""
    """As GenerateChunk's."""
    dropped_messages: int = 0
    """How many of the oldest messages were left out so that the rest fits the context (ours, on the last chunk)."""
    truncated_tokens: int = 0
    """As GenerateChunk's."""
    notices: list[str] = field(default_factory=list)
    """As GenerateChunk's."""
