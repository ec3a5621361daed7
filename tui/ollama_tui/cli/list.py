"""`list`: the models in the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from ollama_engine.engine import Engine
from ollama_engine.types import ModelSummary, Update
from ollama_tui import format
from ollama_tui.cli.as_json import echo_json, json_option
from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_engine

HEADER = ("NAME", "ID", "SIZE", "MODIFIED")
UPDATE_WORDS = {
    "newer": "available",
    "current": "up to date",
    "absent": "not in its registry",
    "unknown": "could not ask",
}


@click.command("list")
@click.argument("prefix", default="", shell_complete=complete_model)
@click.option("--updates", is_flag=True, help="Say which have an update at their registry; nothing is downloaded.")
@json_option
@click.pass_obj
def command(invocation: Invocation, prefix: str, updates: bool, as_json: bool) -> None:
    """List models (also: ls), those whose name begins with PREFIX if one is given."""
    models, found = with_engine(invocation, lambda engine: _ask(engine, prefix.lower(), updates))
    if as_json:
        echo_json([_described(model, found) for model in models])
        return
    rows = [row(model, datetime.now(UTC)) for model in models]
    if not updates:
        click.echo(format.table([HEADER, *rows]), nl=False)
        return
    states = {update.name: update for update in found}
    words = [UPDATE_WORDS.get(states[model.name].state, "") if model.name in states else "" for model in models]
    told = [(*row, word) for row, word in zip(rows, words, strict=True)]
    click.echo(format.table([(*HEADER, "UPDATE"), *told]), nl=False)
    for update in found:
        if update.reason:
            click.echo(format.plain(f"{update.name}: {update.reason}"), err=True)


async def _ask(engine: Engine, prefix: str, updates: bool) -> tuple[list[ModelSummary], list[Update]]:
    models = [model for model in await engine.models() if model.name.lower().startswith(prefix)]
    if not (updates and models):
        return models, []
    return models, [update async for update in engine.updates([model.name for model in models])]


def _described(model: ModelSummary, found: list[Update]) -> dict[str, Any]:
    """As /api/tags has it, with the key `update` where registries were asked."""
    import msgspec

    described: dict[str, Any] = msgspec.to_builtins(model)
    for update in found:
        if update.name == model.name:
            described["update"] = {key: value for key, value in msgspec.to_builtins(update).items() if key != "name"}
    return described


def row(model: ModelSummary, now: datetime) -> tuple[str, ...]:
    modified = format.moment(format.parse_timestamp(model.modified_at), now)
    # A model without bytes here is a remote one's stub.
    return (format.plain(model.name), model.digest[:12], format.size(model.size) if model.size else "-", modified)
