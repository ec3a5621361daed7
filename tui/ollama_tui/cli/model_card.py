"""The sections that `show` prints: Model, Capabilities, Projector, Memory, Parameters, System, License, …"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ollama_engine.types import MemoryPlan, ModelInfo
from ollama_tui import format
from ollama_tui.cli.memory_plan import memory_rows

Rows = list[tuple[str, ...]]

_HEAD_LINES = 2
_LIST_CELLS = 40
"""How wide a metadata array may get before the rest of it is counted instead of shown."""


def card(info: ModelInfo, plan: MemoryPlan | None = None, *, verbose: bool = False) -> str:
    """All sections that have something to say, each with a blank line after it (spec §3)."""
    sections: list[tuple[str, Rows]] = [
        ("Model", _model(info)),
        ("Capabilities", [(capability,) for capability in info.capabilities]),
        ("Projector", _projector(info.projector_info or {})),
        ("Memory", memory_rows(plan) if plan else []),
        ("Parameters", [_parameter(line) for line in info.parameters.splitlines() if line.strip()]),
        ("Metadata", _metadata(info.model_info) if verbose else []),
        ("Tensors", _tensors(info) if verbose else []),
        ("System", _head(info.system)),
        ("License", _head(info.license)),
    ]
    return format.plain("".join(_section(heading, rows) for heading, rows in sections if rows))


def _section(heading: str, rows: Rows) -> str:
    return f"  {heading}\n{format.table(rows, indent='    ')}\n"


def _model(info: ModelInfo) -> Rows:
    facts, details = info.model_info, info.details
    architecture = str(facts.get("general.architecture") or details.family)
    return _present(
        ("architecture", architecture),
        ("parameters", _count(facts.get("general.parameter_count")) or details.parameter_size),
        ("context length", facts.get(f"{architecture}.context_length", details.context_length or None)),
        ("embedding length", facts.get(f"{architecture}.embedding_length", details.embedding_length or None)),
        ("quantization", details.quantization_level),
        ("requires", info.requires),
    )


def _projector(facts: dict[str, Any]) -> Rows:
    architecture = facts.get("general.architecture", "")
    return _present(
        ("architecture", architecture),
        ("parameters", _count(facts.get("general.parameter_count"))),
        ("embedding length", facts.get(f"{architecture}.vision.embedding_length")),
        ("dimensions", facts.get(f"{architecture}.vision.projection_dim")),
    )


def _present(*rows: tuple[str, object]) -> Rows:
    return [(label, str(value)) for label, value in rows if value not in (None, "")]


def _count(value: object) -> str:
    return format.parameter_count(value) if isinstance(value, int) and value > 0 else ""


def _parameter(line: str) -> tuple[str, ...]:
    name, _, value = line.strip().partition(" ")
    return (name, value.strip())


def _metadata(facts: dict[str, Any]) -> Rows:
    return [(key, _value(value)) for key, value in sorted(facts.items())]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _array(value)
    return str(value).replace("\n", "\\n")


def _array(values: Sequence[object]) -> str:
    shown: list[str] = []
    for value in values:
        text = _value(value)
        if shown and len(", ".join([*shown, text])) > _LIST_CELLS:
            return f"[{', '.join(shown)}, ...+{len(values) - len(shown)} more]"
        shown.append(text)
    return f"[{', '.join(shown)}]"


def _tensors(info: ModelInfo) -> Rows:
    return [(tensor.name, tensor.type, f"[{' '.join(map(str, tensor.shape))}]") for tensor in info.tensors or ()]


def _head(text: str) -> Rows:
    """The first lines that are not blank, and dots where there are more."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows: Rows = [(line,) for line in lines[:_HEAD_LINES]]
    return [*rows, ("...",)] if len(lines) > _HEAD_LINES else rows
