"""The two managers behind one face, and the commands that are run, each told before it is."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ollama_engine.errors import EngineError, InvalidRequest
from ollama_tui.cli.service import launchd, systemd
from ollama_tui.cli.service.plan import MADE_BY, ServicePlan


@dataclass(frozen=True)
class Manager:
    """`launchd` or `systemd`, of the whole system or of the user."""

    kind: str
    system: bool

    @property
    def path(self) -> Path:
        if self.kind == "launchd":
            return launchd.plist_folder(system=self.system) / launchd.FILE
        return systemd.unit_folder(system=self.system) / systemd.UNIT

    def text(self, plan: ServicePlan) -> str:
        return launchd.plist_text(plan) if self.kind == "launchd" else systemd.unit_text(plan)

    def install_commands(self, *, again: bool) -> list[list[str]]:
        """`again`: a service of that name is known already."""
        if self.kind == "systemd":
            return systemd.install_commands(system=self.system)
        before = launchd.disable_commands(system=self.system) if again else []
        return [*before, *launchd.install_commands(self.path, system=self.system)]

    def disable_commands(self) -> list[list[str]]:
        module = launchd if self.kind == "launchd" else systemd
        return module.disable_commands(system=self.system)

    def forget_commands(self) -> list[list[str]]:
        return [] if self.kind == "launchd" else systemd.forget_commands(system=self.system)

    def log_command(self) -> str:
        module = launchd if self.kind == "launchd" else systemd
        return module.log_command(system=self.system)

    def is_active(self) -> bool:
        module = launchd if self.kind == "launchd" else systemd
        command = module.status_command(system=self.system)
        if shutil.which(command[0]) is None:
            return False
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def choose(kind: str | None, *, system: bool) -> Manager:
    """The manager of this machine, or the one that is asked for."""
    if kind is None:
        kind = "launchd" if sys.platform == "darwin" else "systemd"
    return Manager(kind, system)


def is_ours(path: Path) -> bool:
    """Whether a service file was made here. InvalidRequest where it cannot be read."""
    try:
        return MADE_BY in path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}", hint="Look who owns it.") from error


def run(commands: Sequence[Sequence[str]]) -> None:
    """Run commands one after the other, each printed first. EngineError where one fails; the rest is then named."""
    for number, command in enumerate(commands):
        click.echo(f"$ {shlex.join(command)}", err=True)
        rest = "; ".join(shlex.join(later) for later in commands[number:])
        if shutil.which(command[0]) is None:
            raise EngineError(f"{command[0]} is not on this machine", hint=f"Where it is, run: {rest}")
        status = subprocess.run(command, check=False).returncode
        if status:
            raise EngineError(f"{shlex.join(command)} ended with status {status}", hint=f"Left to do: {rest}")
