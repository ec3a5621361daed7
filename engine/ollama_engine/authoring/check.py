"""What is wrong with a Modelfile, or doubtful, line by line: the parser's and the compiler's own words."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ollama_engine.errors import EngineError, InvalidName, TemplateError
from ollama_engine.modelfile.checks import checked_parameters
from ollama_engine.modelfile.compile import plan_create
from ollama_engine.modelfile.parser import Command, Modelfile, Scan, scan_modelfile
from ollama_engine.modelfile.stored import stored_blob, take_stored
from ollama_engine.options import DEPRECATED, OPTION_KINDS, parse_parameters
from ollama_engine.prompt.go_template import GoTemplate
from ollama_engine.store import names

MOST = 50
"""Findings that are told; after a paragraph without quotes every line is one."""

_ONCE = ("template", "system", "renderer", "parser", "draft", "requires")
_FILES = ("from", "adapter", "draft")
_LISTS = ("array", "names", "numbers")
_SHOWS_A_PROMPT = {"prompt", "messages", "response"}
_TEMPLATE_LINE = re.compile(r"(?:template: )?template line (\d+), column \d+: ")


@dataclass(frozen=True)
class Finding:
    """`line` counts from 1, 0 where no line is to blame. An error keeps the model from being made."""

    line: int
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"


class Checker:
    """Checks one text after another, and reads the header of a file again only when the file has changed."""

    def __init__(self, base_dir: Path) -> None:
        """`base_dir` is where relative paths in the text begin."""
        self._base_dir = base_dir
        self._of_files: dict[tuple[object, ...], list[Finding]] = {}

    def check(self, text: str, models: Collection[str] | None = None) -> list[Finding]:
        """Errors and warnings in the order of their lines. It reads the files that are named: use a thread.

        Args:
            models: names in the engine's store; None where they are not known.
        """
        scan = scan_modelfile(text)
        found = [_finding(fault) for fault in scan.faults]
        found += self._each(scan, models)
        if not any(finding.severity == "error" for finding in found):
            found += self._together(scan.modelfile)
        return sorted(dict.fromkeys(found), key=lambda finding: finding.line)[:MOST]

    def _each(self, scan: Scan, models: Collection[str] | None) -> Iterator[Finding]:
        modelfile = scan.modelfile
        if not modelfile.froms and not any(fault.line == 0 for fault in scan.faults):
            yield Finding(0, "no FROM line", "Begin with FROM and a model's name or the path of a GGUF file.")
        for command in modelfile.commands:
            if command.name in _FILES:
                yield from self._file(command)
            elif command.name == "parameter":
                yield from _raised(command, lambda command=command: _check_parameter(command))
            elif command.name == "template":
                yield from _template(command)
            elif command.name == "requires":
                yield from _raised(command, lambda command=command: self._plan(Modelfile((command,))))
        yield from _doubts(modelfile)
        if models is not None:
            yield from _absent(modelfile, models, self._base_dir)

    def _file(self, command: Command) -> list[Finding]:
        if stored_blob(command) is not None:
            return []
        key = (command, command.line, *_state(self._base_dir, command.args))
        return self._kept(key, command.line, lambda: self._plan(Modelfile((command,))))

    def _together(self, modelfile: Modelfile) -> list[Finding]:
        """What only all the files together show: weights of two models, a DRAFT that is the model itself."""
        files = [command for command in modelfile.commands if command.name in _FILES]
        if len(files) < 2:
            return []
        key = tuple((command, *_state(self._base_dir, command.args)) for command in files)
        rest, _ = take_stored(Modelfile(tuple(files)))
        return self._kept(key, 0, lambda: self._plan(rest))

    def _kept(self, key: tuple[object, ...], line: int, check: Callable[[], object]) -> list[Finding]:
        if key not in self._of_files:
            while len(self._of_files) >= MOST:
                del self._of_files[next(iter(self._of_files))]
            try:
                check()
            except EngineError as error:
                self._of_files[key] = [_finding(error, line)]
            else:
                self._of_files[key] = []
        return self._of_files[key]

    def _plan(self, modelfile: Modelfile) -> None:
        plan_create(modelfile, self._base_dir)


def continued_lines(text: str) -> frozenset[int]:
    """The lines (from 0) that are inside the value of an instruction above them."""
    scan = scan_modelfile(text)
    inside = {number for command in scan.modelfile.commands for number in range(command.line, command.last_line)}
    if scan.open_line:
        inside.update(range(scan.open_line, text.count("\n") + 1))
    return frozenset(inside)


def _finding(error: EngineError, line: int = 0) -> Finding:
    line = getattr(error, "line", 0) or line
    return Finding(line, error.message.removeprefix(f"(line {line}): "), error.hint)


def _raised(command: Command, check: Callable[[], object]) -> Iterator[Finding]:
    try:
        check()
    except EngineError as error:
        yield _finding(error, command.line)


def _check_parameter(command: Command) -> None:
    values, warnings = parse_parameters([(command.key, command.args)])
    if not warnings:
        checked_parameters(dict(values))


def template_problem(text: str) -> str:
    """Why a text is no template of Go's, in words with its line and column; "" where it is one."""
    try:
        GoTemplate(text)
    except TemplateError as error:
        return error.message
    return ""


