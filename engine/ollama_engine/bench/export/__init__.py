"""A run as a file: JSON (which can be read again), CSV (a line a sample), Markdown, SVG and PNG (charts)."""

from __future__ import annotations

from pathlib import Path

from ollama_engine.bench.export import csv_lines, json_file, markdown
from ollama_engine.bench.records import Run
from ollama_engine.errors import InvalidRequest, StoreError

FORMATS = ("json", "csv", "markdown", "svg", "png")
_SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown", ".markdown": "markdown", ".svg": "svg", ".png": "png"}


def format_of(path: Path) -> str:
    """By the file's ending. InvalidRequest: it says none of them."""
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise InvalidRequest(
            f"'{path.name}' does not say what it shall be", hint="It ends with .json, .csv, .md, .svg or .png."
        )
    return found


def export(run: Run, format: str) -> bytes:
    """The whole file; `format` is one of FORMATS."""
    match format:
        case "json":
            return json_file.write(run)
        case "csv":
            return csv_lines.write(run).encode()
        case "markdown":
            return markdown.write(run).encode()
        case "svg":
            from ollama_engine.bench.export import svg

            return svg.write(run).encode()
        case "png":
            from ollama_engine.bench.export import png

            return png.write(run)
        case _:
            raise InvalidRequest(f"no format is called '{format}'", hint=f"There are {', '.join(FORMATS)}.")


def write_file(run: Run, path: Path, format: str = "") -> None:
    """Write `path`, in the format that its ending says or the one that is given. It blocks.

    Raises:
        InvalidRequest: no such format.
        StoreError: it cannot be written.
    """
    data = export(run, format or format_of(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}", hint="Name another file.") from error
