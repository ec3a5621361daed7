"""The machine's devices under the models: load, memory, heat, power, a line each."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from ollama_engine.types import Device
from ollama_tui import figures
from ollama_tui.services.history import Samples
from ollama_tui.text import one_line
from ollama_tui.widgets.bar import bar
from ollama_tui.widgets.sparkline import sparkline

WIDE = 100


def device_lines(devices: tuple[Device, ...], load: Mapping[str, Samples], width: int) -> list[Content]:
    """What stands still is at the right: see LiveLines."""
    if not devices:
        return []
    name = min(12, max(7, *(len(device.name) for device in devices)))
    return [_line(device, load.get(device.name, ()), name, width) for device in devices]


def _line(device: Device, load: Samples, name: int, width: int) -> Content:
    wide = width >= WIDE
    trend, room = (20, 24) if wide else (8, 10)
    used = max(0, device.total - device.free)
    memory = f"{figures.size(used) or '0'} of {figures.size(device.total)}" if device.total else ""
    filled, rest = bar(used / device.total, room) if device.total else ("", " " * room)
    heat, power = _figure(device.temperature, " °C"), _figure(device.power, " W")
    return Content.assemble(
        f" {one_line(device.name)[:name]:<{name}} {_figure(device.utilization, '%'):>4} ",
        (sparkline(load, trend, top=100.0), "$primary"),
        f"  {memory:<17} {heat:>6} {power:>6}  ",
        (filled, "$success"),
        (rest, "$border-blurred"),
        (f"  {one_line(device.description)}" if wide else "", "$muted"),
    )


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.0f}{unit}"
