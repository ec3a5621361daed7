"""How well text on a screen stands out: the pairs of colours that are really drawn, and their contrast (WCAG 2)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.color import Color, ColorSystem, ColorType
from rich.color_triplet import ColorTriplet
from textual.app import App
from textual.color import Color as TextualColor
from textual.constants import DIM_FACTOR

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


def worst(app: App[object], *, colors: ColorSystem | None = None) -> tuple[float, str]:
    """The least contrast of any text that the screen shows now, and what it is. `colors`: as fewer colours show it."""
    palettes = PALETTES[app.current_theme.dark]
    found = [
        (contrast(palette.rgb(text, ground=False), palette.rgb(ground, ground=True)), f"{words!r}: {text} on {ground}")
        for words, text, ground in _drawn(app)
        for palette in palettes
        for text, ground in [(_fewer(text, colors), _fewer(ground, colors))]
    ]
    return min(found)


def _fewer(color: Color | None, colors: ColorSystem | None) -> Color | None:
    return color.downgrade(colors) if color is not None and colors is not None else color


def _drawn(app: App[object]) -> Iterator[tuple[str, Color | None, Color | None]]:
    for strip in app.screen._compositor.render_strips():
        for words, style, _ in strip:
            if style is None or not any(map(_is_text, words)):
                continue
            text, ground = (style.bgcolor, style.color) if style.reverse else (style.color, style.bgcolor)
            if style.dim and text is not None and ground is not None and text.triplet and ground.triplet:
                text = (
                    TextualColor.from_rich_color(ground)
                    .blend(TextualColor.from_rich_color(text), DIM_FACTOR)
                    .rich_color
                )
            yield words.strip(), text, ground


def _is_text(character: str) -> bool:
    """Words, figures, punctuation and marks; no frames, bars, rules and blanks."""
    return unicodedata.category(character)[0] in "LNPS" and not 0x2500 <= ord(character) <= 0x259F
