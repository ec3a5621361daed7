"""Settings, environment variables, the terminal: what surrounds the program."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from ollama_engine.config_file import CheckTable, check_file
from ollama_engine.errors import InvalidRequest
from ollama_engine.settings import Settings, variable
from ollama_engine.settings_view import is_secret
from ollama_tui.cli.doctor.finding import Finding, note, ok, wrong
from ollama_tui.format import plain

OTHERS_KNOWN = frozenset({"OLLAMA_API_KEY"})
"""What is no setting and has a meaning here."""
OLLAMAS_OWN = frozenset(
    (
        "OLLAMA_AUTH",
        "OLLAMA_CLOUD_BASE_URL",
        "OLLAMA_DEBUG_LOG_REQUESTS",
        "OLLAMA_EXPERIMENT",
        "OLLAMA_GPU_OVERHEAD",
        "OLLAMA_IGPU_ENABLE",
        "OLLAMA_INTEL_GPU",
        "OLLAMA_LLM_LIBRARY",
        "OLLAMA_MAX_TRANSFER_STREAMS",
        "OLLAMA_MULTIUSER_CACHE",
        "OLLAMA_NEW_ENGINE",
        "OLLAMA_NO_CLOUD",
        "OLLAMA_REMOTES",
        "OLLAMA_SCHED_SPREAD",
        "OLLAMA_TMPDIR",
        "OLLAMA_VULKAN",
    )
)
"""What Ollama reads or read; those that are no settings here have no effect."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def check_config(path: Path, tables: Mapping[str, CheckTable]) -> Finding:
    if not path.exists():
        return ok("settings", f"{path} is not there; defaults hold")
    try:
        check_file(path, tables)
    except InvalidRequest as error:
        return wrong("settings", error.message, error.hint)
    return ok("settings", f"{path} is right")


def check_config_mode(path: Path, text: str) -> Finding | None:
    """A file with passwords that others may read."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
    keys = (line.partition("=")[0].strip() for line in text.splitlines() if "=" in line)
    if mode & 0o077 and any(is_secret(key) for key in keys):
        return wrong("settings", f"{path} holds secrets, and others may read it", f"chmod 600 {path}")
    return None


def check_variables(environ: Mapping[str, str]) -> list[Finding]:
    """Every OLLAMA_* variable that is set: does it mean something, and what it says?"""
    return [_variable(name, environ) for name in sorted(environ) if name.startswith("OLLAMA_")]


def _variable(name: str, environ: Mapping[str, str]) -> Finding:
    known = {setting.metadata["env"]: setting.name for setting in fields(Settings)}
    if name in known:
        try:
            Settings.resolve(environ={name: environ[name]}, config_file=Path(os.devnull))
        except InvalidRequest as error:
            return wrong("environment", error.message, f"unset {name}")
        value = variable(environ, name)
        shown = "********" if is_secret(known[name]) else plain(value) or "(empty, which is as not set)"
        return ok("environment", f"{name}={shown}")
    if name in OTHERS_KNOWN:
        return ok("environment", f"{name} is set")
    if name in OLLAMAS_OWN:
        return note("environment", f"{name} is Ollama's and has no effect here")
    near = difflib.get_close_matches(name, [*known, *OTHERS_KNOWN], n=1, cutoff=0.75)
    if near:
        return wrong("environment", f"{name} means nothing; {near[0]} would", f"export {near[0]}=...; unset {name}")
    return note("environment", f"{name} means nothing here")


def check_proxies(environ: Mapping[str, str]) -> Finding | None:
    found = [name for name in PROXIES if environ.get(name) or environ.get(name.lower())]
    return note("environment", f"downloads go through a proxy ({', '.join(found)})") if found else None


def check_encoding(encoding: str) -> Finding:
    if encoding.lower().replace("-", "").replace("_", "") != "utf8":
        return wrong("terminal", f"text is written as {encoding}, which lacks most characters", "export LANG=C.UTF-8")
    return ok("terminal", "text is written as UTF-8")


def check_terminal(environ: Mapping[str, str], *, is_terminal: bool, columns: int, lines: int) -> Finding:
    if not is_terminal:
        return note("terminal", "stdout is no terminal; what needs one was not looked at")
    term = environ.get("TERM", "")
    if term in ("", "dumb", "unknown"):
        return wrong("terminal", f"TERM is {term or 'not set'}: nothing can be drawn", "export TERM=xterm-256color")
    if columns < 80 or lines < 24:
        return note("terminal", f"{columns}x{lines} characters: the workstation is made for 80x24 and more")
    return ok("terminal", f"{term}, {columns}x{lines}")
