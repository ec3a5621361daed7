"""`prune`: what no model uses any more, listed, and removed with `--yes`."""

from __future__ import annotations

import click

from ollama_engine.store.store import Store
from ollama_tui.cli.as_json import echo_json, json_option
from ollama_tui.cli.root import Invocation
from ollama_tui.format import plain, size


@click.command("prune")
@click.option("-y", "--yes", is_flag=True, help="Remove it; without, only say what would go.")
@click.option("--partials", is_flag=True, help="Downloads that are not finished, too: they could not go on then.")
@json_option
@click.pass_obj
def command(invocation: Invocation, yes: bool, partials: bool, as_json: bool) -> None:
    """List, or remove, files in this machine's store that no model uses and that are older than an hour."""
    if invocation.host is not None:
        raise click.UsageError("prune works on this machine's store, and takes no --host.")
    store = Store(invocation.settings.models)
    report = store.prune(dry_run=not yes, partials=partials)
    if as_json:
        echo_json(
            {
                "removed": report.removed,
                "freed": report.freed,
                "dry_run": not yes,
                "unreadable": store.unreadable(),
            }
        )
        return
    for name in report.removed:
        click.echo(plain(name))
    if yes:
        click.echo(f"Removed {_files(len(report.removed))}, {size(report.freed)}.", err=True)
    elif report.removed:
        click.echo(f"{_files(len(report.removed))}, {size(report.freed)}, would go. Remove them with --yes.", err=True)
    else:
        click.echo("There is nothing to remove.", err=True)
    if unreadable := store.unreadable():
        click.echo(f"Unused blobs are kept while these models cannot be read: {plain(', '.join(unreadable))}", err=True)
    if not partials:
        _tell_of_partials(store, set(report.removed) if not yes else set())


def _tell_of_partials(store: Store, named: set[str]) -> None:
    unfinished = [name for name in store.prune(dry_run=True, partials=True).removed if name not in named]
    if unfinished:
        click.echo(f"{_files(len(unfinished))} of unfinished downloads stay; --partials includes them.", err=True)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
