"""Fewer colours: each colour becomes the nearest of xterm's 256, so that themes look as they do in full colour.

Rich, left alone, takes a tinted grey for a colour: slate becomes teal. Here the nearest is what looks nearest.
"""

from __future__ import annotations

from functools import cache, lru_cache

from rich.color import Color as RichColor
from rich.color import ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_STEPS = (0, 95, 135, 175, 215, 255)


class EightBitColors(LineFilter):
    """Turns true colours into the nearest of the 256; the terminal's own sixteen stay as they are."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.style is None else Segment(segment.text, eight_bit_style(segment.style), segment.control)
            for segment in segments
        ]


@lru_cache(4096)
def eight_bit_style(style: Style) -> Style:
    text, ground = style.color, style.bgcolor
    if not any(color is not None and color.type is ColorType.TRUECOLOR for color in (text, ground)):
        return style
    return style + Style.from_color(_eight_bit(text), _eight_bit(ground))


def _eight_bit(color: RichColor | None) -> RichColor | None:
    return nearest(color.triplet) if color is not None and color.triplet is not None else color


@lru_cache(4096)
def nearest(color: ColorTriplet) -> RichColor:
    """The colour of xterm's cube or its greys that looks most like this one."""
    wanted = _lab(color)
    number = min(_palette(), key=lambda entry: sum((a - b) ** 2 for a, b in zip(entry[1], wanted, strict=True)))[0]
    return RichColor.from_ansi(number)


@cache
def _palette() -> tuple[tuple[int, tuple[float, float, float]], ...]:
    cube = [
        (16 + 36 * red + 6 * green + blue, ColorTriplet(_STEPS[red], _STEPS[green], _STEPS[blue]))
        for red in range(6)
        for green in range(6)
        for blue in range(6)
    ]
    greys = [(232 + step, ColorTriplet(*(8 + 10 * step,) * 3)) for step in range(24)]
    return tuple((number, _lab(color)) for number, color in (*cube, *greys))


def _lab(color: ColorTriplet) -> tuple[float, float, float]:
    """Lightness and two hues as the eye weighs them (Oklab); lightness counts double, for it makes text readable."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized
    )
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    middle = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        2 * (0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short),
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )
