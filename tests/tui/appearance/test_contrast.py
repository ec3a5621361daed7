"""Every text that the workstation draws can be read: in all themes, as it is on the screen, at 4.5 to 1 or more."""

from __future__ import annotations

from pathlib import Path

from textual.color import Color

from ollama_tui.appearance import themes
from tests.support.contrast import worst
from tests.support.demo_engine import DemoEngine, demo_requests, demo_running
from tests.support.workstation import screen_text, until, workstation

THEMES = {theme.name: theme for theme in themes.load([themes.bundled_folder()])[0]}

STATES = [
    [],
    ["i"],
    ["down"],
    ["slash", *"x"],
    ["ctrl+u", "escape", "escape", "2"],
    ["3"],
    ["tab"],
    ["4", *"hail", "enter"],
    ["h", "a"],
    ["ctrl+o"],
    ["escape", "escape", "5"],
    ["question_mark"],
    ["escape", "ctrl+p"],
    [*"theme"],
]
"""Keys pressed one after another: what is looked at."""


async def test_every_text_on_the_screen_can_be_read_in_every_theme(tmp_path: Path) -> None:
    engine = DemoEngine(
        running=[demo_running(), demo_running("bard:latest", "idle"), demo_running("qwen2.5-coder:7b", "loading")]
    )
    engine.running_requests = demo_requests()
    app = workstation(tmp_path, engine)
    app.appearance.highlighted = lambda event: None  # here the test chooses the themes
    failed: dict[str, float] = {}
    async with app.run_test(size=(160, 45), notifications=True) as pilot:
        await until(pilot, lambda: app.focused)
        app.notify("Something that was awaited is done.", title="Pulled", timeout=600)
        app.notify("Something is wrong.", severity="error", timeout=600)
        app.notify("Something may be wrong.", severity="warning", timeout=600)
        for keys in STATES:
            await pilot.press(*keys)
            if "enter" in keys:
                await until(pilot, lambda: "tok/s" in screen_text(app))
            await pilot.pause(0.1)
            for name in THEMES:
                app.theme = name
                await pilot.pause()
                for colors in (0, 256):
                    ratio, what = worst(app, colors=colors)
                    if ratio < (7.0 if name.startswith("contrast") and not colors else 4.5):
                        failed.setdefault(f"{name}{colors or ''}: {what}, after {keys}", round(ratio, 2))
    assert not failed, "\n".join(f"{ratio} {what}" for what, ratio in failed.items())


_SIMULATED = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
"""Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB."""


def test_states_are_told_apart_without_a_kind_of_cone() -> None:
    theme = THEMES["colorblind"]
    states = {name: Color.parse(getattr(theme, name) or "") for name in ("success", "warning", "error")}
    for blindness, matrix in _SIMULATED.items():
        seen = {name: _seen(color, matrix) for name, color in states.items()}
        for one, other in (("success", "warning"), ("success", "error"), ("warning", "error")):
            assert _distance(seen[one], seen[other]) >= 20, (blindness, one, other)


def _seen(color: Color, matrix: tuple[tuple[float, ...], ...]) -> Color:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    mixed = [max(0.0, min(1.0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in matrix]
    srgb = [part * 12.92 if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055 for part in mixed]
    return Color(*(round(part * 255) for part in srgb))


def _distance(one: Color, other: Color) -> float:
    """In CIE L*a*b*: 2 is just to be seen, 20 is another colour."""
    return sum((a - b) ** 2 for a, b in zip(_lab(one), _lab(other), strict=True)) ** 0.5


def _lab(color: Color) -> tuple[float, float, float]:
    from textual.color import rgb_to_lab

    lab = rgb_to_lab(color)
    return lab.L, lab.a, lab.b
