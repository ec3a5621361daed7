"""`--json` of the commands that list something: one value on stdout, the shape that docs/cli.md tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    """The flag `--json`, which arrives as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def echo_json(value: object) -> None:
    """Print a Struct, or lists and dictionaries of them, indented; what steers a terminal is escaped."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value)))
