"""What belongs to a message beside its words: the thought before it, tools that it calls, what they gave, files."""

from __future__ import annotations

import json

from textual.content import Content

from ollama_tui import figures
from ollama_tui.chats import Attachment, StoredMessage, ToolCall
from ollama_tui.panes.chat.markdown.code import draw_code
from ollama_tui.panes.chat.markdown.plain import draw_plain
from ollama_tui.panes.chat.markdown.wrap import fill
from ollama_tui.text import one_line, visible

RESULT_LINES = 4
"""Of a tool's result this many are shown while it is folded."""


def heading(model: str, branch: tuple[int, int]) -> Content:
    """Who answers, and which of several answers this is: `bard:latest ‹2/3›`."""
    name = Content.styled(one_line(model), "bold $muted")
    place, count = branch
    return name + Content.styled(f" ‹{place}/{count}›", "$accent") if count > 1 else name


def thought_line(thinking: str, nanoseconds: int, *, under_way: bool, unfolded: bool) -> Content:
    """`▸ thought for 3.2 s`: the thought is folded under it."""
    mark = "▾" if unfolded else "▸"
    passed = figures.seconds(nanoseconds / 1e9) if nanoseconds else ""
    if under_way:
        said = "thinking…" + (f" {passed}" if passed else "")
    else:
        said = f"thought for {passed}" if passed else "thought"
    return Content.styled(f"{mark} {said} · {len(thinking.split())} words", "$muted")


def call_lines(calls: tuple[ToolCall, ...], width: int, *, unfolded: bool) -> list[Content]:
    """A card for each call: one line, or its arguments in full."""
    lines: list[Content] = []
    for call in calls:
        head = Content.styled("⚒ ", "$accent") + Content.styled(one_line(call.name), "bold")
        if unfolded:
            pretty = _pretty(call.arguments)
            lines += [head, *draw_code(pretty, "json" if pretty != call.arguments else "", width)]
        else:
            lines.append((head + Content.styled(f" {_brief(call.arguments)}", "$muted")).truncate(width, ellipsis=True))
    return lines


def result_lines(message: StoredMessage, width: int, *, unfolded: bool) -> list[Content]:
    """What a tool gave, on a card of its own."""
    body: list[Content] = []
    for line in visible(_pretty(message.content)).expandtabs(4).split("\n"):
        body += draw_plain(line, width - 4)
        if not unfolded and len(body) > RESULT_LINES:
            break
    more = len(body) > RESULT_LINES and not unfolded
    head = Content.styled("↳ ", "$accent") + Content.styled(one_line(message.tool_name or "result"), "bold")
    if more:
        head += Content.styled(" · more is folded", "$muted")
        body = body[:RESULT_LINES]
    bar = Content.styled("│ ", "$border-blurred")
    return [head.truncate(width, ellipsis=True), *(bar + line for line in body)]


def attachment_lines(attachments: tuple[Attachment, ...], width: int) -> list[Content]:
    """One line: the files' names, kinds and sizes."""
    if not attachments:
        return []
    files = ", ".join(f"{one_line(one.name)} ({one.kind}, {figures.size(one.size)})" for one in attachments)
    return [Content.styled(line, "$muted") for line in (one.plain for one in draw_plain(f"+ {files}", width))]


def question_lines(
    text: str, attachments: tuple[Attachment, ...], branch: tuple[int, int], width: int
) -> list[Content]:
    """What the user asked, on a ground of its own."""
    lines: list[Content] = []
    for line in visible(text).expandtabs(4).split("\n"):
        lines += draw_plain(line, width - 4)
    lines += attachment_lines(attachments, width - 4)
    bar = Content.styled("▎ ", "$accent")
    drawn = [fill(bar + line, width).stylize_before("on $panel") for line in lines]
    place, count = branch
    if count > 1:
        mark = Content.styled(f"‹{place}/{count}› ", "$accent").stylize_before("on $panel")
        first = (bar + lines[0]).stylize_before("on $panel")
        room = width - mark.cell_length
        if first.cell_length <= room:
            drawn[0] = fill(first, room).stylize_before("on $panel") + mark
        else:
            drawn.append(fill(bar + mark, width).stylize_before("on $panel"))
    return drawn


def _brief(arguments: str) -> str:
    try:
        known = json.loads(arguments)
    except ValueError:
        return one_line(arguments)
    if not isinstance(known, dict):
        return one_line(arguments)
    return one_line(", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in known.items()))


def _pretty(text: str) -> str:
    """JSON indented; other text as it is."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
