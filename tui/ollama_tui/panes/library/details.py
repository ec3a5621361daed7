"""What is known of one model, as text to read: facts, parameters, system prompt, template, licence, metadata."""

from __future__ import annotations

from typing import Any

from textual.content import Content

from ollama_engine.types import ModelInfo, ModelSummary
from ollama_tui import figures, suggestions
from ollama_tui.text import one_line, visible

_SECTION_LINES = 24
_VALUE_LENGTH = 120


def details(model: ModelSummary, info: ModelInfo | None) -> Content:
    """The whole page; what only `show` knows is left out until it has answered (`info` None)."""
    parts = [Content.styled(one_line(model.name), "$accent bold")]
    if suggestions.is_toy(model.name):
        parts.append(Content.styled(suggestions.TOY_NOTE, "$warning"))
    parts.append(_facts(model, info))
    if info is None:
        parts.append(Content.styled("reading…", "$muted"))
        return Content("\n\n").join(parts)
    sections = (
        ("Parameters", info.parameters),
        ("System", info.system),
        ("Template", info.template),
        ("License", info.license),
    )
    parts += [_section(title, text) for title, text in sections if text.strip()]
    if info.model_info:
        parts.append(_metadata(info.model_info))
    return Content("\n\n").join(parts)


def _facts(model: ModelSummary, info: ModelInfo | None) -> Content:
    known = info.details if info is not None else model.details
    facts = {
        "architecture": known.family,
        "parameters": known.parameter_size,
        "quantization": known.quantization_level,
        "context": f"{model.details.context_length:,} tokens" if model.details.context_length else "",
        "embedding": f"{model.details.embedding_length:,}" if model.details.embedding_length else "",
        "size": figures.size(model.size),
        "capabilities": ", ".join(model.capabilities or (info.capabilities if info else ())),
        "made from": known.parent_model,
        "digest": model.digest.removeprefix("sha256:")[:12],
    }
    return Content("\n").join(_fact(name, value) for name, value in facts.items() if value)


def _fact(name: str, value: str) -> Content:
    return Content.styled(f"{name:<14}", "$muted") + Content(one_line(value))


def _section(title: str, text: str) -> Content:
    lines = visible(text.strip()).splitlines()
    shown = lines[:_SECTION_LINES]
    body = Content("\n".join(shown))
    if len(lines) > len(shown):
        body += Content.styled(f"\n… {len(lines) - len(shown)} more lines", "$muted")
    return Content.styled(f"{title}\n", "$primary bold") + body


def _metadata(table: dict[str, Any]) -> Content:
    lines = [
        Content.styled(f"{one_line(str(key))} ", "$muted") + Content(_value(value))
        for key, value in sorted(table.items())
        if value is not None
    ]
    return Content.styled("Metadata\n", "$primary bold") + Content("\n").join(lines)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value):,} values"
    text = one_line(str(value))
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}…"
