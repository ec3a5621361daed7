"""`ollama-tui` itself: the options before a command, and the commands, each imported only when it is called for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ollama_tui.cli.serving_options import serving_options, with_options
from ollama_tui.cli.workstation_options import taken_from, workstation_options

if TYPE_CHECKING:
    from ollama_engine.settings import Settings


@dataclass(frozen=True)
class LazyCommand:
    """A command that is not imported yet: its help line, and its module, which holds it as `command`."""

    summary: str
    module: str


_COMMANDS = {
    "serve": LazyCommand("Answer Ollama's HTTP API, with no terminal", "serve"),
    "create": LazyCommand("Make a model from a Modelfile", "create"),
    "show": LazyCommand("Show what is known of a model", "show"),
    "run": LazyCommand("Talk with a model, or have one answer", "run"),
    "chat": LazyCommand("Open the workstation on a chat with a model", "chat"),
    "stop": LazyCommand("Let a running model go", "stop"),
    "pull": LazyCommand("Pull a model from a registry", "pull"),
    "push": LazyCommand("Push a model to a registry", "push"),
    "list": LazyCommand("List models", "list"),
    "search": LazyCommand("List well-known models, and which fit this machine", "search"),
    "ps": LazyCommand("List running models", "ps"),
    "pin": LazyCommand("Keep a model in memory", "pin"),
    "requests": LazyCommand("List what a server works on, and who waits", "requests"),
    "cancel": LazyCommand("End requests", "cancel"),
    "bench": LazyCommand("Measure how fast models are", "bench"),
    "devices": LazyCommand("List what there is to compute on", "devices"),
    "cp": LazyCommand("Copy a model", "cp"),
    "rm": LazyCommand("Remove models", "rm"),
    "save": LazyCommand("Write models to a file, for a machine without a network", "save"),
    "load": LazyCommand("Read models from such a file", "load"),
    "prune": LazyCommand("Remove files that no model uses", "prune"),
    "config": LazyCommand("Show or change settings", "config"),
    "doctor": LazyCommand("Say what is wrong with this installation, and how to put it right", "doctor"),
    "service": LazyCommand("Let the system run the server", "service"),
    "completion": LazyCommand("Let a shell complete commands and models", "completion"),
    "help": LazyCommand("Help about a command", "help"),
    "key": LazyCommand("Make, list and revoke the keys of a server", "key"),
}
_ALIASES = {"ls": "list", "start": "serve"}


class LazyCommands(click.Group):
    """A group that lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = _COMMANDS.get(_ALIASES.get(cmd_name, cmd_name))
        return import_module(f"ollama_tui.cli.{lazy.module}").command if lazy else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click's, which would import every command for its help line."""
        commands = [
            CompletionItem(name, help=lazy.summary) for name, lazy in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with the nearest command where there is none of that name."""
        if ctx.resilient_parsing or not args or self.get_command(ctx, args[0]) or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(args[0], [*_COMMANDS, *_ALIASES], n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        names = {target: alias for alias, target in _ALIASES.items()}
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (f"{name}, {names[name]}" if name in names else name, lazy.summary)
                    for name, lazy in _COMMANDS.items()
                ]
            )


class Invocation:
    """What stood before the command; commands get it as their click object."""

    def __init__(self, host: str | None = None, looks: Mapping[str, Any] | None = None) -> None:
        """`looks`: settings of the workstation that were given as flags."""
        self.host = host
        self._looks = dict(looks or {})

    @property
    def overrides(self) -> dict[str, Any]:
        """Settings that the command line sets, as `Settings.resolve` takes them."""
        from ollama_engine.settings import HostAddress

        return {**self._looks, **({"host": HostAddress.parse(self.host)} if self.host else {})}

    @cached_property
    def settings(self) -> Settings:
        """Resolved when first wanted: `--help` must work with a config file that does not.

        Raises:
            InvalidRequest: naming the setting that is wrong.
        """
        from ollama_engine.settings import Settings

        return Settings.resolve(**self.overrides)


@click.group(
    cls=LazyCommands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--host", metavar="ADDRESS", help="Server to use, or to be, instead of OLLAMA_HOST.")
@click.option("--serve", is_flag=True, help="Answer Ollama's HTTP API, with no terminal; takes the options of serve.")
@click.option("-v", "--version", is_flag=True, help="Print the version.")
@workstation_options
@serving_options(hidden=True)
@click.pass_context
def root(context: click.Context, host: str | None, serve: bool, version: bool, **options: Any) -> int:
    """A workstation and a server for local language models, compatible with Ollama.

    Without a command the workstation opens: on the server at OLLAMA_HOST if one answers there, else on an engine of
    its own.
    """
    invocation = context.obj = Invocation(host, taken_from(options))
    if version:
        return _print_version(context)
    if not serve and any(value is not None for value in options.values()):
        name = next(name for name, value in options.items() if value is not None).replace("_", "-")
        raise click.UsageError(f"--{name} belongs to --serve, or behind serve.", context)
    if context.invoked_subcommand is not None:
        if serve:
            raise click.UsageError("--serve takes no command.", context)
        return 0
    if serve:
        from ollama_tui.cli.serve import serve_until_told_to_stop

        return serve_until_told_to_stop(with_options(invocation.settings, **options))
    from ollama_tui.cli.workstation import open_workstation

    return open_workstation(invocation)


def _print_version(context: click.Context) -> int:
    from ollama_engine import __version__

    click.echo(f"ollama-tui version is {__version__}")
    context.exit(0)
