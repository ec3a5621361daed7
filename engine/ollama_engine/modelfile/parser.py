"""Reads a Modelfile (spec §5.1).

An instruction stands at the beginning of a line, its value runs to the end of that line, or to the line on which
a quote (`"` or three of them) that opened it closes. Nothing is escaped. The compiler, the command line and the
terminal's editor parse here; `printer` is the way back.
"""

from __future__ import annotations

import codecs
import difflib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from ollama_engine.errors import ModelfileError
from ollama_engine.types import Message

INSTRUCTIONS = (
    "from",
    "license",
    "template",
    "system",
    "adapter",
    "draft",
    "renderer",
    "parser",
    "parameter",
    "message",
    "requires",
)
ROLES = ("system", "user", "assistant")

_UNKNOWN = "command must be one of {}, or {}".format(
    ", ".join(f'"{name}"' for name in INSTRUCTIONS[:-1]), f'"{INSTRUCTIONS[-1]}"'
)
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
_KEYS = {"parameter": re.compile(r"[A-Za-z0-9_]+"), "message": re.compile(r"[A-Za-z]+")}
_BLANK = " \t"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Command:
    """One instruction: `name` in lower case, `args` its value without the quotes.

    `key` is the name of a PARAMETER or the role of a MESSAGE. `line` is where it began (from 1) and `last_line` where
    its value ends, which are no part of what makes two commands equal.
    """

    name: str
    args: str
    key: str = ""
    line: int = field(default=0, compare=False)
    last_line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Modelfile:
    """The instructions in their order."""

    commands: tuple[Command, ...]

    def all(self, name: str) -> list[Command]:
        return [command for command in self.commands if command.name == name]

    def last(self, name: str) -> str:
        """The value of an instruction of which the last one wins; empty where there is none."""
        found = self.all(name)
        return found[-1].args if found else ""

    @property
    def froms(self) -> list[str]:
        return [command.args for command in self.all("from")]

    @property
    def adapters(self) -> list[str]:
        return [command.args for command in self.all("adapter")]

    @property
    def licenses(self) -> list[str]:
        return [command.args for command in self.all("license")]

    @property
    def messages(self) -> list[Message]:
        return [Message(command.key, command.args) for command in self.all("message")]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        return [(command.key, command.args) for command in self.all("parameter")]


def parse_modelfile(source: str | bytes) -> Modelfile:
    """The instructions in `source` (bytes are UTF-8, or what a byte order mark says).

    Raises:
        ModelfileError: with Ollama's message, the line, and a hint.
    """
    text = decode_modelfile(source) if isinstance(source, bytes) else source.removeprefix("\ufeff")
    commands = tuple(_commands(_printable(text)))
    if not any(command.name == "from" for command in commands):
        raise ModelfileError("no FROM line", hint="Begin with FROM and a model's name or the path of a GGUF file.")
    return Modelfile(commands)


@dataclass(frozen=True)
class Scan:
    """What can be read of a Modelfile that is still being written: its instructions, and what is wrong with others.

    `open_line` is where a value begins whose quote is never closed, 0 where all are.
    """

    modelfile: Modelfile
    faults: tuple[ModelfileError, ...]
    open_line: int = 0


def scan_modelfile(text: str) -> Scan:
    """As `parse_modelfile`, but a line that cannot be read is passed over; an editor reads what is half written."""
    faults: list[ModelfileError] = []
    commands = tuple(_commands(text.removeprefix("\ufeff"), faults))
    open_line = faults[-1].line if faults and isinstance(faults[-1], _Unclosed) else 0
    return Scan(Modelfile(commands), tuple(faults), open_line)


def decode_modelfile(data: bytes) -> str:
    """The text of a Modelfile; ModelfileError names the first line that is not in its encoding."""
    encoding, skip = next(((name, len(bom)) for bom, name in _BOMS if data.startswith(bom)), ("utf-8", 0))
    try:
        return data[skip:].decode(encoding)
    except UnicodeDecodeError as error:
        before = data[skip : skip + error.start].decode(encoding, errors="replace")
        line = 1 + len(re.findall(r"\r\n|\r|\n", before))
        raise ModelfileError(f"text is not {encoding.upper()}", line=line, hint="Save the file as UTF-8.") from error


