"""`run`: one answer to a prompt from the arguments or a pipe; at a terminal without one, the workstation's chat."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from msgspec import UNSET

from ollama_engine.engine import Engine
from ollama_engine.types import GenerateRequest, KeepAlive, Think
from ollama_tui.cli.answer import AnswerPrinter, timings
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.toy import tell_if_toy
from ollama_tui.cli.work import with_engine

_THINK_WORDS = {"true": True, "false": False}
_THINK_LEVELS = ("low", "medium", "high", "max")


class RunCommand(click.Command):
    """`--think` takes a value only behind `=`: what follows it in words of its own is the model or the prompt."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        options = ["--think=true" if argument == "--think" else argument for argument in args[:end]]
        return super().parse_args(ctx, options + args[end:])


def _think(context: click.Context, parameter: click.Parameter, value: str | None) -> Think:
    if value is None:
        return None
    if value not in _THINK_WORDS and value not in _THINK_LEVELS:
        raise click.BadParameter(f"'{value}' is none of true, false, {', '.join(_THINK_LEVELS)}.")
    return _THINK_WORDS.get(value, value)


def _format(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    if value is None or value in ("", "json"):
        return value or None
    try:
        schema = json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"neither 'json' nor a JSON schema: {error}") from error
    if not isinstance(schema, dict):
        raise click.BadParameter("a JSON schema is an object.")
    return schema


def _keep_alive(context: click.Context, parameter: click.Parameter, value: str | None) -> KeepAlive:
    if value is None:
        return None
    from ollama_engine.durations import parse_duration
    from ollama_engine.errors import InvalidRequest

    try:
        parse_duration(value)
    except InvalidRequest as error:
        raise click.BadParameter(f"{error.message}. {error.hint}") from error
    return value


@click.command("run", cls=RunCommand)
@click.argument("model")
@click.argument("prompt", nargs=-1)
@click.option("--keepalive", callback=_keep_alive, metavar="DURATION", help='Keep the model loaded, e.g. "5m".')
@click.option("--verbose", is_flag=True, help="Print timings on stderr after the answer.")
@click.option("--nowordwrap", is_flag=True, help="Do not wrap lines at the width of the terminal.")
@click.option("--format", "format_", callback=_format, metavar="FORMAT", help="'json', or a JSON schema.")
@click.option(
    "--think",
    callback=_think,
    metavar="[=LEVEL]",
    help="Think before answering: --think, or --think=true|false|low|medium|high|max.",
)
@click.option("--hidethinking", is_flag=True, help="Do not print the thinking.")
@click.pass_obj
def command(
    invocation: Invocation,
    model: str,
    prompt: tuple[str, ...],
    keepalive: KeepAlive,
    verbose: bool,
    nowordwrap: bool,
    format_: Any,
    think: Think,
    hidethinking: bool,
) -> int:
    """Run a model on PROMPT and print its answer. Text piped in goes before the prompt.

    At a terminal without a PROMPT, the workstation opens with a chat on the model.
    """
    text = _piped_before(" ".join(prompt))
    if not prompt and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        from ollama_tui.cli.workstation import open_workstation

        with_engine(invocation, lambda engine: engine.show(model))  # a missing model is said here, not in the chat
        return open_workstation(invocation, model)
    request = GenerateRequest(
        model=model,
        prompt=text,
        format=format_,
        think=think,
        keep_alive=UNSET if keepalive is None else keepalive,
    )
    tell_if_toy(model)
    printer = AnswerPrinter.for_stdout(wrap=not nowordwrap, thinking=not hidethinking)
    with_engine(invocation, lambda engine: _answer(engine, request, printer, verbose))
    return 0


def _piped_before(prompt: str) -> str:
    if sys.stdin is None or sys.stdin.isatty():
        return prompt
    piped = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    return " ".join(part for part in (piped, prompt) if part)


async def _answer(engine: Engine, request: GenerateRequest, printer: AnswerPrinter, verbose: bool) -> None:
    with printer:
        async for chunk in engine.generate(request):
            printer.think(chunk.thinking)
            printer.write(chunk.response)
            if chunk.done:
                printer.end(blank_line=bool(request.prompt))
                if verbose:
                    click.echo(timings(chunk), err=True, nl=False)
