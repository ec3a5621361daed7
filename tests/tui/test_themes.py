"""Themes: the bundled ones are readable; a bad file is reported and stands in nobody's way."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.color import Color

from ollama_engine.settings import Settings
from ollama_tui import themes
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore
from tests.support.demo_engine import DemoEngine
from tests.support.workstation import notices, until, workstation

BUNDLED, BAD = themes.load([themes.bundled_folder()])
TEXT_COLORS = ("foreground", "primary", "accent", "success", "warning", "error", "secondary")


def test_there_are_a_dark_a_light_and_a_high_contrast_theme() -> None:
    assert BAD == []
    kinds = {theme.name: theme.dark for theme in BUNDLED}
    assert kinds.items() >= {"ink": True, "paper": False, "contrast": True}.items()


def _luminance(color: Color) -> float:
    parts = [part / 255 for part in (color.r, color.g, color.b)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    lights = sorted((_luminance(Color.parse(one)), _luminance(Color.parse(other))))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


@pytest.mark.parametrize("theme", BUNDLED, ids=lambda theme: theme.name)
def test_text_stands_out_from_every_ground_by_at_least_4_5_to_1(theme: themes.Theme) -> None:
    for ground in ("background", "surface", "panel"):
        texts = {color: getattr(theme, color) for color in TEXT_COLORS} | {"muted": theme.variables["muted"]}
        for color, value in texts.items():
            assert _contrast(value, getattr(theme, ground)) >= 4.5, (color, ground)
    cursor = theme.variables
    assert _contrast(cursor["block-cursor-foreground"], cursor["block-cursor-background"]) >= 4.5
    assert _contrast(cursor["footer-key-foreground"], cursor["footer-background"]) >= 4.5
    assert _contrast(cursor["footer-description-foreground"], cursor["footer-background"]) >= 4.5


GOOD = """
name = "mine"
dark = true
[colors]
background = "#000000"
surface = "#000000"
panel = "#111111"
foreground = "#ffffff"
primary = "#88aaff"
accent = "#ffaa88"
success = "#88ff88"
warning = "#ffff88"
error = "#ff8888"
"""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("name =", "nom ="), "unknown key 'nom'"),
        (("dark = true", ""), "'dark' must be true or false"),
        (('panel = "#111111"', ""), "the colour 'panel' is missing"),
        (('"#111111"', '"#11111g"'), "'#11111g' is no colour for 'panel'"),
        (("[colors]", "[colors"), "Expected ']'"),
        (("panel =", "pannel ="), "unknown colour 'pannel'"),
        (('error = "#ff8888"', 'error = "#ff8888"\n[variables]\nborder = "wavy"'), "'wavy' is no colour for 'border'"),
    ],
)
def test_a_file_that_is_no_theme_is_left_out_with_its_reason(
    tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "wrong.toml").write_text(GOOD.replace(*change))
    loaded, bad = themes.load([tmp_path])
    assert [theme.name for theme in loaded] == ["mine"]
    assert [one.path.name for one in bad] == ["wrong.toml"]
    assert reason in bad[0].reason


async def test_one_bad_file_is_one_notification_and_good_ones_can_be_used(tmp_path: Path) -> None:
    folder = tmp_path / "themes"
    folder.mkdir()
    (folder / "good.toml").write_text(GOOD)
    (folder / "bad.toml").write_text("name = 1")
    app = Workstation(
        DemoEngine(),
        Settings(),
        chats=ChatStore(tmp_path / "chats.db"),
        host_label="demo",
        theme_folders=[folder],
        machine_memory=lambda: 0,
    )
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: notices(app))
        assert len(notices(app)) == 1
        assert "bad.toml: 'name' is missing" in notices(app)[0]
        assert app.theme == "ink"
        app.theme = "mine"
        await pilot.pause()


@pytest.mark.parametrize("name", [theme.name for theme in BUNDLED])
async def test_every_pane_draws_in_every_bundled_theme(tmp_path: Path, name: str) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        app.theme = name
        for key in ("2", "3", "5", "4"):
            await pilot.press(key)
        await until(pilot, lambda: app.pane == "chat")
