"""The prompt in an editor of the user's choice: the workstation makes room for it, and goes on answering behind it."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from textual.app import App, SuspendNotSupported

from ollama_engine.errors import InvalidRequest


async def edit_outside(app: App[object], text: str, editor: str = "") -> str:
    """`text` as the editor leaves it; InvalidRequest where there is no editor, or it failed."""
    command = editor or os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="ollama-tui-") as folder:
        path = Path(folder) / "prompt.md"
        path.write_text(text, encoding="utf-8")
        try:
            # Nothing is painted over the editor; what streams goes on streaming.
            with app.suspend(), app.batch_update():
                status = await asyncio.to_thread(_run, command, path)
        except (OSError, ValueError) as error:
            raise InvalidRequest(
                f"the editor {command} cannot be started: {error}", hint="OLLAMA_EDITOR or EDITOR names another one."
            ) from error
        except SuspendNotSupported as error:
            raise InvalidRequest("this terminal cannot be lent to an editor") from error
        app.refresh(layout=True)
        if status:
            raise InvalidRequest(
                f"the editor {command} ended with {status}", hint="OLLAMA_EDITOR or EDITOR names another one."
            )
        return path.read_text(encoding="utf-8", errors="replace").removesuffix("\n")


def _run(command: str, path: Path) -> int:
    """The exit status; OSError or ValueError where the command is none."""
    return subprocess.run([*shlex.split(command), str(path)], check=False).returncode
