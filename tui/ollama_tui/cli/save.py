"""`save`: models as one file, or on stdout, for machines without a network; `load` is the other end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from ollama_engine.bundle import SavePlan, plan_save
from ollama_engine.errors import StoreError
from ollama_engine.store.files import create_temporary
from ollama_engine.store.store import Store
from ollama_engine.types import Progress
from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.progress import ProgressLines
from ollama_tui.cli.root import Invocation

_TEMPORARY_PREFIX = ".saving-"


@click.command("save")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...", shell_complete=complete_model)
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write (default: -, which is stdout).")
@click.pass_obj
def command(invocation: Invocation, models: tuple[str, ...], output: str) -> None:
    """Write models of this machine's store as one tar file (an OCI image layout), which load reads.

    What several of them share is written once; the same models give the same bytes.
    """
    if invocation.host is not None:
        raise click.UsageError("save works on this machine's store, and takes no --host.")
    if output == "-" and sys.stdout.isatty():
        raise click.UsageError("a tar file is not written to a terminal: give -o FILE, or > FILE.")
    plan = plan_save(Store(invocation.settings.models), models)
    with _opened(output) as file, ProgressLines.for_stderr() as lines:
        _write(plan, file, lines)


def _write(plan: SavePlan, file: IO[bytes], lines: ProgressLines) -> None:
    total, done = plan.size, 0
    status = f"saving {', '.join(name.display for name in plan.names)}"
    lines.show(Progress(status, total=total))
    for chunk in plan.chunks():
        file.write(chunk)
        done += len(chunk)
        lines.show(Progress(status, total=total, completed=done))
    file.flush()
    lines.show(Progress("success"))


@contextmanager
def _opened(output: str) -> Iterator[IO[bytes]]:
    """Where the bundle goes. A file is written beside its place and named when it is whole."""
    path = Path(output)
    if output == "-":
        yield sys.stdout.buffer
    elif path.exists() and not path.is_file():  # a device or a FIFO, or a folder, which says so itself
        with path.open("wb") as file:
            yield file
    else:
        path = Path(os.path.realpath(path))
        try:
            descriptor, temporary = create_temporary(path.parent, _TEMPORARY_PREFIX)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            with open(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, path)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)
