"""The editor of Modelfiles, by keyboard: it checks, completes, shows the prompt, makes the model, keeps the draft."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from textual.events import Paste
from textual.pilot import Pilot

from ollama_engine.errors import StoreError
from ollama_engine.types import CreateRequest, ModelInfo, Progress
from ollama_tui.app import Workstation
from ollama_tui.panes.library.editor import ModelfileEditor
from tests.support.demo_engine import DemoEngine
from tests.support.workstation import notices, screen_text, until, workstation


class Maker(DemoEngine):
    """A demo engine that remembers what it was to make; `slow` holds it up."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[CreateRequest] = []
        self.slow: asyncio.Event | None = None

    async def create(self, request: CreateRequest) -> AsyncGenerator[Progress, None]:
        self._check("create")
        yield Progress("quantizing F16 model to Q4_K_M", "0", 1000, 420)
        if self.slow is not None:
            await self.slow.wait()
        self.made.append(request)
        yield Progress("success")

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        info = await super().show(name)
        info.modelfile = "FROM bard\nSYSTEM Thou art a poet.\nPARAMETER top_k 40\n"
        return info


async def opened(pilot: Pilot[None], app: Workstation, key: str) -> ModelfileEditor:
    await until(pilot, lambda: app.services.library.view.value.known and "llama3.1:8b" in screen_text(app))
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, ModelfileEditor) and "no faults" in screen_text(app))
    screen = app.screen
    assert isinstance(screen, ModelfileEditor)
    return screen


async def put(pilot: Pilot[None], screen: ModelfileEditor, text: str) -> None:
    """Paste `text` in place of what is there."""
    await pilot.press("f7")
    screen.app.post_message(Paste(text))
    await until(pilot, lambda: screen.draft.text == text)


async def test_a_new_model_is_written_and_made(tmp_path: Path) -> None:
    engine = Maker()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        screen = await opened(pilot, app, "n")
        assert screen.draft.text.startswith("FROM bard:latest\n")
        await put(pilot, screen, "FROM bard\nSYSTEM Be brief.\nPARAMETER temperature 0.2")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Name of the model" in screen_text(app))
        await pilot.press(*"no good")
        await until(pilot, lambda: "invalid model name" in screen_text(app))
        await pilot.press("ctrl+u", *"terse", "enter")
        await until(pilot, lambda: engine.made)
        await until(pilot, lambda: not isinstance(app.screen, ModelfileEditor))
        request = engine.made[0]
        assert (request.model, request.from_, request.system) == ("terse", "bard", "Be brief.")
        assert request.parameters == {"temperature": 0.2}
        await until(pilot, lambda: "create terse: done" in notices(app))
        screen = await opened(pilot, app, "n")
        assert "Be brief" not in screen.draft.text  # what became a model is no draft any more


async def test_faults_are_told_with_their_lines_and_keep_the_model_from_being_made(tmp_path: Path) -> None:
    engine = Maker()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True, size=(120, 30)) as pilot:
        screen = await opened(pilot, app, "n")
        await put(pilot, screen, "FROM bard\n\nPARAMETER temprature 1\nSISTEM x")
        await until(pilot, lambda: "✗ line 3:" in screen_text(app) and "✗ line 4:" in screen_text(app))
        assert "Did you mean SYSTEM?" in screen_text(app)
        assert "2 errors" in screen_text(app)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.area.cursor_location == (2, 0))
        await pilot.press("ctrl+n")
        await until(pilot, lambda: screen.area.cursor_location == (3, 0))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: notices(app))
        assert notices(app)[0].startswith("line 3: ")
        assert engine.made == []


async def test_tab_completes_instructions_parameters_and_models(tmp_path: Path) -> None:
    app = workstation(tmp_path, Maker())
    async with app.run_test() as pilot:
        screen = await opened(pilot, app, "n")
        await pilot.press("f7", *"fr")
        await until(pilot, lambda: "tab  FROM" in screen_text(app))
        await pilot.press("tab")
        await until(pilot, lambda: screen.area.text == "FROM " and "llava" in screen_text(app))
        await pilot.press(*"ll")
        await until(pilot, lambda: "tab  llama3.1:8b · llava" in screen_text(app))
        await pilot.press("tab")
        await until(pilot, lambda: screen.area.text == "FROM lla")
        await until(pilot, lambda: "tab  llama3.1:8b · llava" in screen_text(app))
        await pilot.press("tab", "tab")
        await until(pilot, lambda: screen.area.text == "FROM llava:13b-v1.6-vicuna-q4_K_M")
        await pilot.press("enter", *"parameter mirostat_t")
        await until(pilot, lambda: "tab  mirostat_tau" in screen_text(app))
        await pilot.press("tab", "5")
        await until(pilot, lambda: screen.area.text.endswith("parameter mirostat_tau 5"))


