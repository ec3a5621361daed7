"""ASCII on demand: frames, bars, sparklines and marks become ASCII of the same width, over all that is drawn.

A filter over the whole output, so that no pane needs to know of it. Words stay as they are, whatever their alphabet.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_MARKS = {
    "•◦‣⁃∙·": "*oo-..",
    "●○◌◍◎◉◯": "*oo@@@O",
    "■□▪▫▢▣": "#o*o[#",
    "◆◇◈⬥⬦": "*o*.o",
    "▲△▴▵▼▽▾▿": "^^^^vvvv",
    "▶▷▸▹►▻◀◁◂◃◄◅": ">>>>>><<<<<<",
    "←↑→↓↔↕⇐⇑⇒⇓↵↩⏎↺↻⟳": "<^>v-|<^=v<<<@@@",
    "✓✔☑✗✘✕✖☐☒": "vvvxxxxox",
    "★☆✦✧✱✲✳⚑⚠": "*******!!",
    "⏸⏵⏹⏺⏭⏮": "=>x*>>",
    "…‥×÷°–—‐‑−±≈≤≥≠": "..x/o-----~~<>!",
    "“”„‘’‚«»‹›": '"""\'\',<><>',
    "␛␡⋯⋮∞µ": "?x.:8u",
}
_SPARKS = dict(zip("▁▂▃▄▅▆▇█", "_.,-=+*#", strict=True))
_BLOCKS = {
    **dict.fromkeys("▉▊▋▌█▐▓▙▛▜▟▀▔▄", "#"),
    **dict.fromkeys("▍▎▏▕│┃║", "|"),
    **dict.fromkeys("▒", "%"),
    **dict.fromkeys("░", ":"),
    **dict.fromkeys("▖▗▘▝", "."),
    **dict.fromkeys("▚▞", "%"),
}


def _table() -> Iterator[tuple[int, str]]:
    for glyphs, ascii_ in _MARKS.items():
        yield from zip(map(ord, glyphs), ascii_, strict=True)
    for code in range(0x2500, 0x2580):  # frames: whatever is neither level nor upright is a corner or a crossing
        yield code, "+"
    yield from ((ord(glyph), "-") for glyph in "─╌┄┈╴╶╼╾")
    yield from ((ord(glyph), "=") for glyph in "━═╍┅┉╸╺")
    yield from ((ord(glyph), "|") for glyph in "│┃║╎╏┆┇┊┋╵╷╹╻╽╿")
    yield from zip(map(ord, "╱╲╳"), "/\\x", strict=True)
    yield ord("🔎"), "> "  # two cells wide
    yield from ((ord(glyph), ascii_) for glyph, ascii_ in {**_BLOCKS, **_SPARKS}.items())
    for dots in range(256):  # braille, as plots draw it: the more dots, the darker
        yield 0x2800 + dots, " .:+*%##@"[dots.bit_count()]


ASCII = dict(_table())
"""Our glyphs and ASCII for each, as wide."""


class AsciiGlyphs(LineFilter):
    """Every segment with our glyphs replaced."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.text.isascii()
            else Segment(segment.text.translate(ASCII), segment.style, segment.control)
            for segment in segments
        ]
