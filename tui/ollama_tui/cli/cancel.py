"""`cancel`: ends requests of a server, wherever they are."""

from __future__ import annotations

import click

from ollama_engine.engine import Engine
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import needs_server, with_server


@click.command("cancel")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.pass_obj
def command(invocation: Invocation, ids: tuple[str, ...]) -> None:
    """End requests, running or waiting: 'ollama-tui requests' lists them. What has been answered so far stays with who
    asked, marked as canceled."""

    async def cancel(engine: Engine) -> None:
        for id in ids:
            await engine.cancel(id)
            click.echo(f"canceled '{id}'")

    with_server(invocation, cancel, otherwise=lambda: needs_server(invocation, "there is nothing to cancel"))
