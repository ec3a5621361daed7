"""What stands around the prompt: model, context and settings in its title; prompts that wait, files, calls above it."""

from __future__ import annotations

from textual.content import Content

from ollama_tui import figures, suggestions
from ollama_tui.actions import Keymap
from ollama_tui.chats import ChatSettings
from ollama_tui.services.chat_view import ChatView, ContextUse
from ollama_tui.text import one_line


def title(view: ChatView, keymap: Keymap) -> str:
    """`llama3.1:8b · 1.2k of 8.2k context (15 %) · system, temperature`."""
    toy = "a toy that babbles in Shakespeare's manner" if suggestions.is_toy(view.model) else ""
    model = one_line(view.model) or f"no model: {keymap.name('chat.model')} chooses one"
    facts = [model, context(view.context) or toy, settings(view.settings)]
    return " · ".join(fact for fact in facts if fact)


def context(use: ContextUse) -> str:
    if not use.used:
        return ""
    left_out = ", cut" if use.cut_tokens else ""
    if use.dropped_messages:
        left_out = f", {use.dropped_messages} {'message' if use.dropped_messages == 1 else 'messages'} left out"
    used = f"{use.used / 1024:.1f}k" if 1024 <= use.used < 10 * 1024 else figures.tokens(use.used)
    if not use.total:
        return f"{used} tokens{left_out}"
    return f"context {used}/{figures.tokens(use.total)} ({use.used / use.total:.0%}){left_out}"


def settings(chosen: ChatSettings) -> str:
    """The names of what is otherwise than the model would have it."""
    names = [
        "system" if chosen.system else "",
        "template" if chosen.template else "",
        "" if chosen.think is None else f"think {chosen.think}".replace("True", "on").replace("False", "off"),
        "" if chosen.format is None else "json" if chosen.format == "json" else "schema",
        f"{len(chosen.tools)} tools" if len(chosen.tools) > 1 else "1 tool" if chosen.tools else "",
        *chosen.options,
    ]
    return ", ".join(name for name in names if name)


def waiting(view: ChatView, keymap: Keymap) -> Content:
    """A line for the prompts that wait, which the conversation shows, for files that go along, and for the call that
    wants a result; each with its key. `keymap` is the one in force."""
    lines: list[str] = []
    if count := len(view.queued):
        back = keymap.name("chat.earlier")
        prompts = "1 prompt waits" if count == 1 else f"{count} prompts wait"
        lines.append(f"{prompts}; {back} takes {'it' if count == 1 else 'the last one'} back")
    if view.attachments:
        files = (f"{one_line(one.name)} ({figures.size(one.size)})" for one in view.attachments)
        lines.append(f"goes along: {', '.join(files)}")  # backspace in the empty prompt leaves the last one out
    calls = view.pending_calls
    if calls:
        lines.append(f"{one_line(calls[0].name)} waits for its result: {keymap.name('chat.result')} gives it")
    return Content("\n").join([Content(line) for line in lines])
