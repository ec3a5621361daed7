"""The options of `serve`, also behind `ollama-tui --serve`. Imports nothing: `--help` has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ollama_engine.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    (
        ("--allow-anonymous",),
        {"is_flag": True, "default": None, "help": "Ask nobody for a key, wherever a request comes from."},
    ),
    (
        ("--require-key",),
        {"is_flag": True, "default": None, "help": "Ask everybody for a key, programs on this machine, too."},
    ),
    (
        ("--tls-cert",),
        {"type": click.Path(path_type=Path), "metavar": "FILE", "help": "Speak HTTPS with this certificate (PEM)."},
    ),
    (
        ("--tls-key",),
        {"type": click.Path(path_type=Path), "metavar": "FILE", "help": "Its private key, if not in the same file."},
    ),
)


def serving_options(*, hidden: bool = False) -> Callable[[F], F]:
    """Add the options to a command; it gets them as keyword arguments, None for those that were not given."""

    def add(command: F) -> F:
        for names, how in reversed(_OPTIONS):
            command = click.option(*names, **how, hidden=hidden)(command)
        return command

    return add


def with_options(
    settings: Settings,
    *,
    allow_anonymous: bool | None,
    require_key: bool | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> Settings:
    """`settings`, with what was given on the command line before it."""
    if allow_anonymous and require_key:
        raise click.UsageError("--allow-anonymous and --require-key are opposites.")
    wanted = "never" if allow_anonymous else "always" if require_key else settings.require_key
    if tls_cert is not None:  # a key that was configured belongs to the certificate that was
        settings = replace(settings, tls_cert=tls_cert, tls_key=tls_key)
    return replace(settings, require_key=wanted, tls_key=tls_key or settings.tls_key)
