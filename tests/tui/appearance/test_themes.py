"""Theme files: what is wrong with one is said with its key and line, and it stands in nobody's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_tui.appearance import themes

GOOD = """name = "mine"
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


def test_the_themes_of_the_package() -> None:
    loaded, bad = themes.load([themes.bundled_folder()])
    assert bad == []
    kinds = {theme.name: (theme.dark, theme.ansi) for theme in loaded}
    assert len(kinds) >= 8
    assert (
        kinds.items()
        >= {
            "ink": (True, False),
            "paper": (False, False),
            "contrast": (True, False),
            "contrast-light": (False, False),
            "ansi": (True, True),
            "ansi-light": (False, True),
            "colorblind": (True, False),
        }.items()
    )


@pytest.mark.parametrize(
    ("change", "line", "reason"),
    [
        (("name =", "names ="), 1, "unknown key 'names' (did you mean 'name'?)"),
        (('"mine"', '"my own [b]"'), 1, "'name' must be a word"),
        (("dark = true", ""), 0, "'dark' must be true or false"),
        (("dark = true", 'dark = "yes"'), 2, "'dark' must be true or false"),
        (('panel = "#111111"', ""), 3, "the colour 'panel' is missing"),
        (('"#111111"', '"#11111g"'), 6, "'#11111g' is no colour for 'panel'"),
        (('"#111111"', "111111"), 6, "'panel' must be a text"),
        (("[colors]", "[colors"), 3, "Expected ']'"),
        (("panel =", "pannel ="), 6, "unknown colour 'pannel' (did you mean 'panel'?)"),
        (("#ff8888", '#ff8888"\n[variables]\nborder = "wavy'), 14, "'wavy' is no colour for 'border'"),
        (("#ff8888", '#ff8888"\n[variables]\nbordre = "red'), 14, "unknown variable 'bordre' (did you mean 'border'?)"),
    ],
)
def test_a_file_that_is_no_theme_is_left_out_with_its_reason(
    tmp_path: Path, change: tuple[str, str], line: int, reason: str
) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "wrong.toml").write_text(GOOD.replace(*change))
    loaded, bad = themes.load([tmp_path])
    assert [theme.name for theme in loaded] == ["mine"]
    (one,) = bad
    assert (one.path.name, one.line) == ("wrong.toml", line)
    assert reason in one.reason
    assert (f"wrong.toml, line {line}: " if line else "wrong.toml: ") in str(one)


def test_a_file_that_is_no_text_and_a_link_to_nowhere_are_reported_too(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "gone.toml").symlink_to(tmp_path / "nowhere")
    _, bad = themes.load([tmp_path])
    assert [one.reason for one in bad] == ["is not UTF-8 text", "cannot be read: No such file or directory"]


def test_a_users_own_theme_goes_before_one_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "ink.toml").write_text(GOOD.replace("mine", "ink"))
    loaded, _ = themes.load([themes.bundled_folder(), tmp_path])
    (ink,) = [theme for theme in loaded if theme.name == "ink"]
    assert ink.primary == "#88aaff"


def test_quiet_text_of_a_theme_without_a_muted_colour_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    (mine,), _ = themes.load([tmp_path])
    assert mine.variables["muted"] == mine.variables["text-disabled"] == "#BFBFBF"
