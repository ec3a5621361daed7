"""How well text on a screen stands out: the pairs of colours that are really drawn, and their contrast (WCAG 2)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.color import Color, ColorType, blend_rgb
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.app import App
from textual.constants import DIM_FACTOR
from textual.screen import ModalScreen

from ollama_tui.terminal.colors import eight_bit_style

_VGA = "000000 aa0000 00aa00 aa5500 0000aa aa00aa 00aaaa aaaaaa 555555 ff5555 55ff55 ffff55 5555ff ff55ff 55ffff ffffff"
_XTERM = (
    "000000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5 7f7f7f ff0000 00ff00 ffff00 5c5cff ff00ff 00ffff ffffff"
)
_BLACK, _WHITE = ColorTriplet(0, 0, 0), ColorTriplet(255, 255, 255)


@dataclass(frozen=True)
class Palette:
    """What a terminal makes of its sixteen colours, and of its own foreground and background."""

    colors: tuple[ColorTriplet, ...]
    foreground: ColorTriplet
    background: ColorTriplet

    def rgb(self, color: Color | None, *, ground: bool) -> ColorTriplet:
        if color is None or color.type is ColorType.DEFAULT:
            return self.background if ground else self.foreground
        if color.type is ColorType.STANDARD and color.number is not None:
            return self.colors[color.number]
        return color.get_truecolor()


def _palette(colors: str, dark: bool) -> Palette:
    triplets = tuple(ColorTriplet(*bytes.fromhex(one)) for one in colors.split())
    return Palette(triplets, triplets[7] if dark else _BLACK, _BLACK if dark else _WHITE)


PALETTES: Mapping[bool, tuple[Palette, Palette]] = {
    dark: (_palette(_VGA, dark), _palette(_XTERM, dark)) for dark in (True, False)
}
"""The Linux console's and xterm's, on a dark and on a light ground."""


def contrast(one: ColorTriplet, other: ColorTriplet) -> float:
    """From 1 (the same) to 21 (black on white)."""
    lights = sorted((_luminance(one), _luminance(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(color: ColorTriplet) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def worst(app: App[Any], *, colors: int = 0) -> tuple[float, str]:
    """The least contrast of any text that the screen shows now, and what it is. `colors`: 256, as so many show it.

    What stands behind a modal screen is left out: nobody is to read it.
    """
    palettes = PALETTES[app.current_theme.dark]
    found: list[tuple[float, str]] = [(21.0, "nothing")]
    for words, style in _drawn(app):
        seen = eight_bit_style(style) if colors else style
        text, ground = (seen.bgcolor, seen.color) if seen.reverse else (seen.color, seen.bgcolor)
        for palette in palettes:
            over, under = palette.rgb(text, ground=seen.reverse is True), palette.rgb(ground, ground=not seen.reverse)
            if seen.dim:
                over = blend_rgb(under, over, DIM_FACTOR)
            found.append((contrast(over, under), f"{words!r}: {text} on {ground}"))
    return min(found)


def _drawn(app: App[Any]) -> Iterator[tuple[str, Style]]:
    screen = app.screen
    for y, strip in enumerate(screen._compositor.render_strips()):
        x = 0
        for words, style, _ in strip:
            behind = isinstance(screen, ModalScreen) and screen.get_widget_at(x, y)[0] is screen
            if style is not None and not behind and any(map(_is_text, words)):
                yield words.strip(), style
            x += cell_len(words)


def _is_text(character: str) -> bool:
    """Words, figures, punctuation and marks; no frames, bars, rules and blanks."""
    return unicodedata.category(character)[0] in "LNPS" and not 0x2500 <= ord(character) <= 0x259F
