"""The flags of the workstation, each a setting of the same name. Imports nothing heavy: `--help` has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ollama_engine.choices import GLYPHS, KEYMAPS, SSH

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = {
    "theme": click.option("--theme", metavar="NAME", help="Colours of the workstation."),
    "keymap": click.option("--keymap", type=click.Choice(KEYMAPS), help="Its keys."),
    "ssh": click.option("--ssh", type=click.Choice(SSH), help="Spare the line; auto: where it comes over SSH."),
    "glyphs": click.option("--glyphs", type=click.Choice(GLYPHS), help="What bars, marks and frames are drawn with."),
    "mouse": click.option("--mouse/--no-mouse", default=None, help="Whether the mouse is the workstation's."),
    "plain": click.option("--plain", is_flag=True, default=None, help="No frames and bars, for screen readers."),
}


def workstation_options(command: F) -> F:
    """Add the flags to a command; it gets them as keyword arguments, None for those that were not given."""
    for option in reversed(_OPTIONS.values()):
        command = option(command)
    return command


def taken_from(options: dict[str, Any]) -> dict[str, Any]:
    """The settings that these flags are, taken out of `options`."""
    given = {name: options.pop(name) for name in _OPTIONS}
    return {name: value for name, value in given.items() if value is not None}
