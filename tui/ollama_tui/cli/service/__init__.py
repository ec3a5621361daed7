"""`service`: files that let systemd or launchd run the server, written and removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ollama_engine.errors import InvalidRequest, StoreError
from ollama_engine.store.files import replace_durably
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.service.manager import Manager, choose, is_ours, run
from ollama_tui.cli.service.plan import STATE, ServicePlan, make_plan

F = TypeVar("F", bound=Callable[..., Any])
LINGER = "It ends when you log out, unless: loginctl enable-linger"


def _scope(command: F) -> F:
    command = click.option(
        "--system/--user", "system", default=False, help="A service of the system (as root), or yours (the default)."
    )(command)
    return click.option(
        "--manager",
        "kind",
        type=click.Choice(["systemd", "launchd"]),
        help="Whose file it is; this machine's where nothing is said.",
    )(command)


def _run_as(command: F) -> F:
    return click.option(
        "--run-as", "user", default="", metavar="USER", help="With --system: run as USER, not as a user made for it."
    )(command)


@click.group("service")
def command() -> None:
    """Let systemd or launchd run `ollama-tui serve`, with the settings of now (OLLAMA_HOST, OLLAMA_MODELS ...)."""


@command.command("print")
@_scope
@_run_as
@click.pass_obj
def print_(invocation: Invocation, system: bool, kind: str | None, user: str) -> None:
    """Print the file that install would write."""
    manager = choose(kind, system=system)
    click.echo(manager.text(_plan(invocation, manager, user)), nl=False)


@command.command("install")
@_scope
@_run_as
@click.option("--print", "only_print", is_flag=True, help="Print the file and change nothing.")
@click.option("--no-start", is_flag=True, help="Write the file, and leave systemctl or launchctl to you.")
@click.option("--force", is_flag=True, help="Overwrite a file of that name that was not made here.")
@click.pass_obj
def install(
    invocation: Invocation, system: bool, kind: str | None, user: str, only_print: bool, no_start: bool, force: bool
) -> None:
    """Write the service file, enable the service and start it. Each command that is run is printed first.

    Install again after a change of settings.
    """
    manager = choose(kind, system=system)
    plan = _plan(invocation, manager, user)
    if only_print:
        click.echo(manager.text(plan), nl=False)
        return
    known = manager.path.exists()
    if known and not force and not is_ours(manager.path):
        raise InvalidRequest(
            f"{manager.path} is there, and was not made by this program",
            hint="Remove it, or overwrite it with --force.",
        )
    _write(manager.path, manager.text(plan))
    for name in plan.left_out:
        click.echo(f"{name} was left out: it holds a secret, and the file can be read by others.", err=True)
    if system and not user and not plan.models.is_relative_to(STATE):
        click.echo(f"{plan.models} must be open to the service's own user; --run-as USER takes another.", err=True)
    if no_start:
        return
    run(manager.install_commands(again=known))
    click.echo(f"The server is at {plan.environment['OLLAMA_HOST']}. Its log: {manager.log_command()}", err=True)
    if manager.kind == "systemd" and not system:
        click.echo(LINGER, err=True)


@command.command("uninstall")
@_scope
@click.pass_obj
def uninstall(invocation: Invocation, system: bool, kind: str | None) -> int:
    """Stop the service and remove its file. Models stay."""
    manager = choose(kind, system=system)
    if not manager.path.exists():
        click.echo(f"{manager.path} is not there.", err=True)
        return 1
    if not is_ours(manager.path):
        raise InvalidRequest(f"{manager.path} was not made by this program", hint="Remove it by hand.")
    run(manager.disable_commands())
    try:
        manager.path.unlink()
    except OSError as error:
        raise StoreError(f"cannot remove {manager.path}: {error.strerror}", hint=_root_hint(system)) from error
    click.echo(f"Removed {manager.path}", err=True)
    run(manager.forget_commands())
    return 0


@command.command("status")
@_scope
@_run_as
@click.pass_obj
def status(invocation: Invocation, system: bool, kind: str | None, user: str) -> int:
    """Say whether the service is installed, runs, and has the settings of now. Exit status 1 where it does not run."""
    manager = choose(kind, system=system)
    if not manager.path.exists():
        click.echo(f"not installed ({manager.path})")
        return 1
    active = manager.is_active()
    click.echo(f"{'running' if active else 'not running'} ({manager.path})")
    if manager.path.read_text(encoding="utf-8", errors="replace") != manager.text(_plan(invocation, manager, user)):
        click.echo("Its file differs from what install would write now: ollama-tui service install")
    click.echo(f"log: {manager.log_command()}")
    return 0 if active else 1


def _plan(invocation: Invocation, manager: Manager, user: str) -> ServicePlan:
    if user and not manager.system:
        raise click.UsageError("--run-as belongs to --system; your own service runs as you.")
    return make_plan(invocation.settings, system=manager.system, user=user)


def _write(path: Path, text: str) -> None:
    try:
        replace_durably(path, text.encode(), prefix=".service-")
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}", hint=_root_hint(str(path).startswith(("/etc", "/Library")))
        ) from error
    click.echo(f"Wrote {path}", err=True)


def _root_hint(system: bool) -> str:
    return "A service of the system is installed as root: sudo, or without --system." if system else "Look who owns it."
