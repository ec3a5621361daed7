"""The unit file, and what systemctl is told, for a user's service or the system's."""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ollama_tui.cli.service.plan import DESCRIPTION, MADE_BY, NAME, STATE, ServicePlan

UNIT = f"{NAME}.service"
SYSTEM_FOLDER = Path("/etc/systemd/system")
STOP_SECONDS = 60
"""How long answers that run may take to end."""

_HARDENING = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
"""
# No MemoryDenyWriteExecute: GPU drivers compile. No PrivateDevices and no ProtectClock: they hide the GPU.
_SYSTEM_HARDENING = """\
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
"""


def unit_folder(*, system: bool) -> Path:
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return SYSTEM_FOLDER if system else Path(config) / "systemd" / "user"


def unit_text(plan: ServicePlan) -> str:
    """The whole unit file."""
    return "".join(f"{line}\n" for line in _lines(plan))


def _lines(plan: ServicePlan) -> Iterator[str]:
    yield f"# {MADE_BY}"
    yield "[Unit]"
    yield f"Description={DESCRIPTION}"
    yield "After=network-online.target"
    if plan.system:
        yield "Wants=network-online.target"
    yield ""
    yield "[Service]"
    yield "Type=exec"
    yield f"ExecStart={' '.join(map(quoted_argument, plan.command))}"
    for name, value in plan.environment.items():
        yield f"Environment={quoted(f'{name}={value}')}"
    yield "Restart=on-failure"
    yield "RestartSec=3"
    # The server ends its runners; those that are left after the time are killed with it.
    yield "KillMode=mixed"
    yield f"TimeoutStopSec={STOP_SECONDS}"
    if plan.system:
        yield from _user(plan)
    yield ""
    yield from _HARDENING.splitlines()
    if plan.system:
        yield from _SYSTEM_HARDENING.splitlines()
        yield from _folders(plan)
        yield from _capabilities(plan)
    yield ""
    yield "[Install]"
    yield f"WantedBy={'multi-user' if plan.system else 'default'}.target"


def _user(plan: ServicePlan) -> Iterator[str]:
    if plan.user:
        yield f"User={plan.user}"
    else:
        yield "DynamicUser=yes"
        yield f"StateDirectory={STATE.name}"
    yield f"WorkingDirectory={_path(plan.home)}"
    groups = [group for group in ("render", "video") if _exists(group)]
    if groups:
        yield f"SupplementaryGroups={' '.join(groups)}"


def _folders(plan: ServicePlan) -> Iterator[str]:
    if plan.user:  # who has a home folder, and keeps models, keys and downloads in it
        yield "ProtectSystem=full"
        return
    yield "ProtectSystem=strict"
    yield "ProtectHome=yes"
    if not plan.models.is_relative_to(STATE):
        # A folder that is not there yet is no reason not to start.
        yield f"ReadWritePaths=-{_path(plan.models)}"


def _capabilities(plan: ServicePlan) -> Iterator[str]:
    if 0 < plan.port < 1024:
        yield "AmbientCapabilities=CAP_NET_BIND_SERVICE"
        yield "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"
    else:
        yield "CapabilityBoundingSet="


def _exists(group: str) -> bool:
    try:
        grp.getgrnam(group)
    except KeyError:
        return False
    return True


def quoted(text: str) -> str:
    """A word of a unit file, in quotes, in which `%` means itself."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'


def quoted_argument(text: str) -> str:
    """A word of ExecStart, in which `$` means itself, too."""
    if text and all(letter.isalnum() or letter in "/._-+@=:," for letter in text):
        return text
    return quoted(text).replace("$", "$$")


def _path(path: Path) -> str:
    return str(path).replace("%", "%%").replace("\\", "\\\\").replace(" ", "\\x20")


def install_commands(*, system: bool) -> list[list[str]]:
    return [_systemctl(system, *words) for words in (("daemon-reload",), ("enable", UNIT), ("restart", UNIT))]


def disable_commands(*, system: bool) -> list[list[str]]:
    return [_systemctl(system, "disable", "--now", UNIT)]


def forget_commands(*, system: bool) -> list[list[str]]:
    return [_systemctl(system, "daemon-reload")]


def status_command(*, system: bool) -> list[str]:
    return _systemctl(system, "is-active", UNIT)


def log_command(*, system: bool) -> str:
    return f"journalctl {'-u' if system else '--user -u'} {NAME} -f"


def _systemctl(system: bool, *words: str) -> list[str]:
    scope: Sequence[str] = () if system else ("--user",)
    return ["systemctl", *scope, *words]
