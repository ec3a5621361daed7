"""`pull`: models from their registries. Interrupted, the same command goes on from there."""

from __future__ import annotations

import click

from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.transfer import pull, pull_several, pull_updates
from ollama_tui.cli.work import with_engine


@click.command("pull")
@click.argument("models", nargs=-1, metavar="MODEL...", shell_complete=complete_model)
@click.option("--all", "every", is_flag=True, help="Bring every model up to date that its registry has newer.")
@click.option("--insecure", is_flag=True, help="Use plain http: for a registry of your own network.")
@click.pass_obj
def command(invocation: Invocation, models: tuple[str, ...], every: bool, insecure: bool) -> int:
    """Pull models from a registry, or bring them up to date.

    MODEL is a name at registry.ollama.ai (llama3.2:1b), hf.co/USER/REPOSITORY:QUANTIZATION, or HOST/NAMESPACE/MODEL; or
    the URL of a .gguf file, whose model is named after the file. One of several shards brings them all.
    Of several models, one that fails does not stop the others.
    """
    if every == bool(models):
        raise click.UsageError("name one or more models, or give --all.")
    if every:
        return with_engine(invocation, lambda engine: pull_updates(engine, insecure=insecure))
    if len(models) > 1:
        return with_engine(invocation, lambda engine: pull_several(engine, models, insecure=insecure))
    for model in models:
        with_engine(invocation, lambda engine, model=model: pull(engine, model, insecure=insecure))
    return 0
