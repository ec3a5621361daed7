"""The property list, and what launchctl is told, for a user's agent or the system's daemon."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path
from typing import Any

from ollama_tui.cli.service.plan import MADE_BY, NAME, ServicePlan

LABEL = NAME
FILE = f"{LABEL}.plist"
SYSTEM_FOLDER = Path("/Library/LaunchDaemons")


def plist_folder(*, system: bool) -> Path:
    return SYSTEM_FOLDER if system else Path.home() / "Library" / "LaunchAgents"


def plist_text(plan: ServicePlan) -> str:
    """The whole property list, as XML."""
    log = Path("/Library/Logs" if plan.system else plan.home / "Library" / "Logs") / f"{NAME}.log"
    content: dict[str, Any] = {
        "Label": LABEL,
        "ProgramArguments": list(plan.command),
        "EnvironmentVariables": dict(plan.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ExitTimeOut": 60,
        "ProcessType": "Interactive",  # others are slowed down, and so would be answers
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
        "Umask": 0o022,
    }
    if plan.system and plan.user:
        content["UserName"] = plan.user
    head, newline, body = plistlib.dumps(content).decode().partition("\n")
    return f"{head}{newline}<!-- {MADE_BY} -->\n{body}"


def install_commands(path: Path, *, system: bool) -> list[list[str]]:
    return [["launchctl", "bootstrap", _domain(system), str(path)], ["launchctl", "kickstart", _service(system)]]


def disable_commands(*, system: bool) -> list[list[str]]:
    return [["launchctl", "bootout", _service(system)]]


def status_command(*, system: bool) -> list[str]:
    return ["launchctl", "print", _service(system)]


def log_command(*, system: bool) -> str:
    return f"tail -f {'/Library/Logs' if system else '~/Library/Logs'}/{NAME}.log"


def _domain(system: bool) -> str:
    return "system" if system else f"gui/{os.getuid()}"


def _service(system: bool) -> str:
    return f"{_domain(system)}/{LABEL}"
