"""The chart of a run as PNG, drawn at twice its size."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from ollama_engine.bench.export.chart import WIDTH, Box, Line, Words, chart
from ollama_engine.bench.records import Run

SCALE = 2
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def write(run: Run) -> bytes:
    drawn = chart(run)
    image = Image.new("RGB", (WIDTH * SCALE, drawn.height * SCALE), "#ffffff")
    draw = ImageDraw.Draw(image)
    for mark in drawn.marks:
        match mark:
            case Line():
                spots = [value * SCALE for value in (mark.x1, mark.y1, mark.x2, mark.y2)]
                draw.line(spots, fill=mark.color, width=round(mark.width * SCALE))
            case Box():
                corner = ((mark.x + mark.width) * SCALE, (mark.y + mark.height) * SCALE)
                draw.rectangle([(mark.x * SCALE, mark.y * SCALE), corner], fill=mark.color)
            case Words():
                font = ImageFont.load_default(mark.size * SCALE)
                place = (mark.x * SCALE, mark.y * SCALE)
                draw.text(place, mark.text, fill=mark.color, font=font, anchor=_ANCHORS[mark.anchor])
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
