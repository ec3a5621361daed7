"""Conversations to files and back: the path is asked for, what is there already is never written over."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

from ollama_engine.errors import EngineError, InvalidRequest, StoreError
from ollama_tui.panes.chat.attaching import check_file
from ollama_tui.paths import typed_path
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.pane import Part

_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")


def ask_export(part: Part, conversation_id: int, title: str) -> None:
    """Ask where to, then write it there."""
    name = _NOT_IN_A_NAME.sub("-", title).strip("-.")[:40] or "conversation"

    async def take(path: str | None) -> None:
        if path is not None:
            await export(part, conversation_id, path)

    note = ".md is for people, .json holds every branch and can be read again"
    part.app.push_screen(AskScreen("Write the conversation to", f"~/{name}.md", note=note, check=_check_new), take)


def ask_import(part: Part, then: Callable[[], object] | None = None) -> None:
    """Ask which file, show the conversation in it, and then do `then`."""

    async def take(path: str | None) -> None:
        if path is not None:
            await read(part, path, then)

    note = "a .json file that was exported"
    part.app.push_screen(AskScreen("Read a conversation from", "~/", note=note, check=check_file), take)


async def export(part: Part, conversation_id: int, path: str) -> None:
    """Write a conversation to `path`, in the format that its ending says; how it went is told."""
    try:
        target = _expanded(path)
        data = await part.services.chats.export(conversation_id, markdown=target.suffix.lower() != ".json")
        await asyncio.to_thread(_write, target, data)
    except EngineError as error:
        part.report(error)
    else:
        part.notify(f"Written to {visible(str(target))}", markup=False)


async def read(part: Part, path: str, then: Callable[[], object] | None = None) -> None:
    """Show the conversation in a file that was exported as JSON, and then do `then`; what is wrong with it is told."""
    try:
        data = await asyncio.to_thread(_read, _expanded(path))
        await part.services.chats.add_exported(data)
    except InvalidRequest as error:
        hint = "It has to be a .json file that was exported here."
        part.report(InvalidRequest(f"{path}: {error.message}", hint=error.hint or hint))
    except EngineError as error:
        part.report(error)
    else:
        view = part.services.chats.shown.value.view.value
        part.notify(f"Read: {one_line(view.title) or '(no title)'}. It is shown now.", markup=False)
        if then is not None:
            then()


def _expanded(path: str) -> Path:
    try:
        return typed_path(path.strip())
    except RuntimeError as error:
        raise StoreError(f"{path}: {error}") from error


def _check_new(path: str) -> str:
    if not path.lower().endswith((".md", ".json")):
        return "the name has to end in .md or .json"
    return "" if check_file(path) else "There is a file of this name already."


def _write(path: Path, data: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError as error:
        raise StoreError(f"{path} is there already", hint="Choose another name.") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", hint="Choose another folder.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}", hint="Check the path.") from error
