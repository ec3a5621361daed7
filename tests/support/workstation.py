"""The workstation under test, its files in a temporary folder: on a DemoEngine and a fixed clock, or on a real one."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings, default_config_file
from ollama_engine.types import CreateRequest
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore, StoredMessage, Timings
from ollama_tui.services import Connect
from ollama_tui.settings_file import open_settings
from tests.support.demo_engine import ANSWER, NOW, DemoEngine

MEMORY = 16_000_000_000
SETTINGS = Settings(tour=False)
"""Of one who is not new here."""


def workstation(
    folder: Path,
    engine: DemoEngine | Connect | None = None,
    clock: Callable[[], float] = lambda: NOW,
    *,
    settings: Settings = SETTINGS,
    model: str | None = None,
    state_folder: Path | None = None,
    remember: Callable[[str, str], None] | None = None,
    look_around: Callable[[], Awaitable[str]] | None = None,
) -> Workstation:
    """A workstation that keeps its conversations in `folder`/chats.db; its clock stands still."""
    return Workstation(
        engine if engine is not None else DemoEngine(),
        settings,
        chats=ChatStore(folder / "chats.db"),
        host_label="demo",
        settings_service=open_settings(default_config_file(), {}),
        model=model,
        state_folder=state_folder,
        remember=remember,
        look_around=look_around,
        clock=clock,
        machine_memory=lambda: MEMORY,
    )


def real_workstation(folder: Path) -> Workstation:
    """A workstation on an engine of its own, whose models are in `folder`/models. `services.aclose` ends it."""
    settings = Settings(models=folder / "models", tour=False)
    chats = ChatStore(folder / "chats.db")
    return Workstation(LocalEngine(settings), settings, chats=chats, host_label="here", machine_memory=lambda: MEMORY)


async def add_model(app: Workstation, name: str, gguf: Path, **parameters: object) -> None:
    """Make a model of a GGUF file, with these PARAMETERs."""
    engine = await app.services.link.engine()
    digest = f"sha256:{hashlib.sha256(gguf.read_bytes()).hexdigest()}"

    async def body() -> AsyncIterator[bytes]:
        yield gguf.read_bytes()

    await engine.put_blob(digest, body())
    async for _ in engine.create(CreateRequest(name, files={gguf.name: digest}, parameters=parameters)):
        pass


async def talked(folder: Path) -> None:
    """A saved conversation: a stopped answer, a whole one, a draft."""
    store = ChatStore(folder / "chats.db")
    conversation = await store.start("bard:latest", "And what of the morrow?", 1.0)
    for question, answer, note in (("Who goes there?", "Why, 'tis I, the", "stopped"), ("Speak!", ANSWER, "")):
        asked = await store.add_message(conversation, "user", question, status="done", model="", now=1.0)
        answer_id = await store.add_message(
            conversation, "assistant", answer, status="done", model="bard:latest", now=1.0
        )
        timings = Timings(26, 50_000_000, 84, 2_000_000_000, 400_000_000, 310_000_000)
        status = "stopped" if note else "done"
        said = StoredMessage(answer_id, "assistant", answer, status, note=note, timings=timings, parent_id=asked)
        await store.save_message(said)
    await store.aclose()


async def until(pilot: Pilot[None], true: Callable[[], object], seconds: float = 10.0) -> None:
    """Let the App work until `true()`; a lone `pilot.pause()` means different things in different Pythons."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "this never came true"
        await pilot.pause(0.01)


def notices(app: Workstation) -> list[str]:
    """What notifications say now."""
    return [notification.message for notification in app._notifications]


def screen_text(app: Workstation) -> str:
    """The screen as text, one line a row."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())