async def test_the_prompt_of_a_draft_is_shown_by_its_own_template(tmp_path: Path) -> None:
    app = workstation(tmp_path, Maker())
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await opened(pilot, app, "n")
        await until(pilot, lambda: "by the template" in screen_text(app))
        await put(pilot, screen, "FROM bard\nSYSTEM Sing.\nTEMPLATE <s>{{ .System }}</s><u>{{ .Prompt }}</u>")
        await until(pilot, lambda: "<s>Sing.</s><u>Why is the sky blue?</u>" in screen_text(app))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "<u>And at sunset?</u>" in screen_text(app))
        await put(pilot, screen, "FROM bard\nTEMPLATE {{ if }}")
        await until(pilot, lambda: "missing value for if" in screen_text(app))


async def test_leaving_asks_what_becomes_of_changes(tmp_path: Path) -> None:
    app = workstation(tmp_path, Maker())
    async with app.run_test() as pilot:
        screen = await opened(pilot, app, "e")
        assert "SYSTEM Thou art a poet." in screen.draft.text
        await pilot.press("escape")  # nothing was changed: nothing is asked
        await until(pilot, lambda: not isinstance(app.screen, ModelfileEditor))
        screen = await opened(pilot, app, "e")
        await pilot.press("ctrl+end", *"# mine", "escape")
        await until(pilot, lambda: "Leave the editor?" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)
        await pilot.press("escape", "enter")
        await until(pilot, lambda: not isinstance(app.screen, ModelfileEditor))
        screen = await opened(pilot, app, "e")
        assert screen.draft.text.endswith("# mine")
        await pilot.press("escape", "d")
        await until(pilot, lambda: not isinstance(app.screen, ModelfileEditor))
        screen = await opened(pilot, app, "e")
        assert "# mine" not in screen.draft.text


async def test_a_failure_and_a_crash_leave_the_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Maker()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    engine.failures["create"] = StoreError("the disk is full", hint="Free some of it.")
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        screen = await opened(pilot, app, "n")
        await put(pilot, screen, "FROM bard\nSYSTEM Be brief.")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Name of the model" in screen_text(app))
        await pilot.press(*"terse", "enter")
        await until(pilot, lambda: "create terse: the disk is full\nFree some of it." in notices(app))
        assert app.screen is screen
        assert "✗ the disk is full  Free some of it." in screen_text(app)
        await pilot.press("ctrl+end", "!")
        kept = tmp_path / "state" / "ollama-tui" / "modelfiles" / "new.json"
        await until(pilot, lambda: "brief.!" in kept.read_text())
        # the app ends here with the editor open
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        screen = await opened(pilot, app, "n")
        assert screen.draft.text == "FROM bard\nSYSTEM Be brief.!"
        assert screen.draft.name == "terse"


async def test_making_a_model_shows_how_far_it_is_and_can_be_stopped(tmp_path: Path) -> None:
    engine = Maker()
    engine.slow = asyncio.Event()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True, size=(120, 30)) as pilot:
        screen = await opened(pilot, app, "e")
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "Quantize weights in F16" in screen_text(app))
        await pilot.press(*"q4_k_m", "enter")
        await until(pilot, lambda: "quantize to Q4_K_M" in screen_text(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "bard:latest is replaced" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "42% of" in screen_text(app))
        assert "esc stop" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "Stop making bard:latest?" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "create bard:latest: canceled" in notices(app))
        assert app.screen is screen
        assert engine.made == []


async def test_a_model_goes_on_being_made_when_the_editor_is_left(tmp_path: Path) -> None:
    engine = Maker()
    engine.slow = asyncio.Event()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app, "e")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Name of the model" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "go on elsewhere" in screen_text(app))
        await pilot.press("ctrl+l")
        await until(pilot, lambda: not isinstance(app.screen, ModelfileEditor))
        engine.slow.set()
        await until(pilot, lambda: "create bard:latest: done" in notices(app))


async def test_a_name_that_is_taken_is_asked_about(tmp_path: Path) -> None:
    engine = Maker()
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await opened(pilot, app, "n")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Name of the model" in screen_text(app))
        await pilot.press(*"llama3.1:8b", "enter")
        await until(pilot, lambda: "Replace llama3.1:8b?" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ModelfileEditor))
        assert engine.made == []


async def test_a_gguf_file_of_this_machine_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").write_bytes(b"x" * 2000)
    app = workstation(tmp_path, Maker())
    async with app.run_test() as pilot:
        screen = await opened(pilot, app, "n")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "models/tiny.gguf" in screen_text(app))
        await pilot.press(*"tiny", "enter")
        await until(pilot, lambda: screen.draft.text.splitlines()[0].endswith("models/tiny.gguf"))
        await until(pilot, lambda: "✗ line 1:" in screen_text(app))


async def test_what_a_terminal_would_obey_is_shown(tmp_path: Path) -> None:
    app = workstation(tmp_path, Maker())
    async with app.run_test() as pilot:
        screen = await opened(pilot, app, "n")
        screen.area.insert("# [b]\x1b]0;x\x9b", (0, 0))
        await until(pilot, lambda: "# [b]␛]0;x" in screen_text(app))
        assert "\x1b" not in screen_text(app)
