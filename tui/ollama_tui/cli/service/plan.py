"""What a service runs and with which environment: the same for systemd and launchd."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ollama_engine.errors import InvalidRequest
from ollama_engine.settings import Settings, default_config_file
from ollama_engine.settings_view import SettingView, is_secret, settings_view

NAME = "ollama-tui"
DESCRIPTION = "ollama-tui: local language models behind Ollama's API"
MADE_BY = "Made by `ollama-tui service install`, which overwrites it."
STATE = Path("/var/lib/ollama-tui")
"""Where a system service keeps models and everything else, unless it runs as a user of the machine."""

_AT_A_PROMPT = frozenset({"no_history", "editor"})
"""Settings that a server has no use for."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class ServicePlan:
    """`user` is who it runs as, empty for the one who installs it (or, of the whole system, one made for it).

    `left_out` are variables that hold secrets, which a file that anybody may read must not.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    system: bool = False
    user: str = ""
    home: Path = field(default_factory=Path.home)
    models: Path = STATE / "models"
    port: int = 0
    left_out: Sequence[str] = ()


def make_plan(
    settings: Settings, environ: Mapping[str, str] = os.environ, *, system: bool = False, user: str = ""
) -> ServicePlan:
    """A service of these settings. InvalidRequest: there is no such user, or it could not read the program."""
    home = _home_of(user) if user else STATE if system else Path.home()
    views = settings_view(environ, default_config_file())
    kept = [view for view in views if _is_frozen(view, system=system)]
    secrets = [view.variable for view in kept if is_secret(view.key)]
    values = {view.variable: view.value for view in kept if not is_secret(view.key)}
    proxies = {name: environ[name] for name in (*_PROXIES, *map(str.lower, _PROXIES)) if environ.get(name)}
    secrets += [name for name, value in proxies.items() if "@" in value]
    values |= {name: value for name, value in proxies.items() if "@" not in value}
    models = _models(settings, views, system=system, home=home)
    values["OLLAMA_HOST"] = settings.host.url.removeprefix("http://")
    if system or "OLLAMA_MODELS" in values:
        values["OLLAMA_MODELS"] = str(models)
    if system:
        values["HOME"] = str(home)
    plan = ServicePlan(
        command=[*program(), "serve"],
        environment=dict(sorted(values.items())),
        system=system,
        user=user,
        home=home,
        models=models,
        port=settings.host.port,
        left_out=secrets,
    )
    if system and not user:
        _check_reach(plan)
    return plan


def _is_frozen(view: SettingView, *, system: bool) -> bool:
    """Whether a setting goes into the file. config.toml is the user's own: another user's service does not read it."""
    sources = ("environment", "command line", "config.toml") if system else ("environment", "command line")
    return view.source in sources and view.key not in _AT_A_PROMPT and bool(view.value)


def _models(settings: Settings, views: Sequence[SettingView], *, system: bool, home: Path) -> Path:
    source = next(view.source for view in views if view.key == "models")
    if system and source == "default":
        return home / "models" if home == STATE else home / ".ollama" / "models"
    return settings.models.absolute()


def program() -> list[str]:
    """This program's command as an absolute path. Links stay: a virtual environment's Python is one."""
    script = Path(sys.executable).absolute().parent / NAME
    return [str(script)] if os.access(script, os.X_OK) else [str(Path(sys.executable).absolute()), "-m", "ollama_tui"]


def _home_of(user: str) -> Path:
    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        raise InvalidRequest(
            f"there is no user '{user}' here", hint="Leave --run-as out: systemd then makes a user for the service."
        ) from None


def _check_reach(plan: ServicePlan) -> None:
    """A service's own user reads no home folder: a program that lies in one would not start."""
    place = Path(plan.command[0])
    if any(place.is_relative_to(folder) for folder in ("/home", "/root", Path.home())):
        raise InvalidRequest(
            f"{place} lies in a home folder, which a system service does not see",
            hint=f"Install the program elsewhere (/opt), or let it run as its owner: --run-as {_owner(place)}",
        )


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):  # an account that is gone
        return "USER"
