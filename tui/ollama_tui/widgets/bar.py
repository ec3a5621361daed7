"""A bar in one line of text: how much of a whole."""

from __future__ import annotations

from collections.abc import Sequence

FILLED, REST = "━", "─"


def bar(part: float, width: int) -> tuple[str, str]:
    """The filled cells and the others, `width` in all; a part above 0 shows at least one."""
    if width <= 0:
        return "", ""
    filled = min(width, max(int(part > 0), round(part * width)))
    return FILLED * filled, REST * (width - filled)


def divided(parts: Sequence[float], width: int) -> list[int]:
    """Cells for each of several parts of a whole (1.0) side by side; each above 0 has at least one, where they fit."""
    cells: list[int] = []
    reached = 0.0
    for part in parts:
        reached += part
        end = max(round(min(reached, 1.0) * width), sum(cells) + int(part > 0))
        cells.append(max(0, min(width, end) - sum(cells)))
    return cells
