"""Figures in words, for files, the terminal and charts."""

from __future__ import annotations

from collections.abc import Iterable

from ollama_engine.bench.records import Surroundings
from ollama_engine.bench.statistics import Summary

_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def value_text(value: float, unit: str) -> str:
    """`84.2`, `1204`, `0.083 s`, `4.1 GB`: three digits or more, so that the eye finds what differs."""
    if unit == "bytes":
        scale, name = next((pair for pair in _SIZES if abs(value) >= pair[0]), _SIZES[-1])
        return f"{_digits(value / scale) if scale > 1 else f'{value:.0f}'} {name}"
    if unit == "s":
        return f"{value * 1e3:.2f} ms" if value < 0.01 else f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.2f} s"
    return _digits(value)


def summary_text(summary: Summary | None, unit: str) -> str:
    """The median and half of the spread: `84.2 ±0.6`; empty for nothing measured."""
    if summary is None:
        return ""
    text = value_text(summary.median, unit)
    if summary.count < 2 or not summary.spread:
        return text
    number, blank, name = text.partition(" ")
    half = value_text(summary.spread / 2, unit)
    if blank and half.endswith(f" {name}"):
        half = half.removesuffix(f" {name}")
    return f"{number}{blank}{name} ±{half}"


def change_text(change: float | None) -> str:
    """`+4.2 %`."""
    return "" if change is None else f"{change * 100:+.1f} %"


def surroundings_lines(surroundings: Surroundings) -> Iterable[str]:
    """Engine, machine, devices."""
    parts = (surroundings.engine, f"ollama-tui {surroundings.version}" if surroundings.version else "")
    yield ", ".join(part for part in (*parts, surroundings.llama) if part)
    cores = f"{surroundings.cores} cores" if surroundings.cores else ""
    memory = value_text(surroundings.memory, "bytes") if surroundings.memory else ""
    machine = ", ".join(part for part in (surroundings.cpu, cores, memory, surroundings.system) if part)
    if machine:
        yield machine
    for device in surroundings.devices:
        if device.kind != "cpu":
            size = f", {value_text(device.total, 'bytes')}" if device.total else ""
            yield f"{device.name}: {device.description or device.kind}{size}"


def _digits(value: float) -> str:
    size = abs(value)
    return f"{value:.0f}" if size >= 99.95 else f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"
