"""`show`: what is known of one model, as sections, or one part of it as it is."""

from __future__ import annotations

import click

from ollama_engine.types import ModelInfo
from ollama_tui.cli.as_json import echo_json, json_option
from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.model_card import card
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.toy import tell_if_toy
from ollama_tui.cli.work import with_engine

PARTS = ("license", "modelfile", "parameters", "system", "template")


@click.command("show")
@click.argument("model", shell_complete=complete_model)
@click.option("--license", "parts", flag_value="license", multiple=True, help="Print the license.")
@click.option("--modelfile", "parts", flag_value="modelfile", multiple=True, help="Print the Modelfile.")
@click.option("--parameters", "parts", flag_value="parameters", multiple=True, help="Print the parameters.")
@click.option("--system", "parts", flag_value="system", multiple=True, help="Print the system message.")
@click.option("--template", "parts", flag_value="template", multiple=True, help="Print the prompt template.")
@click.option("-v", "--verbose", is_flag=True, help="Print metadata and tensors, too.")
@json_option
@click.pass_obj
def command(invocation: Invocation, model: str, parts: tuple[str, ...], verbose: bool, as_json: bool) -> None:
    """Show what is known of a model."""
    if as_json and parts:
        raise click.UsageError("--json prints everything; leave the other flag out.")
    if len(set(parts)) > 1:
        flags = ", ".join(f"'--{part}'" for part in PARTS[:-1])
        raise click.UsageError(f"only one of {flags}, or '--{PARTS[-1]}' can be specified")
    info: ModelInfo = with_engine(invocation, lambda engine: engine.show(model, verbose=verbose))
    if as_json:
        echo_json(info)
        return
    tell_if_toy(model)
    click.echo(getattr(info, parts[0]) if parts else card(info, verbose=verbose), nl=bool(parts))
