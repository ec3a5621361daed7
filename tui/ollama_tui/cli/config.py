"""`config`: every setting, where its value comes from and what it means; and config.toml, changed a key at a time."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

from ollama_engine.settings import default_config_file
from ollama_engine.settings_view import SettingView, TableEntry, settings_view, tables_view
from ollama_tui.cli.as_json import echo_json, json_option
from ollama_tui.cli.root import Invocation
from ollama_tui.format import plain, table

HEADER = ("SETTING", "VALUE", "FROM", "MEANING")


def complete_key(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of settings."""
    return [
        CompletionItem(setting.key, help=setting.meaning)
        for setting in settings_view({}, default_config_file().parent / "none")
        if setting.key.startswith(incomplete)
    ]


@click.group("config", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show every setting: its value, where that comes from, and what it means.

    A flag goes before the environment, the environment before config.toml, and that before the default.
    """
    if context.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json belongs to config alone.")
        return
    invocation: Invocation = context.obj
    file = default_config_file()
    settings, tables = settings_view(config_file=file, **invocation.overrides), tables_view(file)
    if as_json:
        echo_json({"file": str(file), "settings": settings, "tables": tables})
        return
    rows = [*map(_row, settings), *map(_table_row, tables)]
    click.echo(table([HEADER, *rows]), nl=False)
    click.echo(f"\nThe file is {file}{'' if file.exists() else ', which is not there'}.", err=True)


def _row(setting: SettingView) -> tuple[str, ...]:
    source = {"environment": setting.variable, "command line": f"--{setting.key}"}.get(setting.source, setting.source)
    return (setting.key, plain(setting.value) or "-", source, setting.meaning)


def _table_row(entry: TableEntry) -> tuple[str, ...]:
    return (plain(entry.key), plain(entry.value) or "-", "config.toml", "")


@command.command("path")
def path() -> None:
    """Print where the settings file is, or would be."""
    click.echo(str(default_config_file()))


# A negative duration ("-1": for ever) must not be taken for an option.
@command.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("key", shell_complete=complete_key)
@click.argument("value")
def set_(key: str, value: str) -> None:
    """Write KEY = VALUE into config.toml; everything else in it stays, comments too.

    A key with dots belongs to a table: registry.connections, registry.hosts."registry.example.org".token.
    A list is written with commas: origins app://a,http://b
    """
    from ollama_engine.config_file import set_value
    from ollama_tui.config_tables import TABLES

    file = default_config_file()
    set_value(file, key, value, TABLES)
    click.echo(f"Set {plain(key)} in {file}", err=True)
    for setting in settings_view({}, file):
        if setting.key == key and os.environ.get(setting.variable, "").strip():
            click.echo(f"{setting.variable} is set in the environment, which goes before the file.", err=True)


@command.command("unset")
@click.argument("key", shell_complete=complete_key)
def unset_(key: str) -> int:
    """Take KEY out of config.toml, so that its default holds."""
    from ollama_engine.config_file import unset
    from ollama_tui.config_tables import TABLES

    file = default_config_file()
    if not unset(file, key, TABLES):
        click.echo(f"{plain(key)} does not stand in {file}", err=True)
        return 1
    click.echo(f"Took {plain(key)} out of {file}", err=True)
    return 0
