"""Opens the workstation: `ollama-tui` alone, and `chat MODEL`."""

from __future__ import annotations

import asyncio
import gc
import os
import sys

from ollama_engine.errors import InvalidRequest
from ollama_tui.cli.root import Invocation
from ollama_tui.connect import is_this_machine, require_server
from ollama_tui.terminal.profile import Profile


def open_workstation(invocation: Invocation, model: str | None = None) -> int:
    """Run the Textual app until the user leaves it, or with `plain` a conversation by lines; returns its exit status.

    Raises:
        InvalidRequest: there is no terminal to open it in.
        ServerUnreachable: `--host`, or another machine's OLLAMA_HOST, does not answer.
    """
    require_terminal()
    if invocation.host or not is_this_machine(invocation.settings.host):
        asyncio.run(require_server(invocation.settings))
    if invocation.settings.plain:
        from ollama_tui.cli.plain import open_plain

        return open_plain(invocation, model)
    profile = Profile.detect(ssh=invocation.settings.ssh)
    os.environ.update(profile.environment())  # Textual reads it when it is imported
    gc.disable()  # a start makes no garbage, and looking for some takes a tenth of it; `launch` goes on collecting
    from ollama_tui.launch import run_workstation

    return run_workstation(invocation.settings, model=model, overrides=invocation.overrides)


def require_terminal() -> None:
    """InvalidRequest where there is no terminal to open the workstation in."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidRequest(
            "the workstation needs a terminal",
            hint="In a script use 'ollama-tui run MODEL PROMPT', or 'ollama-tui serve' for the HTTP API.",
        )