def _printable(text: str) -> str:
    """Without control characters, tabs and line ends excepted.

    Ollama drops whatever Go calls unprintable, no-break spaces and the joiners inside emoji included: those we keep.
    """
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\t\r\n" or unicodedata.category(c) not in ("Cc", "Cs"))


@dataclass(frozen=True)
class _Line:
    text: str
    number: int
    start: int
    end: int
    """Where the next line begins."""


def _lines(text: str, position: int, number: int) -> Iterator[_Line]:
    """The lines of `text` from `position`, which is in line `number`; at least one, if only an empty one."""
    while (match := _LINE.match(text, position)) is not None:
        yield _Line(match[1], number, position, match.end())
        position, number = match.end(), number + 1
        if position == len(text):
            return


class _Unclosed(ModelfileError):
    """The quote that opens a value is never closed: all that follows is inside of it."""


def _commands(text: str, faults: list[ModelfileError] | None = None) -> Iterator[Command]:
    """Instruction by instruction. What is wrong is raised, or put into `faults` and passed over."""
    position, number = 0, 1
    while position < len(text):
        line = next(_lines(text, position, number))
        stripped = line.text.lstrip(_BLANK)
        if not stripped or stripped.startswith("#"):
            position, number = line.end, number + 1
            continue
        indent = len(line.text) - len(stripped)
        try:
            name, key, column = _head(stripped, number)
            args, last = _value(text, position + indent + column, number, name)
        except ModelfileError as fault:
            if faults is None:
                raise
            faults.append(fault)
            if isinstance(fault, _Unclosed):
                return
            position, number = line.end, number + 1
            continue
        yield Command(name, args, key, number, last.number)
        position, number = last.end, last.number + 1


def _head(line: str, number: int) -> tuple[str, str, int]:
    """Instruction, key, and the column where what belongs to the value begins."""
    word = re.split(r"[ \t]", line, maxsplit=1)[0]
    name = word.lower()
    if name not in INSTRUCTIONS:
        raise ModelfileError(_UNKNOWN, line=number, hint=_nearest_instruction(word))
    column = len(word)
    if column == len(line):
        raise ModelfileError("unexpected EOF", line=number, hint=f"{word.upper()} needs a value on its line.")
    if name not in _KEYS:
        return name, "", column
    column = len(line) - len(line[column:].lstrip(_BLANK))
    match = _KEYS[name].match(line, column)
    key = match[0] if match else ""
    if name == "message" and key not in ROLES:
        raise ModelfileError(
            'message role must be one of "system", "user", or "assistant"',
            line=number,
            hint="Write MESSAGE user and then what the user said.",
        )
    column += len(key)
    if not key or line[column : column + 1] not in (" ", "\t"):
        example = "PARAMETER temperature 0.7" if name == "parameter" else f"MESSAGE {key} Hello"
        raise ModelfileError("unexpected EOF", line=number, hint=f"Write it like {example}.")
    return name, key, column


def _nearest_instruction(word: str) -> str:
    near = difflib.get_close_matches(word.lower(), INSTRUCTIONS, n=1)
    if near:
        return f"Did you mean {near[0].upper()}?"
    return 'A value of several lines stands between """ and """; a comment begins with #.'


def _value(text: str, position: int, number: int, name: str) -> tuple[str, _Line]:
    """The value that begins at `position` in line `number`, without its quotes, and the line it ends on.

    Text behind a closing quote keeps the value open until a line ends in the quote.
    """
    opening, quote = position, ""
    for line in _lines(text, position, number):
        if line.number == number:
            opening += len(line.text) - len(line.text.lstrip())
            quote = next((mark for mark in ('"""', '"') if text.startswith(mark, opening, line.end)), "")
        end = line.start + len(line.text.rstrip())
        if not quote:
            return text[opening:end], line
        if end - opening >= 2 * len(quote) and text.endswith(quote, line.start, end):
            return text[opening + len(quote) : end - len(quote)], line
    hint = f"The {quote} that opens the value of {name.upper()} is never closed."
    raise _Unclosed("unexpected EOF", line=number, hint=hint)
