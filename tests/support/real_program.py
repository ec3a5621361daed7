"""The program as a user starts it, on a store of the test's own: what the suites of real terminals share."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from ollama_tui.chats import ChatStore, StoredMessage
from tests.support.terminal import Terminal

PROGRAM = [sys.executable, "-m", "ollama_tui"]
RESTORED = (b"\x1b[?1049l", b"\x1b[?25h")
"""Back on the main screen, cursor shown."""

_OF_THIS_TERMINAL = (
    "TMUX",
    "TMUX_PANE",
    "STY",
    "SSH_CONNECTION",
    "SSH_CLIENT",
    "SSH_TTY",
    "TERM_PROGRAM",
    "WT_SESSION",
)


def environment(host: str) -> dict[str, str]:
    """The test's environment, without what the terminal that the tests are run in says of itself.

    `host` is OLLAMA_HOST, where a server answers or nobody does; the store is `models` in the test's home.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _OF_THIS_TERMINAL}
    return {**kept, "OLLAMA_HOST": host, "OLLAMA_MODELS": f"{kept['HOME']}/models"}


def create(name: str, gguf: Path, env: Mapping[str, str]) -> None:
    """Put a model into the store by the command that a user would take."""
    (gguf.parent / "Modelfile").write_text(f"FROM {gguf}\n")
    with Terminal([*PROGRAM, "create", name, "-f", str(gguf.parent / "Modelfile")], env) as terminal:
        assert terminal.wait_closed() == 0, terminal.text


def runners(process: int) -> list[psutil.Process]:
    """The runners that a program has started."""
    return [child for child in psutil.Process(process).children() if "ollama_engine.runner" in child.cmdline()]


def paint_again(terminal: Terminal) -> None:
    """Have all of the screen, which shows a conversation with llama3.1, sent again: it must be as it was before."""

    def conversation(text: str) -> str:
        return text.rpartition("─llama3.1:8b")[0]

    before = conversation(terminal.wait_quiet())
    terminal.press("\x1b[15~")  # f5, another pane
    terminal.wait_for(lambda text: "Ask something" not in text)
    terminal.press("\x1bOS")  # f4
    terminal.wait_for(lambda text: conversation(text) == before, 10)


def ask(terminal: Terminal, prompt: str) -> None:
    """Go from the Library to Chat, where nothing was said yet, and ask."""
    terminal.press("4")
    terminal.wait_for("Ask something")
    terminal.type(prompt)
    terminal.press("enter")


def copy_answer(terminal: Terminal) -> None:
    """From the prompt of Chat: leave it, and copy the last message."""
    terminal.press("escape")
    terminal.wait_for("enter write")  # escape and y at once would be alt+y
    terminal.press("y")


def saved_messages() -> list[StoredMessage]:
    """What the conversation that was touched last holds on disk, in the home of the test."""

    async def read() -> list[StoredMessage]:
        store = ChatStore(Path(os.environ["XDG_DATA_HOME"]) / "ollama-tui" / "chats.db")
        conversation = await store.latest()
        messages = await store.messages(conversation.id) if conversation is not None else []
        await store.aclose()
        return messages

    return asyncio.run(read())
