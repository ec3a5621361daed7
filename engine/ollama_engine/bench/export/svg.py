"""The chart of a run as SVG."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from ollama_engine.bench.export.chart import WIDTH, Box, Line, Words, chart
from ollama_engine.bench.records import Run

FONT = "system-ui, sans-serif"


def write(run: Run) -> str:
    drawn = chart(run)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{drawn.height}"'
        f' viewBox="0 0 {WIDTH} {drawn.height}" font-family={quoteattr(FONT)}>',
        f'<rect width="{WIDTH}" height="{drawn.height}" fill="#ffffff"/>',
        *map(_mark, drawn.marks),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _mark(mark: Line | Box | Words) -> str:
    match mark:
        case Line():
            return (
                f'<line x1="{mark.x1:.1f}" y1="{mark.y1:.1f}" x2="{mark.x2:.1f}" y2="{mark.y2:.1f}"'
                f' stroke="{mark.color}" stroke-width="{mark.width:g}"/>'
            )
        case Box():
            return (
                f'<rect x="{mark.x:.1f}" y="{mark.y:.1f}" width="{mark.width:.1f}" height="{mark.height:.1f}"'
                f' fill="{mark.color}"/>'
            )
        case Words():
            return (
                f'<text x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size}" fill="{mark.color}"'
                f' text-anchor="{mark.anchor}">{escape(_writable(mark.text))}</text>'
            )


def _writable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(character if character.isprintable() else "�" for character in text)
