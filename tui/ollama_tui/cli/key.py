"""`key`: the keys that this machine's server takes; it heeds a change at once."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime

import click

from ollama_engine.keys import Key, Keyring, Scope
from ollama_tui import format
from ollama_tui.cli.as_json import echo_json, json_option
from ollama_tui.cli.root import Invocation

SCOPES = ("inference", "admin")


@click.group("key")
@click.pass_obj
def command(invocation: Invocation) -> None:
    """Make, list and revoke the keys of this machine's server.

    Whoever asks from another machine needs one. A key of scope inference may use the models that are there; one of
    scope admin may do everything: pull, create, delete, unload.
    """
    if invocation.host is not None:
        raise click.UsageError("key works on this machine's keys, and takes no --host.")


@command.command("new")
@click.option("--name", default="", help="What to call it; without, key1, key2 and so on.")
@click.option("--scope", type=click.Choice(SCOPES), default="inference", show_default=True, help="What it is good for.")
@json_option
@click.pass_obj
def new(invocation: Invocation, name: str, scope: Scope, as_json: bool) -> None:
    """Make a key, and print it: only its hash is kept."""
    key, token = Keyring.of(invocation.settings).create(name, scope)
    if as_json:
        echo_json({**_shown(key), "key": token})
        return
    click.echo(token)
    click.echo(f"This is the key '{key.name}' ({key.scope}), shown this once. A client sends it as", err=True)
    click.echo("  OLLAMA_API_KEY=KEY  or  Authorization: Bearer KEY", err=True)


@command.command("list")
@json_option
@click.pass_obj
def list_(invocation: Invocation, as_json: bool) -> None:
    """List the keys."""
    keys = Keyring.of(invocation.settings).known()
    if as_json:
        echo_json([_shown(key) for key in keys])
        return
    now = datetime.now(UTC)
    rows = [(key.name, key.id, key.scope, _moment(key, now)) for key in keys]
    click.echo(format.table([("NAME", "ID", "SCOPE", "CREATED"), *rows]), nl=False)


alias = copy(list_)
alias.hidden = True
command.add_command(alias, "ls")


@command.command("revoke")
@click.argument("keys", metavar="NAME_OR_ID...", nargs=-1, required=True)
@click.pass_obj
def revoke(invocation: Invocation, keys: tuple[str, ...]) -> None:
    """Make keys worthless, by name or id."""
    keyring = Keyring.of(invocation.settings)
    for which in keys:
        click.echo(f"revoked '{format.plain(keyring.revoke(which).name)}'")


def _shown(key: Key) -> dict[str, str]:
    return {"name": key.name, "id": key.id, "scope": key.scope, "created": key.created}


def _moment(key: Key, now: datetime) -> str:
    return format.moment(format.parse_timestamp(key.created), now)
