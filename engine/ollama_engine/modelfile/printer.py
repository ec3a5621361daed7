"""Writes a Modelfile (spec §5.2) so that the parser reads the same instructions back.

`show --modelfile` prints through here (`render`), and so does whatever edits a Modelfile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ollama_engine.errors import ModelfileError
from ollama_engine.modelfile.parser import Command, Modelfile, parse_modelfile

UNWRITABLE = "# The next value holds what no Modelfile can say (control characters, or quotes at a line's end):"


def print_modelfile(modelfile: Modelfile, *, header: Iterable[str] = (), strict: bool = True) -> str:
    """The text of a Modelfile, one instruction after the other, below the comment lines of `header`.

    Raises:
        ModelfileError: a value that the grammar cannot carry: one with control characters, or in which both a `"`
            and three of them stand at the end of a line. With `strict` false it is written as well as may be, below
            the comment `UNWRITABLE`.
    """
    lines = [f"# {line}".rstrip() if line else "" for line in header]
    for command in modelfile.commands:
        lines.extend(_command_lines(command, strict))
    return "\n".join(lines) + "\n"


def quote(value: str) -> str:
    """`value` as it stands behind an instruction: bare where that is enough, else in `"`, else in three of them.

    Raises:
        ModelfileError: the grammar cannot carry the value.
    """
    for written in _candidates(value):
        if _reads_back(written, value):
            return written
    raise ModelfileError(
        "a value cannot be written in a Modelfile",
        hint="Take the control characters out, or the quotes at the ends of its lines.",
    )


def _command_lines(command: Command, strict: bool) -> Iterator[str]:
    try:
        value = quote(command.args)
    except ModelfileError:
        if strict:
            raise
        yield UNWRITABLE
        value = _triple(command.args) if '"' in command.args else _single(command.args)
    key = f"{command.key} " if command.key else ""
    yield f"{command.name.upper()} {key}{value}"


def _candidates(value: str) -> Iterator[str]:
    """Ollama's choice first: bare, unless there is a line end or a blank at either end."""
    if value and value == value.strip() and not any(end in value for end in "\r\n"):
        yield value
    if '"' not in value:
        yield _single(value)
        return
    yield _triple(value)
    yield _single(value)


def _single(value: str) -> str:
    return f'"{value}"'


def _triple(value: str) -> str:
    return f'"""{value}"""'


def _reads_back(written: str, value: str) -> bool:
    wanted = (Command("system", value), Command("from", "x"))
    try:
        return parse_modelfile(f"SYSTEM {written}\nFROM x").commands == wanted
    except ModelfileError:
        return False
