"""Each figure of the reach table, measured: the real program on a pseudo-terminal, a real server behind HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings
from ollama_tui.chats import ChatStore
from tests.bench.reach.line import Read, read
from tests.support.command_line import silent_port
from tests.support.terminal import Terminal

PROGRAM = [sys.executable, "-m", "ollama_tui"]
LAST_WORDS = "these were the very last words"
SETTLE = 2.0
PAINTS = 7
"""How often each kind of first paint is measured."""


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    reach: float
    """At most this."""

    @property
    def holds(self) -> bool:
        return self.value <= self.reach


class Desk:
    """A home of its own, a server, and terminals of one size."""

    def __init__(self, columns: int, lines: int) -> None:
        self.size = {"columns": columns, "lines": lines}
        self.home = Path(tempfile.mkdtemp(prefix="reach-"))
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("OLLAMA_", "TEXTUAL_", "SSH_"))},
            "HOME": str(self.home),
            "OLLAMA_TUI_TOUR": "0",
            **{f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CONFIG", "DATA", "CACHE", "STATE")},
        }

    @property
    def chats(self) -> Path:
        return self.home / "data" / "ollama-tui" / "chats.db"

    @contextlib.contextmanager
    def server(self, *, models: int = 5, loaded: int = 3) -> Iterator[str]:
        command = [sys.executable, "-m", "tests.bench.reach.server", "--models", str(models), "--loaded", str(loaded)]
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().strip()
            finally:
                process.terminate()

    def open(self, address: str, **more: str) -> Terminal:
        return Terminal(PROGRAM, {**self.environment, "OLLAMA_HOST": address, **more}, **self.size)

    def answered(self, count: int) -> bool:
        """Whether so many answers are whole on the disk."""
        with contextlib.closing(sqlite3.connect(f"file:{self.chats}?mode=ro", uri=True)) as database:
            query = "SELECT count(*) FROM messages WHERE role = 'assistant' AND status = 'done'"
            return database.execute(query).fetchone()[0] >= count


def first_paint(desk: Desk) -> list[Figure]:
    """From the start of the program to what one came for on the screen; medians, all files cached, each kind in turn:
    a model of the store, remembered from the last time or not; the tour, where it is the first run."""
    models = desk.home / "models"
    listing = desk.home / "state" / "ollama-tui" / "models.json"

    async def fill() -> None:
        async with LocalEngine(Settings(models=models)) as engine:
            (bard,) = await engine.models()
            for number in range(199):
                await engine.copy(bard.name, f"model-{number:03}:7b")

    asyncio.run(fill())
    times: dict[str, list[float]] = {"again": [], "never": [], "first run": [], "bare": []}
    with silent_port() as port:
        here = {"address": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(models)}
        for turn in range(PAINTS + 1):
            listing.unlink(missing_ok=True)
            found = {
                "never": _painted(desk, b"model-1", **here),
                "again": _painted(desk, b"model-1", **here),
                "first run": _painted(desk, b"begins a new chat", **here, OLLAMA_TUI_TOUR="1"),
                "bare": _bare_textual(desk),
            }
            for kind, seconds in found.items():
                if turn:  # the first fills the caches
                    times[kind].append(seconds)
    return [
        Figure("first useful paint, 200 models in the store", statistics.median(times["again"]), "s", 0.7),
        Figure("  the same, none remembered", statistics.median(times["never"]), "s", float("inf")),
        Figure("  the first run: Chat and its tour", statistics.median(times["first run"]), "s", 0.7),
        Figure("  a Textual App with one word, same run", statistics.median(times["bare"]), "s", float("inf")),
    ]


def _painted(desk: Desk, word: bytes, address: str, **environment: str) -> float:
    """Seconds until the program, opened and then left again, has sent a word."""
    began = time.monotonic()
    with desk.open(address, **environment) as terminal:
        read(terminal, 30, until=word)
        seconds = time.monotonic() - began
        if word == b"model-1":
            read(terminal, SETTLE)  # it has listed the models by then
        terminal.press("ctrl+q")
        terminal.wait_closed()
    return seconds


def _bare_textual(desk: Desk) -> float:
    program = (
        "from textual.app import App\nfrom textual.widgets import Static\n"
        "class A(App):\n    def compose(self):\n        yield Static('painted')\nA().run()"
    )
    began = time.monotonic()
    with Terminal([sys.executable, "-c", program], desk.environment, **desk.size) as terminal:
        read(terminal, 30, until=b"painted")
        return time.monotonic() - began


def idle(desk: Desk, address: str, seconds: float) -> list[Figure]:
    with desk.open(address) as terminal:
        _go_to_chat(terminal)
        read(terminal, SETTLE)
        chat = read(terminal, seconds)
        terminal.press("f3")
        read(terminal, 3 * SETTLE)
        ps = read(terminal, seconds)
    return [
        Figure("bytes a second at idle on Chat", chat.bytes / chat.seconds, "B/s", 0),
        Figure("bytes a second on PS, 3 models, every figure moving", ps.bytes / ps.seconds, "B/s", 1500),
    ]


def stream(
    desk: Desk, address: str, kind: str, tokens: int, name: str, most: float, *, beside: bool = False
) -> list[Figure]:
    """One answer at 50 tokens a second in a new conversation, from the key that sends the prompt.

    With the list of conversations `beside` it, the terminal cannot move the lines of one half of the screen.
    """
    with desk.open(address) as terminal:
        _go_to_chat(terminal)
        if beside:
            terminal.press("\x0c")  # ctrl+l
            terminal.wait_for("Conversations")
        got = _ask(desk, terminal, kind, tokens, 50.0)
    late = got.found_after / (tokens / 50.0)
    return [
        Figure(f"streaming {name}, 50 tok/s: bytes a token", got.bytes / tokens, "B", most),
        Figure(f"streaming {name}: share of a core", 100 * got.share, "%", 25),
        Figure(f"streaming {name}: time over the time of its tokens", late, "x", 1.1),
    ]


def slow_line(desk: Desk, address: str, tokens: int) -> list[Figure]:
    with desk.open(address) as terminal:
        _go_to_chat(terminal)
        got = _ask(desk, terminal, "prose", tokens, 50.0, bytes_a_second=30_000)
    return [Figure("30 kB/s line, 50 tok/s: tokens come slower by", got.found_after / (tokens / 50.0), "x", 1.1)]


def _ask(desk: Desk, terminal: Terminal, kind: str, tokens: int, rate: float, *, bytes_a_second: float = 0.0) -> Read:
    """Ask in a new conversation, and read until the answer is whole on the disk."""
    before = _answers(desk)
    terminal.press("\x0e")  # ctrl+n
    read(terminal, 0.7)
    terminal.type(f"{kind} {tokens} {rate}")
    read(terminal, 0.7)
    terminal.press("enter")
    return read(
        terminal, 10 + 4 * tokens / rate, until=lambda: desk.answered(before + 1), bytes_a_second=bytes_a_second
    )


def _answers(desk: Desk) -> int:
    count = 0
    while desk.answered(count + 1):
        count += 1
    return count


def key_echo(desk: Desk, address: str, keys: int) -> list[Figure]:
    """Two conversations are answered at 200 tokens a second each while somebody types into the second."""
    waits: list[float] = []
    with desk.open(address) as terminal:
        _go_to_chat(terminal)
        for _ in range(2):
            terminal.press("\x0e")
            read(terminal, 0.7)
            terminal.type("prose 100000 200")
            read(terminal, 0.5)
            terminal.press("enter")
            read(terminal, 2.0)
        for _ in range(keys):
            terminal.type("Q")  # a letter that neither words nor escape sequences have
            waits.append(read(terminal, 2.0, until=b"Q").found_after)
            read(terminal, 0.05)
    waits.sort()
    return [
        Figure("key to echo, two streams of 200 tok/s: median", 1000 * statistics.median(waits), "ms", float("inf")),
        Figure("key to echo, two streams of 200 tok/s: p99", 1000 * waits[int(len(waits) * 0.99) - 1], "ms", 50),
    ]


def long_conversation(desk: Desk, address: str, messages: int) -> list[Figure]:
    from tests.support.demo_engine import ANSWER

    async def write() -> None:
        store = ChatStore(desk.chats)
        conversation = await store.start("bard:latest", "", 1.0)
        for number in range(messages - 1):
            role = "assistant" if number % 2 else "user"
            text = ANSWER if number % 2 else f"question {number}"
            await store.add_message(conversation, role, text, status="done", model="bard:latest", now=1.0)
        await store.add_message(conversation, "assistant", LAST_WORDS, status="done", model="bard:latest", now=1.0)
        await store.save_title(conversation, "two thousand")
        other = await store.start("bard:latest", "", 2e9)
        await store.add_message(other, "user", "a short one", status="done", model="", now=2e9)
        await store.aclose()

    asyncio.run(write())
    with desk.open(address) as terminal:
        _go_to_chat(terminal)
        terminal.press("\x0c")  # ctrl+l
        terminal.wait_for("two thousand")
        terminal.press("down")
        read(terminal, 1.5)
        terminal.press("enter")
        got = read(terminal, 30, until=LAST_WORDS.split()[-3].encode())
    return [Figure(f"opening a conversation of {messages} messages", got.found_after, "s", 0.4)]


def _go_to_chat(terminal: Terminal) -> None:
    terminal.wait_for("Library")
    terminal.press("4")
    terminal.wait_for("enter")
    read(terminal, SETTLE)
