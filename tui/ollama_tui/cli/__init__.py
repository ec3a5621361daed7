"""The `ollama-tui` command. This file answers `--version` itself, before anything worth measuring is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` where no arguments are given) and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if tuple(arguments) in (("--version",), ("-v",)):  # `list` is a module here, once that command has run
        from ollama_engine import __version__

        sys.stdout.write(f"ollama-tui version is {__version__}\n")
        return 0
    from ollama_tui.cli.status import run

    return run(arguments)
