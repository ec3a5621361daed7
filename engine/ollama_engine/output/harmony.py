"""The harmony format: an answer as messages on channels (gpt-oss).

    <|channel|>analysis<|message|>…<|end|>                                     thinking
    <|start|>assistant<|channel|>final<|message|>…<|return|>                   content
    <|start|>assistant to=functions.f<|channel|>commentary json<|message|>{…}<|call|>   a tool call

The prompt ends with `<|start|>assistant`, so the answer begins inside a header. The tokens that end the generation
(`<|return|>`, `<|call|>`) do not appear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator

from ollama_engine.output.answer import Sink
from ollama_engine.output.reader import AnyOf, Reader, Reading
from ollama_engine.output.syntax import HARMONY_STOPS
from ollama_engine.output.values import Tools, load_json

_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_STOP = AnyOf(HARMONY_STOPS)
_BEGIN = AnyOf(["<|start|>", "<|channel|>", "<|message|>"])
_HEADS = ("<|start|>", "<|channel|>", "<|message|>", "assistant<|", "assistant to=", "to=", "analysis<|message|>")
_MARK = "<|message|>"
_LONGEST_HEAD = 400

Emit = Callable[[str], None]


def read_harmony(reader: Reader, tools: Tools, sink: Sink) -> Generator[None, None, None]:
    """Read a whole answer, waiting for text by yielding; what is no message comes out as content."""
    while True:
        head = yield from _head(reader)
        if head is None:
            yield from _pass(reader, sink.content)
        else:
            yield from _message(reader, head, tools, sink)
        if reader.ended and not reader.text:
            return


def _head(reader: Reader) -> Reading[str | None]:
    """The header of a message, removed from the text; None where the text is none."""
    at = yield from reader.skip_space(0)
    while True:
        rest = reader.text[at:]
        begun = rest.startswith(_HEADS)
        if not begun and not (rest and any(head.startswith(rest) for head in _HEADS)):
            return None
        end = rest.find(_MARK)
        if begun and end >= 0 and end <= _LONGEST_HEAD:
            reader.take(at)
            return reader.take(end + len(_MARK))
        if len(rest) > _LONGEST_HEAD or not (yield from reader.has(len(reader.text))):
            return None


def _pass(reader: Reader, content: Emit) -> Reading[None]:
    """Text outside any message, up to the next token that begins one; its first character is no such beginning."""
    first = 1
    while True:
        found = _BEGIN.pattern.search(reader.text, first)
        if found:
            content(reader.take(found.start()))
            return
        certain = first + _BEGIN.certain(reader.text[first:])
        if reader.text:
            content(reader.take(certain))
            first = 0
        if not (yield from reader.has(len(reader.text))):
            content(reader.take(len(reader.text)))
            return


def _message(reader: Reader, head: str, tools: Tools, sink: Sink) -> Reading[None]:
    recipient = _RECIPIENT.search(head)
    channel = _CHANNEL.search(head)
    if recipient:
        text = yield from _until_stop(reader, None)
        arguments = load_json(text or "{}")
        if isinstance(arguments, dict):
            sink.call((tools.clean(recipient.group(1)), arguments))
        else:
            sink.content(head + text)
        return
    analysis = (channel.group(1) if channel else head.removesuffix(_MARK).strip()) == "analysis"
    yield from _until_stop(reader, sink.thinking if analysis else sink.content)


def _until_stop(reader: Reader, emit: Emit | None) -> Reading[str]:
    """The text of a message up to the token that ends it, which is removed; emitted as it comes, or returned whole."""
    searched = 0
    while True:
        found = _STOP.pattern.search(reader.text, searched)
        if found:
            text = reader.take(found.start())
            if found.group() != "<|start|>":
                reader.take(len(found.group()))
            break
        certain = _STOP.certain(reader.text)
        if emit:
            emit(reader.take(certain))
        else:
            searched = certain
        if not (yield from reader.has(len(reader.text))):
            text = reader.take(len(reader.text))
            break
    if emit:
        emit(text)
        return ""
    return text
