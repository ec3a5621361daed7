"""A run as JSON, and back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ollama_engine.bench.compare import Comparison
from ollama_engine.bench.records import FORMAT, Run
from ollama_engine.errors import InvalidRequest


def write(run: Run, comparison: Comparison | None = None) -> bytes:
    """With `comparison`, where there is one, as one key more."""
    value = msgspec.to_builtins(run)
    if comparison is not None:
        value["comparison"] = msgspec.to_builtins(comparison)
    return msgspec.json.format(msgspec.json.encode(value)) + b"\n"


def read(path: Path) -> Run:
    """A run that was written as JSON. InvalidRequest: it cannot be read, or is none."""
    try:
        run = msgspec.json.decode(path.read_bytes(), type=Run)
    except OSError as error:
        raise InvalidRequest(
            f"cannot read {path}: {error.strerror or error}", hint="Name a file of --format json."
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} holds no benchmark: {error}", hint="Name a file of --format json.") from error
    if run.format != FORMAT:
        raise InvalidRequest(f"{path} is of another kind: {run.format}", hint=f"This program reads '{FORMAT}'.")
    return run
