"""Settings in the program: each with its source, filtered, checked, written with comments kept, and `:set`."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_engine.settings import default_config_file
from ollama_tui.app import Workstation
from ollama_tui.settings_file import open_settings
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.settings_screen import SettingsScreen
from tests.support.workstation import notices, screen_text, until, workstation


async def open_screen(app: Workstation, pilot: object) -> None:
    await pilot.press("comma")  # pyright: ignore[reportAttributeAccessIssue]
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and "keep_alive" in screen_text(app))  # pyright: ignore[reportArgumentType]


@pytest.fixture
def file() -> Path:
    path = default_config_file()
    path.parent.mkdir(parents=True)
    path.write_text('# mine\nmax_queue = 7  # few\ntheme = "paper"\n', encoding="utf-8")
    return path


async def test_each_setting_shows_where_its_value_comes_from(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_KEEP_ALIVE", "10m")
    app = workstation(tmp_path)
    app.settings_service = open_settings(file, {"ssh": "on"})
    async with app.run_test(size=(100, 70)) as pilot:
        await until(pilot, lambda: app.focused)
        await open_screen(app, pilot)
        rows = {line.split()[0]: line.split()[1:] for line in screen_text(app).splitlines() if line.split()}
        assert rows["keep_alive"] == ["10m0s", "environment"]
        assert rows["max_queue"] == ["7", "config.toml"]
        assert rows["ssh"] == ["on", "command", "line"]
        assert rows["num_parallel"] == ["0", "default"]


async def test_a_setting_is_found_checked_and_written_with_comments_kept(tmp_path: Path, file: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        await open_screen(app, pilot)
        await pilot.press("slash", *"waits 503".replace("waits", "wait"), "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        await pilot.press(*"lots")
        await until(pilot, lambda: "bad value 'lots'" in screen_text(app))
        await pilot.press("enter")
        assert isinstance(app.screen, AskScreen)
        await pilot.press("ctrl+u", *"12", "enter")
        await until(pilot, lambda: "max_queue = 12" in file.read_text(encoding="utf-8"))
        assert file.read_text(encoding="utf-8") == '# mine\nmax_queue = 12  # few\ntheme = "paper"\n'
        await until(pilot, lambda: notices(app) == ["max_queue = 12. It holds from the next start."])
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        await pilot.press("u")
        await until(pilot, lambda: "max_queue" not in file.read_text(encoding="utf-8"))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: not isinstance(app.screen, SettingsScreen))


async def test_words_go_round_and_hold_at_once(tmp_path: Path, file: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        await open_screen(app, pilot)
        await pilot.press("slash", *"keymap", "enter")
        await pilot.press("space")
        await until(pilot, lambda: 'keymap = "vim"' in file.read_text(encoding="utf-8"))
        await until(pilot, lambda: "j" in app.keymap.keys["list.down"])


async def test_a_flag_that_hides_the_file_is_told_of(tmp_path: Path, file: Path) -> None:
    app = workstation(tmp_path)
    app.settings_service = open_settings(file, {"ssh": "on"})
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        await pilot.press("colon", *"set ssh off", "enter")
        await until(pilot, lambda: notices(app))
        assert notices(app) == ["ssh = off. --ssh was given on the command line, which goes before the file."]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("set theme contrast", "theme = contrast."),
        ("set theme contrsat", "There is no theme 'contrsat'."),
        ("set max_queue", "max_queue = 7 (config.toml): requests that may wait before 503"),
        ("set max_queue many", "bad value 'many'"),
        ("set max_cue 3", "Did you mean 'max_queue'?"),
        ("set max_cue", "Did you mean 'max_queue'?"),
    ],
)
async def test_set_by_name(tmp_path: Path, file: Path, text: str, said: str) -> None:
    app = workstation(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        await pilot.press("colon", *text, "enter")
        await until(pilot, lambda: notices(app))
        assert said in notices(app)[0]
        assert len(notices(app)) == 1
    if "contrast" in text:
        assert app.theme == "contrast"
    if "contrsat" in text:
        assert 'theme = "paper"' in file.read_text(encoding="utf-8")


async def test_a_theme_that_is_not_there_is_refused_where_it_is_typed(tmp_path: Path, file: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        await open_screen(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        await pilot.press("ctrl+u", *"nrod")
        await until(pilot, lambda: "There is no theme 'nrod'." in screen_text(app))
        await pilot.press("enter", "ctrl+u", *"nord", "enter")
        await until(pilot, lambda: 'theme = "nord"' in file.read_text(encoding="utf-8"))
