"""`load`: the models of a file that `save` wrote, or that another tool made of models, into this machine's store."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BufferedReader
from pathlib import Path

import click

from ollama_engine.bundle import Loaded, load
from ollama_engine.store.store import Store
from ollama_tui.cli.progress import ProgressLines
from ollama_tui.cli.root import Invocation
from ollama_tui.format import plain

_WORDS = {
    "new": "Loaded {}",
    "replaced": "Loaded {}, in place of another model of that name",
    "same": "{} is here already",
    "kept": "Kept the {} that is here; the bundle has another",
}


@click.command("load")
@click.option("-i", "--input", "source", default="-", metavar="FILE", help="What to read (default: -, which is stdin).")
@click.option("--name", default="", metavar="NAME", help="What to call the model, where the file holds one.")
@click.option("--keep", is_flag=True, help="Leave models that are here already as they are.")
@click.pass_obj
def command(invocation: Invocation, source: str, name: str, keep: bool) -> None:
    """Read models from a tar file (an OCI image layout), gzipped or not, into this machine's store.

    Every blob is verified before it is named; models appear when they are whole, in place of those of the same names.
    """
    if invocation.host is not None:
        raise click.UsageError("load works on this machine's store, and takes no --host.")
    if source == "-" and sys.stdin.isatty():
        raise click.UsageError("a tar file is not read from a terminal: give -i FILE, or < FILE.")
    loaded: list[Loaded] = []
    with (
        _opened(source) as file,
        closing(load(Store(invocation.settings.models), file, name=name, keep=keep)) as steps,
        ProgressLines.for_stderr() as lines,
    ):
        for step in steps:
            if isinstance(step, Loaded):
                loaded.append(step)
            else:
                lines.show(step)
    for model in loaded:
        click.echo(plain(_WORDS[model.state].format(model.name)))


@contextmanager
def _opened(source: str) -> Iterator[BufferedReader]:
    if source == "-":
        yield sys.stdin.buffer  # type: ignore[misc]  # it is one, which typeshed does not say
        return
    with Path(source).open("rb") as file:
        yield file
