"""What is known of one model, as text to read: facts, parameters, the words of its prompt, licence, metadata."""

from __future__ import annotations

from typing import Any

from textual.content import Content

from ollama_engine.types import ModelInfo, ModelSummary, Update
from ollama_tui import figures, suggestions
from ollama_tui.text import one_line, visible

_MOST_CHARACTERS = 100_000
"""Of one text: a licence or a template that is longer is cut."""
_VALUE_LENGTH = 120
LABEL = 14
"""Cells of what stands before a fact."""


def facts(model: ModelSummary, info: ModelInfo, update: Update | None) -> Content:
    known = info.details
    details = model.details
    table = {
        "architecture": known.family,
        "parameters": known.parameter_size,
        "quantization": known.quantization_level,
        "context": f"{details.context_length:,} tokens" if details.context_length else "",
        "embedding": f"{details.embedding_length:,}" if details.embedding_length else "",
        "size": figures.size(model.size),
        "capabilities": ", ".join(model.capabilities or info.capabilities),
        "made from": known.parent_model,
        "template": info.template_engine,
        "requires": info.requires,
        "modified": model.modified_at,
        "digest": model.digest.removeprefix("sha256:")[:12],
        "registry": _update(update),
    }
    lines = Content("\n").join(fact(name, value) for name, value in table.items() if value)
    if suggestions.is_toy(model.name):
        lines = Content.styled(f"{suggestions.TOY_NOTE}\n", "$warning") + lines
    return lines


def _update(update: Update | None) -> str:
    if update is None:
        return ""
    words = {"current": "the same", "newer": "has a newer one", "absent": "has none of this name"}
    return words.get(update.state) or f"could not be asked: {update.reason}"


def fact(name: str, value: str) -> Content:
    return Content.styled(f"{name:<{LABEL}}", "$muted") + Content(one_line(value))


def parameters(info: ModelInfo) -> Content:
    lines = [line.split(maxsplit=1) for line in info.parameters.splitlines() if line.strip()]
    if not lines:
        return nothing("no parameters of its own")
    width = max(LABEL, *(len(line[0]) + 2 for line in lines))
    return Content("\n").join(
        Content.styled(f"{one_line(line[0]):<{width}}", "$muted") + Content(one_line(" ".join(line[1:])))
        for line in lines
    )


def prompt(info: ModelInfo) -> Content:
    """System prompt, example messages, template: all that becomes words of the prompt."""
    messages = "\n".join(f"{message.role}: {message.content}" for message in info.messages or ())
    parts = (("System", info.system), ("Messages", messages), ("Template", info.template))
    shown = [Content.styled(f"{title}\n", "$primary bold") + _text(text) for title, text in parts if text.strip()]
    return Content("\n\n").join(shown) if shown else nothing("no system prompt and no template")


def license_text(info: ModelInfo) -> Content:
    return _text(info.license) if info.license.strip() else nothing("comes without a licence")


def metadata(info: ModelInfo) -> Content:
    table = info.model_info | {f"projector {key}": value for key, value in (info.projector_info or {}).items()}
    lines = [
        Content.styled(f"{one_line(str(key))} ", "$muted") + Content(_value(value))
        for key, value in sorted(table.items())
        if value is not None
    ]
    return Content("\n").join(lines) if lines else nothing("nothing in the header")


def nothing(text: str) -> Content:
    return Content.styled(text, "$muted")


def _text(text: str) -> Content:
    body = visible(text.strip())
    if len(body) <= _MOST_CHARACTERS:
        return Content(body)
    left_out = len(body) - _MOST_CHARACTERS
    return Content(body[:_MOST_CHARACTERS]) + nothing(f"\n… {left_out:,} more characters")


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value):,} values"
    text = one_line(str(value))
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}…"
