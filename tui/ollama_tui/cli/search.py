"""`search`: well-known models, and whether they fit this machine. Nothing is asked of a network."""

from __future__ import annotations

import click

from ollama_engine.known_models import fits, known_models, machine_memory, search
from ollama_tui import format
from ollama_tui.cli.as_json import echo_json, json_option

HEADER = ("NAME", "SIZE", "MEMORY", "FITS", "CAPABILITIES", "NOTE")


@click.command("search")
@click.argument("words", nargs=-1)
@json_option
def command(words: tuple[str, ...], as_json: bool) -> int:
    """List well-known models that have all WORDS in their name, capabilities, licence or note.

    MEMORY is the need with 8192 tokens of context, FITS where this machine would run them. The list comes with the
    program and is as old as it says; models that are not on it can be pulled as well.
    """
    found = search(" ".join(words))
    memory = machine_memory()
    if as_json:
        import msgspec

        echo_json(
            [{**msgspec.to_builtins(model), "memory": model.memory, "fits": fits(model, memory)} for model in found]
        )
        return 0 if found else 1
    rows = [
        (
            model.name,
            format.size(model.download),
            format.size(model.memory),
            fits(model, memory),
            ", ".join(model.capabilities),
            model.note,
        )
        for model in found
    ]
    click.echo(format.table([HEADER, *rows]), nl=False)
    click.echo(
        f"{len(found)} of {len(known_models().models)} models known on {known_models().snapshot}; "
        "others can be pulled as well.",
        err=True,
    )
    return 0 if found else 1
