"""What every noun is made of, and how it becomes JSON."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

JSON = dict[str, Any]

KeepAlive = int | float | str | None
"""Seconds, or a Go duration (`"5m"`); negative never unloads, 0 unloads at once, None takes the default."""

Think = bool | str | None
"""`True`, `False`, or a level: `"low"`, `"medium"`, `"high"`, `"max"`."""

Capability = Literal["completion", "tools", "insert", "vision", "embedding", "thinking", "image", "audio"]

encode_json = msgspec.json.Encoder().encode