def _template(command: Command) -> Iterator[Finding]:
    try:
        template = GoTemplate(command.args)
    except TemplateError as error:
        place = _TEMPLATE_LINE.match(error.message)
        line = command.line + int(place[1]) - 1 if place else command.line
        yield Finding(
            line, f"template error: {_TEMPLATE_LINE.sub('', error.message)}",
            error.hint or "A TEMPLATE is written in Go's template language.",
        )  # fmt: skip
        return
    if command.args and not {name.lower() for name in template.names()} & _SHOWS_A_PROMPT:
        yield _doubt(
            command.line,
            "the template shows neither .Messages nor .Prompt",
            "What is said to the model would not reach it.",
        )


def _doubts(modelfile: Modelfile) -> Iterator[Finding]:
    for name in _ONCE:
        yield from _overruled(modelfile.all(name), name.upper())
    parameters = modelfile.all("parameter")
    for key in dict.fromkeys(command.key for command in parameters):
        if key in DEPRECATED:
            for command in (command for command in parameters if command.key == key):
                yield _doubt(command.line, f"the parameter {key} is deprecated", "It does nothing: leave it out.")
        elif OPTION_KINDS.get(key) not in _LISTS:
            yield from _overruled([command for command in parameters if command.key == key], f"PARAMETER {key}")
    for command in modelfile.commands:
        if command.name in ("system", "template") and not command.args:
            yield _doubt(
                command.line, f"an empty {command.name.upper()} changes nothing", "What FROM names is inherited."
            )
    if drafts := modelfile.all("draft"):
        yield _doubt(drafts[-1].line, "DRAFT is stored with the model, but answers are not drafted with it yet")


def _overruled(commands: list[Command], what: str) -> Iterator[Finding]:
    for command in commands[:-1]:
        yield _doubt(command.line, f"{what} stands again in line {commands[-1].line}, and the last one counts")


def _absent(modelfile: Modelfile, models: Collection[str], base_dir: Path) -> Iterator[Finding]:
    known = {key for model in models if (key := _key(model))}
    for command in modelfile.all("from"):
        key = _key(command.args)
        if key and key not in known and not _exists(base_dir, command.args):
            yield _doubt(command.line, f"{command.args} is not in the store", "It is pulled when the model is made.")


def _key(name: str) -> str:
    try:
        return names.parse(name).key
    except InvalidName:
        return ""


def _exists(base_dir: Path, value: str) -> bool:
    return bool(_state(base_dir, value))


def _state(base_dir: Path, value: str) -> tuple[object, ...]:
    """Something that changes when the file or folder does; nothing where there is none."""
    try:
        path = base_dir / Path(value).expanduser()
        status = path.stat()
    except (OSError, ValueError, RuntimeError):
        return ()
    return (status.st_size, status.st_mtime_ns)


def _doubt(line: int, message: str, hint: str = "") -> Finding:
    return Finding(line, message, hint, "warning")
