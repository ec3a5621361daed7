"""`list`: the models in the store."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ollama_engine.types import ModelSummary
from ollama_tui import format
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_engine

HEADER = ("NAME", "ID", "SIZE", "MODIFIED")


@click.command("list")
@click.argument("prefix", default="")
@click.pass_obj
def command(invocation: Invocation, prefix: str) -> None:
    """List models (also: ls), those whose name begins with PREFIX if one is given."""
    models = with_engine(invocation, lambda engine: engine.models())
    rows = [row(model, datetime.now(UTC)) for model in models if model.name.lower().startswith(prefix.lower())]
    click.echo(format.table([HEADER, *rows]), nl=False)


def row(model: ModelSummary, now: datetime) -> tuple[str, ...]:
    modified = format.moment(format.parse_timestamp(model.modified_at), now)
    # A model without bytes here is a remote one's stub.
    return (format.plain(model.name), model.digest[:12], format.size(model.size) if model.size else "-", modified)
