"""`SpeedPlot`: lines of speed, drawn by textual-plot, which is imported when there is something to draw."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.events import Resize

if TYPE_CHECKING:
    from textual_plot import PlotWidget

SECONDS = 0.5
"""Between two drawings: a plot is many cells."""


@dataclass(frozen=True)
class Series:
    """One line; `x` rises. `color` as rich names it."""

    color: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Drawing:
    """`marks` draws each point as well; `ticks` are the only places on the x axis that have a number."""

    series: tuple[Series, ...] = ()
    marks: bool = False
    ticks: tuple[float, ...] = ()


class SpeedPlot(Vertical):
    """Shows the newest `Drawing` that it was given, at most every half second."""

    DEFAULT_CSS = """
    SpeedPlot {
        PlotWidget { background: $background; }
        PlotWidget > .plot--axis { color: $border-blurred; }
        PlotWidget > .plot--tick { color: $muted; text-style: none; }
        Canvas { background: $background; }
    }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.can_focus = False
        self._wanted = Drawing()
        self._drawn: Drawing | None = None
        self._plot: PlotWidget | None = None
        self._drawing = False

    @property
    def is_drawn(self) -> bool:
        """Whether what was asked for last is on the screen."""
        return self._drawn == self._wanted

    def show(self, drawing: Drawing) -> None:
        """Draw this soon; nothing happens where it is drawn already."""
        self._wanted = drawing
        if drawing != self._drawn and not self._drawing:
            self._drawing = True
            self.run_worker(self._draw_newest, group="plot")

    def on_resize(self, event: Resize) -> None:
        self._drawn = None
        self.show(self._wanted)

    async def _draw_newest(self) -> None:
        try:
            if self._plot is None:
                self._plot = await self._make()
            while self._wanted != self._drawn:
                self._drawn = self._wanted
                self._draw(self._plot, self._drawn)
                await asyncio.sleep(SECONDS)
        finally:
            self._drawing = False

    async def _make(self) -> PlotWidget:
        # It brings numpy and takes half a second, which the screen shall not wait for.
        module = await asyncio.to_thread(importlib.import_module, "textual_plot")
        plot: PlotWidget = module.PlotWidget(allow_pan_and_zoom=False)
        plot.can_focus = False
        await self.mount(plot)
        plot.margin_top, plot.margin_bottom, plot.margin_left = 0, 1, 7
        return plot

    def _draw(self, plot: PlotWidget, drawing: Drawing) -> None:
        from textual_plot import HiResMode

        plot.clear()
        for series in drawing.series:
            plot.plot(series.x, series.y, line_style=series.color, hires_mode=HiResMode.BRAILLE)
            if drawing.marks:
                plot.scatter(series.x, series.y, marker="■", marker_style=series.color)
        highest = max((value for series in drawing.series for value in series.y), default=1.0)
        plot.set_ylimits(0, highest * 1.1 or 1.0)
        plot.set_xticks(drawing.ticks or None)
        if drawing.ticks:
            plot.set_xlimits(drawing.ticks[0] - 0.5, drawing.ticks[-1] + 0.5)
        else:
            plot.set_xlimits(None, None)
