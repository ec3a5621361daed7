"""Tool call ids for templates that insist on nine letters and digits (Mistral's refuse any other).

The same history always gives the same ids, so that a prompt's prefix stays what it was.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

LENGTH = 9
_SHORT = re.compile(rf"[A-Za-z0-9]{{{LENGTH}}}")


def short_ids(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`turns` with every call and every result named by nine letters and digits.

    A result without an id belongs to the first call before it that has no result yet.
    """
    open_calls: list[str] = []
    renamed: list[dict[str, Any]] = []
    for index, turn in enumerate(turns):
        calls = turn.get("tool_calls")
        if calls:
            named = [{**call, "id": _short(call.get("id") or f"{index}.{at}")} for at, call in enumerate(calls)]
            open_calls += [call["id"] for call in named]
            renamed.append({**turn, "tool_calls": named})
        elif turn.get("role") == "tool":
            given = turn.get("tool_call_id")
            name = _short(given) if given else (open_calls[0] if open_calls else _short(f"{index}"))
            if name in open_calls:
                open_calls.remove(name)
            renamed.append({**turn, "tool_call_id": name})
        else:
            renamed.append(turn)
    return renamed


def _short(name: Any) -> str:
    name = str(name)
    return name if _SHORT.fullmatch(name) else hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:LENGTH]
