"""A table as aligned columns: as wide as their words, narrowed and wrapped where there is no room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markdown_it.token import Token
from textual.content import Content

from ollama_tui.panes.chat.markdown.wrap import wrap

GAP = Content.styled(" │ ", "$border-blurred")
NARROWEST = 4


def draw_table(tokens: Sequence[Token], width: int, inline: Callable[[Token], Content]) -> list[Content]:
    """The lines of the tokens from `table_open` to `table_close`."""
    rows: list[list[Content]] = []
    alignments: list[str] = []
    for index, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append(inline(tokens[index + 1]))
            if len(rows) == 1:
                alignments.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
    if not rows or not rows[0]:
        return []
    widths = _fit([_widest(row[column] for row in rows) for column in range(len(rows[0]))], width)
    header = [cell.stylize_before("bold") for cell in rows[0]]
    rule = Content.styled("─┼─".join("─" * one for one in widths), "$border-blurred")
    body = [line for row in rows[1:] for line in _row(row, widths, alignments)]
    return [*_row(header, widths, alignments), rule, *body]


def _widest(cells: Iterable[Content]) -> int:
    return max(line.cell_length for cell in cells for line in cell.split(allow_blank=True))


def _fit(wanted: list[int], width: int) -> list[int]:
    """Column widths that fit: the widest give first."""
    room = max(width - GAP.cell_length * (len(wanted) - 1), NARROWEST * len(wanted))
    widths = [max(1, one) for one in wanted]
    while sum(widths) > room:
        widest = max(widths)
        next_widest = max((one for one in widths if one < widest), default=NARROWEST)
        of_them = [index for index, one in enumerate(widths) if one == widest]
        over = sum(widths) - room
        step = max(1, min(widest - next_widest, over // len(of_them) or 1))
        if widest - step < NARROWEST and widest <= NARROWEST:
            break
        for index in of_them[: over if step == 1 else len(of_them)]:
            widths[index] = max(NARROWEST, widest - step)
    return widths


def _row(cells: Sequence[Content], widths: Sequence[int], alignments: Sequence[str]) -> list[Content]:
    wrapped = [wrap(cell, width) for cell, width in zip(cells, widths, strict=False)]
    height = max((len(lines) for lines in wrapped), default=0)
    return [
        GAP.join(
            _aligned(lines[y] if y < len(lines) else Content(""), width, alignment)
            for lines, width, alignment in zip(wrapped, widths, alignments, strict=False)
        ).rstrip()
        for y in range(height)
    ]


def _aligned(cell: Content, width: int, alignment: str) -> Content:
    left = max(0, width - cell.cell_length)
    if alignment == "right":
        return cell.pad_left(left)
    if alignment == "center":
        return cell.pad(left // 2, left - left // 2)
    return cell.pad_right(left)
