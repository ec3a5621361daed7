"""The workstation under test: on a DemoEngine, a fixed clock and a store in a temporary folder."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

from ollama_engine.settings import Settings, default_config_file
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore
from ollama_tui.settings_file import open_settings
from tests.support.demo_engine import NOW, DemoEngine

MEMORY = 16_000_000_000
SETTINGS = Settings(tour=False)
"""Of one who is not new here."""


def workstation(
    folder: Path,
    engine: DemoEngine | None = None,
    clock: Callable[[], float] = lambda: NOW,
    *,
    settings: Settings = SETTINGS,
    model: str | None = None,
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
        remember=remember,
        look_around=look_around,
        clock=clock,
        machine_memory=lambda: MEMORY,
    )


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
