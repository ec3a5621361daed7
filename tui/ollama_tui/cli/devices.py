"""`devices`: what there is to compute on, with its memory and how busy it is."""

from __future__ import annotations

import click

from ollama_engine.types import Device
from ollama_tui import format
from ollama_tui.cli.as_json import echo_json, json_option
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_engine

HEADER = ("NAME", "KIND", "MEMORY", "FREE", "BUSY", "TEMP", "POWER", "DESCRIPTION")


@click.command("devices")
@json_option
@click.pass_obj
def command(invocation: Invocation, as_json: bool) -> None:
    """List the CPU and every GPU that models can run on, here or on the server at OLLAMA_HOST."""
    devices = with_engine(invocation, lambda engine: engine.devices())
    if as_json:
        echo_json(devices)
    else:
        click.echo(format.table([HEADER, *map(row, devices)]), nl=False)


def row(device: Device) -> tuple[str, ...]:
    return (
        format.plain(device.name),
        device.kind,
        format.size(device.total) if device.total else "-",
        format.size(device.free) if device.total else "-",
        _figure(device.utilization, "%"),
        _figure(device.temperature, "°C"),
        _figure(device.power, "W"),
        format.plain(device.description),
    )


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.0f}{unit}"
