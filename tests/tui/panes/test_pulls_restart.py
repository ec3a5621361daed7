"""A pull that one workstation left goes on in the next: two programs one after the other, a real registry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ollama_engine.store import manifest as media
from tests.support.registry_server import running_registry, upload
from tests.support.workstation import notices, real_workstation, screen_text, until

MIB = 1 << 20


async def test_a_pull_goes_on_in_the_next_workstation_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with running_registry(tmp_path / "registry") as registry:
        upload(registry.url, "tests/one", "latest", [(media.MODEL, os.urandom(8 * MIB))])
        name = f"{registry.host}/tests/one:latest"
        app = real_workstation(tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("2")
            await until(pilot, lambda: "Nothing is on its way" in screen_text(app))
            await pilot.press("l", *"2M", "enter")
            await until(pilot, lambda: "limit 2M/s" in screen_text(app))
            await pilot.press("a", *f"{name} --insecure", "enter")
            await until(pilot, lambda: any(0.1 < pull.part < 1 for pull in app.services.pulls.view.value.pulls))
            part = app.services.pulls.view.value.pulls[0].part
        await app.services.aclose()
        app = real_workstation(tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: app.services.pulls.view.value.pulls)
            assert app.services.pulls.view.value.pulls[0].part >= part * 0.9
            await until(pilot, lambda: any(f"{name} is in the Library" in notice for notice in notices(app)))
            await until(pilot, lambda: "tests/one" in screen_text(app))
        await app.services.aclose()
