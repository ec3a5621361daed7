"""Reads server-sent events, for tests of the dialects that stream them."""

from __future__ import annotations

import json
from typing import Any


def events(text: str) -> list[tuple[str, Any]]:
    """Each event's name ("" without one) and data: JSON decoded, anything else as text."""
    found: list[tuple[str, Any]] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields:
            data = fields["data"]
            found.append((fields.get("event", ""), json.loads(data) if data.startswith("{") else data))
    assert text.endswith("\n\n")
    return found


def chunks(text: str) -> list[Any]:
    """The objects of an OpenAI stream, which [DONE] must end."""
    *data, done = [data for _, data in events(text)]
    assert done == "[DONE]"
    return data
