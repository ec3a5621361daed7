"""From what a command raised to what the shell sees: one `Error:` line, a hint, an exit status; never a traceback.

Exit statuses: 0 done, 1 it failed or the command line was wrong, 130 interrupted, 141 nobody reads stdout any more.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from ollama_engine.errors import EngineError
from ollama_tui.cli.root import root
from ollama_tui.format import plain

FAILED = 1
INTERRUPTED = 130
BROKEN_PIPE = 141
COMPLETION_VARIABLE = "_OLLAMA_TUI_COMPLETE"


def run(arguments: Sequence[str]) -> int:
    """Parse and run one command line; whatever happens comes back as an exit status."""
    _never_fail_to_encode()
    try:
        status = _invoke(list(arguments))
        sys.stdout.flush()
        return status
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        # The shell's prompt begins on a line of its own, not behind the terminal's ^C.
        click.echo(err=True, nl=sys.stderr.isatty())
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except EngineError as error:
        return _report(error.message, error.hint)
    except OSError as error:
        if error.errno is None:
            return _unexpected(error)
        return _report(f"{error.filename or 'output'}: {error.strerror}", "")
    except Exception as error:  # noqa: BLE001 - the one place where every other error becomes a line
        return _unexpected(error)


def _invoke(arguments: list[str]) -> int:
    if COMPLETION_VARIABLE in os.environ:
        from ollama_tui.cli.completing import teach_click

        teach_click()
        root.main(arguments, prog_name="ollama-tui", complete_var=COMPLETION_VARIABLE)
    with root.make_context("ollama-tui", arguments) as context:
        return root.invoke(context) or 0


def _report(message: str, hint: str = "") -> int:
    click.echo(f"Error: {plain(message)}", err=True)
    if hint:
        click.echo(plain(hint), err=True)
    return FAILED


def _unexpected(error: Exception) -> int:
    if os.environ.get("OLLAMA_DEBUG", "").strip().lower() not in {"", "0", "f", "false"}:
        traceback.print_exception(error)
        return FAILED
    what = str(error).strip().splitlines()
    return _report(
        f"{type(error).__name__}: {what[0]}" if what else type(error).__name__,
        "This should not have happened. OLLAMA_DEBUG=1 shows where it did.",
    )


def _reader_gone() -> int:
    # Python flushes stdout once more at exit, which would complain; give it something that takes everything.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _never_fail_to_encode() -> None:
    """A model may say what the terminal's encoding lacks; a question mark is better than no answer."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
