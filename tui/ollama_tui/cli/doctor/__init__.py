"""`doctor`: what is wrong with this installation, and the line that puts it right.

Each check is a small function over what it looks at (build, store, server, surroundings); this module looks.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ollama_engine.errors import EngineError, InvalidRequest
from ollama_engine.keys import Keyring
from ollama_tui.cli.as_json import echo_json, json_option
from ollama_tui.cli.doctor import build, server, store, surroundings
from ollama_tui.cli.doctor.finding import Finding, State, wrong
from ollama_tui.cli.root import Invocation
from ollama_tui.connect import is_ours, is_this_machine, listens, open_engine, server_answers
from ollama_tui.format import plain

if TYPE_CHECKING:
    from ollama_engine.settings import Settings

MARKS: dict[State, str] = {"ok": "ok", "note": "note", "wrong": "WRONG"}
_COLORS: dict[State, str] = {"ok": "green", "note": "yellow", "wrong": "red"}
_MARK_CELLS = 7


@click.command("doctor")
@json_option
@click.pass_obj
def command(invocation: Invocation, as_json: bool) -> int:
    """Look at the build, the devices, the store, the port, settings, environment and terminal.

    Says what is wrong and the line that puts it right. Exit status 1 where something is. Nothing is changed, and
    nothing is asked of a network but the server at OLLAMA_HOST.
    """
    findings = asyncio.run(examine(invocation))
    healthy = all(finding.state != "wrong" for finding in findings)
    if as_json:
        echo_json({"healthy": healthy, "findings": findings})
    else:
        for finding in findings:
            _print(finding)
    return 0 if healthy else 1


def _print(finding: Finding) -> None:
    mark = click.style(f"{MARKS[finding.state]:<{_MARK_CELLS}}", fg=_COLORS[finding.state])
    click.echo(f"{mark}{finding.check}: {plain(finding.message)}")
    if finding.fix:
        click.echo(f"{'':<{_MARK_CELLS}}  {plain(finding.fix)}")


async def examine(invocation: Invocation) -> list[Finding]:
    """All checks, in the order in which one would put things right."""
    from ollama_engine.settings import Settings

    findings = [build.check_python(), build.check_packages()]
    findings += _present(build.check_tools())
    findings += _surroundings()
    try:
        settings = invocation.settings
    except InvalidRequest:  # told of above; the rest is looked at as if nothing were set
        settings = Settings.resolve(environ={}, config_file=Path(os.devnull))
    built, at_server = await asyncio.gather(_build(), _server(settings))
    findings += built
    findings += await asyncio.to_thread(_store, settings)
    findings += at_server
    return findings


async def _build() -> list[Finding]:
    """llama.cpp and the devices, each asked in a process of its own."""
    from ollama_engine.build_info import binding_version, read_build
    from ollama_engine.scheduler.devices import probe

    try:
        made = await read_build()
    except EngineError as error:
        return [wrong("build", error.message, error.hint)]
    findings = [build.check_llama(made, binding_version()), build.check_cpu(made, build.cpu_flags())]
    findings += _present(build.check_gpu_backend(made))
    try:
        findings += build.check_devices(await probe())
    except EngineError as error:
        findings.append(wrong("device", error.message, error.hint))
    return findings


def _store(settings: Settings) -> list[Finding]:
    from ollama_engine.store.store import Store

    root, models = settings.models, Store(settings.models)
    findings = _guarded("store", lambda: store.check_folder(root))
    findings += _guarded("disk", lambda: store.check_room(models.free_bytes()))
    if not root.is_dir() or not os.access(root, os.R_OK | os.X_OK):
        return findings
    findings += _guarded("store", lambda: store.check_foreign_files(root))
    findings += _guarded("models", lambda: store.check_manifests(models))
    findings += _guarded("models", lambda: store.check_blobs(models))
    if os.access(root, os.W_OK):  # its lock is a file
        findings += _guarded("models", lambda: store.check_partials(models))
    return findings


async def _server(settings: Settings) -> list[Finding]:
    address = settings.host
    answers = await server_answers(settings)
    findings: list[Finding] = []
    if is_this_machine(address):
        taken = await listens(address.client)
        findings.append(server.check_port(address, listens=taken, speaks_ollama=answers))
        findings += _present(server.check_exposure(address, settings.require_key))
        findings += _guarded("keys", lambda: server.check_keys(Keyring.of(settings)))
    else:
        findings.append(server.check_remote(address, speaks_ollama=answers))
    if answers:
        findings += await _server_version(settings)
    return findings


async def _server_version(settings: Settings) -> list[Finding]:
    try:
        async with open_engine(settings, server_only=True) as engine:
            version = await engine.version()
        ours = await is_ours(settings.host)
    except EngineError as error:
        return [wrong("server", error.message, error.hint)]
    return [server.check_version(version, ours)]


def _surroundings() -> list[Finding]:
    from ollama_engine.settings import default_config_file
    from ollama_tui.config_tables import TABLES

    path = default_config_file()
    columns, lines = shutil.get_terminal_size()
    findings = [surroundings.check_config(path, TABLES)]
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError:
        text = ""  # check_config has told of it
    findings += _present(surroundings.check_config_mode(path, text))
    findings += surroundings.check_variables(os.environ)
    findings += _present(surroundings.check_proxies(os.environ))
    findings.append(surroundings.check_encoding(sys.stdout.encoding))
    findings.append(
        surroundings.check_terminal(os.environ, is_terminal=sys.stdout.isatty(), columns=columns, lines=lines)
    )
    return findings


def _guarded(check: str, look: Callable[[], Finding | None]) -> list[Finding]:
    """What cannot even be looked at is a finding, too."""
    try:
        return list(_present(look()))
    except EngineError as error:
        return [wrong(check, error.message, error.hint)]
    except OSError as error:
        return [wrong(check, f"{error.filename or check}: {error.strerror}", "Look who owns it.")]


def _present(finding: Finding | None) -> Iterable[Finding]:
    return [] if finding is None else [finding]
