"""What `/api/show` makes of the `system` and `options` that a request brings along (spec §1.7): they stand in the
Modelfile that it shows, as they would in one saved from the session they are of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ollama_engine.types import JSON, ModelInfo

_SYSTEM = re.compile(r'^SYSTEM (?:"""(?:.|\n)*?"""|.*)\n?', re.MULTILINE)


def overlaid(info: ModelInfo, system: str, options: JSON | None) -> ModelInfo:
    """`info` with another system text, and with PARAMETERs in the place of its own."""
    modelfile = info.modelfile
    if system:
        modelfile = _appended(_SYSTEM.sub("", modelfile), [f"SYSTEM {_quoted(system)}"])
    for name, value in (options or {}).items():
        modelfile = re.sub(rf"^PARAMETER {re.escape(name)} .*\n?", "", modelfile, flags=re.MULTILINE)
        values = value if isinstance(value, list) else [value]
        modelfile = _appended(modelfile, (f"PARAMETER {name} {_written(each)}" for each in values))
    return msgspec.structs.replace(info, modelfile=modelfile, system=system or info.system)


def _appended(text: str, lines: Iterable[str]) -> str:
    return "".join((text if text.endswith("\n") or not text else f"{text}\n", *(f"{line}\n" for line in lines)))


def _written(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else msgspec.json.encode(value).decode()


def _quoted(text: str) -> str:
    return f'"""{text}"""' if "\n" in text or '"' in text else f'"{text}"' if text != text.strip() else text
