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
    if not devices:
        return []
    name = min(12, max(7, *(len(device.name) for device in devices)))
    return [_line(device, load.get(device.name, ()), name, width) for device in devices]


def _line(device: Device, load: Samples, name: int, width: int) -> Content:
    wide = width >= WIDE
    trend, room = (20, 24) if wide else (8, 10)
    used = max(0, device.total - device.free)
    filled, rest = bar(used / device.total if device.total else 0.0, room)
    memory = f"{figures.size(used) or '0'} of {figures.size(device.total)}" if device.total else ""
    facts = [_figure(device.temperature, " °C"), _figure(device.power, " W")]
    parts = [
        Content.styled(f"{one_line(device.name)[:name]:<{name}} ", "$accent"),
        Content(f"{_figure(device.utilization, '%'):>4} "),
        Content.styled(sparkline(load, trend, top=100.0), "$primary"),
        Content(" "),
        Content.assemble((filled, "$success"), (rest, "$border-blurred")) if device.total else Content(" " * room),
        Content(f" {memory:<18}"),
        Content(f"{facts[0]:>6} {facts[1]:>6}"),
        Content.styled(f"  {one_line(device.description)}", "$muted") if wide else Content(""),
    ]
    return Content("").join(parts)


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.0f}{unit}"
