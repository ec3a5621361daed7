"""`chat`: the workstation, opened on a new conversation with a model."""

from __future__ import annotations

import click

from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.transfer import present
from ollama_tui.cli.work import with_engine
from ollama_tui.cli.workstation import open_workstation, require_terminal


@click.command("chat")
@click.argument("model", shell_complete=complete_model)
@click.option("--insecure", is_flag=True, help="If the model must be pulled: use plain http.")
@click.pass_obj
def command(invocation: Invocation, model: str, insecure: bool) -> int:
    """Open the workstation on a new conversation with MODEL, which is pulled first if it is not here."""
    require_terminal()
    with_engine(invocation, lambda engine: present(engine, model, insecure=insecure))  # said here, not in the chat
    return open_workstation(invocation, model)
