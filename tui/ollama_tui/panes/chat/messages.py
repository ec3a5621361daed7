"""The messages of a conversation as lines: a question on its own ground, an answer as Markdown that may still grow."""

from __future__ import annotations

import time
from dataclasses import dataclass

from textual.content import Content

from ollama_tui.chats import StoredMessage
from ollama_tui.panes.chat.cards import (
    attachment_lines,
    call_lines,
    heading,
    question_lines,
    result_lines,
    thought_line,
)
from ollama_tui.panes.chat.markdown import Body
from ollama_tui.panes.chat.markdown.wrap import wrap
from ollama_tui.panes.chat.timing_line import rates, timing_line
from ollama_tui.services.chat_session import Reply
from ollama_tui.text import visible

WIDEST = 120
"""Columns of text: longer lines are hard to read."""
RATES_SECONDS = 1.0
"""The figures of an answer under way change this often: each change is a line sent."""
BLANK = Content("")


@dataclass(frozen=True)
class Asked:
    """What an answer under way shows beside its own words."""

    reply: Reply
    waiting: str


class MessageLines:
    """One message. `lines` draws it, and draws again only what has changed."""

    def __init__(self, id: int, role: str) -> None:
        self.id = id
        self.role = role
        self.unfolded = False
        """Whether thinking, tool calls and results are shown whole."""
        self._message: StoredMessage | None = None
        self._asked: Asked | None = None
        self._body = Body()
        self._thought = Body()
        self._width = 0
        self._drawn: list[Content] | None = None
        self._rates = BLANK
        self._rates_at = 0.0
        self._rates_known = False

    @property
    def growing(self) -> bool:
        return self._asked is not None

    @property
    def text(self) -> str:
        """Its own words, for copying."""
        if self._asked is not None:
            return self._asked.reply.text
        return self._message.content if self._message else ""

    @property
    def last_code(self) -> str:
        """The last code in it, without its fence; empty where there is none."""
        return self._body.last_code()

    def show(self, message: StoredMessage) -> None:
        """The message as it is kept."""
        if message is self._message:
            return
        self._message, self._asked, self._drawn = message, None, None

    def grow(self, reply: Reply, waiting: str) -> None:
        """The answer as far as it has come; `waiting` while there is nothing of it."""
        asked = Asked(reply, waiting)
        if asked != self._asked:
            self._asked, self._drawn = asked, None

    def fold(self) -> None:
        """Show what is folded, or fold it again."""
        self.unfolded = not self.unfolded
        self._drawn = None

    def guess(self, width: int) -> int:
        """How many lines it will have, about: before it was drawn."""
        if self._drawn is not None and width == self._width:
            return len(self._drawn)
        text = self.text
        return 3 + text.count("\n") + len(text) // max(20, min(width, WIDEST))

    def lines(self, width: int) -> list[Content]:
        """All of it at `width`, a blank line first."""
        if self._drawn is None or width != self._width:
            self._width = width
            self._drawn = [BLANK, *self._draw(min(width, WIDEST))]
        return self._drawn

    def _draw(self, width: int) -> list[Content]:
        if self._asked is not None:
            return self._draw_growing(self._asked, width)
        message = self._message
        if message is None:
            return []
        match message.role:
            case "assistant":
                return self._draw_answer(message, width)
            case "tool":
                return result_lines(message, width, unfolded=self.unfolded)
            case "user" if message.status == "queued":
                waiting = Content.styled("waits for the answer before it", "$muted")
                return [*question_lines(message.content, message.attachments, (1, 1), width), waiting]
            case "user":
                return question_lines(message.content, message.attachments, message.branch, width)
            case _:
                return [line.stylize_before("$muted") for line in wrap(Content(visible(message.content)), width)]

    def _draw_answer(self, message: StoredMessage, width: int) -> list[Content]:
        self._body.show(message.content, whole=True)
        lines = [heading(message.model, message.branch)]
        if message.thinking:
            lines += self._draw_thinking(message.thinking, message.timings.thinking_ns, width, done=True)
        lines += self._body.lines(width)
        if message.content and message.tool_calls:
            lines.append(BLANK)
        lines += call_lines(message.tool_calls, width, unfolded=self.unfolded)
        lines += attachment_lines(message.attachments, width)
        figures = timing_line(message)
        return [*lines, *wrap(figures, width)] if figures else lines

    def _draw_growing(self, asked: Asked, width: int) -> list[Content]:
        reply = asked.reply
        lines = [heading(reply.model, reply.branch)]
        if reply.phase == "waiting":
            return [*lines, *wrap(Content.styled(asked.waiting, "$muted"), width)]
        if reply.thinking:
            lines += self._draw_thinking(reply.thinking, reply.timings.thinking_ns, width, done=bool(reply.text))
        self._body.show(reply.text)
        lines += self._body.lines(width)
        lines += call_lines(reply.tool_calls, width, unfolded=self.unfolded)
        if reply.text:
            self._say_rates(reply)
        return [*lines, *wrap(self._rates, width)] if self._rates else lines

    def _say_rates(self, reply: Reply) -> None:
        now = time.monotonic()
        if now - self._rates_at >= RATES_SECONDS or not self._rates_known:
            self._rates_at, self._rates_known = now, reply.timings.tokens > 0
            self._rates = Content.styled(rates(reply.timings), "$muted")

    def _draw_thinking(self, text: str, nanoseconds: int, width: int, *, done: bool) -> list[Content]:
        line = thought_line(text, nanoseconds, under_way=not done, unfolded=self.unfolded)
        if not self.unfolded:
            return [line]
        self._thought.show(text, whole=done)
        bar = Content.styled("│ ", "$muted")
        return [line, *(bar + one.stylize_before("$muted") for one in self._thought.lines(width - 2)), BLANK]
