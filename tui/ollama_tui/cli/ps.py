"""`ps`: the models in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ollama_engine.types import RunningModel
from ollama_tui import format
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_server

HEADER = ("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL")


@click.command("ps")
@click.argument("prefix", default="")
@click.pass_obj
def command(invocation: Invocation, prefix: str) -> None:
    """List the models that a server holds in memory, those whose name begins with PREFIX if one is given."""
    running = with_server(invocation, lambda engine: engine.running(), otherwise=list)
    rows = [row(model, datetime.now(UTC)) for model in running if model.name.lower().startswith(prefix.lower())]
    click.echo(format.table([HEADER, *rows]), nl=False)


def row(model: RunningModel, now: datetime) -> tuple[str, ...]:
    return (
        format.plain(model.name),
        model.digest[:12],
        format.size(model.size),
        format.processor(model.size, model.size_vram),
        str(model.context_length),
        format.until(format.parse_timestamp(model.expires_at), now),
    )
