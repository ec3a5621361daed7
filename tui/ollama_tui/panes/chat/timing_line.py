"""The line under an answer: how fast it was, and why it ended early."""

from __future__ import annotations

from textual.content import Content

from ollama_tui import figures
from ollama_tui.chats import StoredMessage, Timings
from ollama_tui.text import one_line


def rates(timings: Timings) -> str:
    """`42.1 tok/s · prompt 512 tok/s · first token 0.8 s · 120 tokens`, as far as it is known."""
    generation = figures.rate(timings.tokens, timings.tokens_ns)
    prompt = figures.rate(timings.prompt_tokens, timings.prompt_ns)
    facts = [
        f"{figures.per_second(generation)} tok/s" if generation else "",
        f"prompt {figures.per_second(prompt)} tok/s" if prompt else "",
        f"first token {figures.seconds(timings.first_token_ns / 1e9)}" if timings.first_token_ns else "",
        f"{timings.tokens} tokens" if timings.tokens else "",
    ]
    return " · ".join(fact for fact in facts if fact)


def timing_line(message: StoredMessage) -> Content:
    """The rates of a finished answer, and a note in front where there is one."""
    notes = {"streaming": "interrupted", "failed": f"failed: {one_line(message.note)}"}
    note = notes.get(message.status, one_line(message.note))
    if not (message.content or message.thinking or message.tool_calls) and not note:
        note = "an empty answer"
    line = Content.styled(rates(message.timings), "$muted")
    if not note:
        return line
    style = "$error" if message.status == "failed" else "$warning"
    return Content(" · ").join([part for part in (Content.styled(note, style), line) if part.plain])
