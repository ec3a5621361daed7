"""The messages of a conversation as widgets: a question as plain text, an answer as Markdown that may still grow."""

from __future__ import annotations

from markdown_it import MarkdownIt
from textual.app import ComposeResult
from textual.containers import VerticalGroup
from textual.content import Content
from textual.widgets import Markdown, Static

from ollama_tui.chats import StoredMessage
from ollama_tui.panes.chat.blocks import settled
from ollama_tui.panes.chat.timing_line import rates, timing_line
from ollama_tui.services.chat_session import Reply
from ollama_tui.text import one_line, visible

TAIL_CHARACTERS = 4000
"""Of an unsettled tail longer than this only the end is shown while it grows: each frame has a bounded cost."""


def _parser() -> MarkdownIt:
    # Raw HTML is shown as the text it is; Textual would drop it.
    return MarkdownIt("gfm-like").disable(["html_block", "html_inline"])


class Question(Static):
    def __init__(self, message: StoredMessage) -> None:
        super().__init__(visible(message.content), markup=False, classes="question")


class Answer(VerticalGroup):
    """Settled blocks in one Markdown widget, the growing tail in a cheap Static, figures in the last line."""

    def __init__(self, model: str, message: StoredMessage | None = None) -> None:
        super().__init__(classes="answer")
        self._model = model
        self._message = message
        self._settled = 0

    def compose(self) -> ComposeResult:
        finished = self._message
        yield Static(one_line(self._model), classes="answer-model", markup=False)
        text = visible(finished.content) if finished else ""
        yield Markdown(text, parser_factory=_parser, open_links=False, classes="answer-text")
        tail = Static("", classes="answer-tail", markup=False)
        tail.display = finished is None
        yield tail
        figures = Static(timing_line(finished) if finished else "", classes="answer-figures", markup=False)
        figures.display = finished is not None
        yield figures

    @property
    def growing(self) -> bool:
        return self._message is None

    async def grow(self, reply: Reply, waiting: str) -> None:
        """Show the answer as far as it has come; `waiting` while there is nothing of it."""
        tail = self.query_one(".answer-tail", Static)
        if reply.phase == "waiting":
            tail.update(Content.styled(waiting, "$muted"))
            return
        if not reply.text:
            tail.update(Content.styled(f"thinking… {len(reply.thinking.split())} words", "$muted"))
            return
        end = settled(reply.text, self._settled)
        if end > self._settled:
            block, self._settled = reply.text[self._settled : end], end
            await self.query_one(Markdown).append(visible(block))
        tail.update(_end_of(reply.text[self._settled :]))
        self._show_figures(Content.styled(rates(reply.timings), "$muted"))

    async def finish(self, message: StoredMessage) -> None:
        """The answer is whole: all of it becomes Markdown."""
        self._message = message
        markdown = self.query_one(Markdown)
        rest = message.content[self._settled :]
        if rest:
            await markdown.append(visible(rest))
        text = visible(message.content)
        if markdown.source != text:
            await markdown.update(text)
        self.query_one(".answer-tail", Static).display = False
        self._show_figures(timing_line(message))

    def _show_figures(self, line: Content) -> None:
        figures = self.query_one(".answer-figures", Static)
        figures.update(line)
        figures.display = True


def _end_of(tail: str) -> str:
    text = visible(tail.rstrip("\n"))
    return text if len(text) <= TAIL_CHARACTERS else f"…{text[-TAIL_CHARACTERS:]}"
