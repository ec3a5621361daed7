"""`run`: one answer to a prompt from the arguments or a pipe; at a terminal without one, a conversation (`repl`)."""

from __future__ import annotations

import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest, ModelNotFound
from ollama_engine.types import EmbedRequest, GenerateChunk, GenerateRequest, KeepAlive, Think
from ollama_tui.attachments import attach_files
from ollama_tui.cli.answer import AnswerPrinter, tell_of, timings
from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.memory_plan import tell_fit
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.spinner import Spinner
from ollama_tui.cli.toy import tell_if_toy
from ollama_tui.cli.transfer import present, pull_missing
from ollama_tui.cli.work import with_engine

if TYPE_CHECKING:
    from ollama_engine.settings import Settings
    from ollama_tui.cli.repl.session import Session

_THINK_WORDS = {"true": True, "false": False}
_THINK_LEVELS = ("low", "medium", "high", "max")


class RunCommand(click.Command):
    """`--think` and `--truncate` take a value only behind `=`: a word that follows is the model or the prompt."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        options = [f"{arg}=true" if arg in ("--think", "--truncate") else arg for arg in args[:end]]
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


def _grammar(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    if value is None:
        return ""
    try:
        return Path(value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"cannot read '{value}': {error}") from error


def _keep_alive(context: click.Context, parameter: click.Parameter, value: str | None) -> KeepAlive:
    if value is None:
        return None
    from ollama_engine.durations import parse_duration

    try:
        parse_duration(value)
    except InvalidRequest as error:
        raise click.BadParameter(f"{error.message}. {error.hint}") from error
    return value


@click.command("run", cls=RunCommand)
@click.argument("model", shell_complete=complete_model)
@click.argument("prompt", nargs=-1)
@click.option("--insecure", is_flag=True, help="If the model must be pulled: use plain http.")
@click.option("--keepalive", callback=_keep_alive, metavar="DURATION", help='Keep the model loaded, e.g. "5m".')
@click.option("--verbose", is_flag=True, help="Print timings on stderr after the answer.")
@click.option("--nowordwrap", is_flag=True, help="Do not wrap lines at the width of the terminal.")
@click.option("--format", "format_", callback=_format, metavar="FORMAT", help="'json', or a JSON schema.")
@click.option("--grammar", callback=_grammar, metavar="FILE", help="A GBNF grammar that the answer keeps to.")
@click.option(
    "--think",
    callback=_think,
    metavar="[=LEVEL]",
    help="Think before answering: --think, or --think=true|false|low|medium|high|max.",
)
@click.option("--hidethinking", is_flag=True, help="Do not print the thinking.")
@click.option(
    "--truncate",
    type=bool,
    metavar="[=BOOL]",
    help="Embedding models: cut a text that is too long (the default); --truncate=false refuses it.",
)
@click.option("--system", default="", metavar="TEXT", help="System message, in place of the model's own.")
@click.option("--dimensions", type=click.IntRange(min=1), help="Embedding models: how many numbers are wanted.")
@click.pass_obj
def command(
    invocation: Invocation,
    model: str,
    prompt: tuple[str, ...],
    insecure: bool,
    keepalive: KeepAlive,
    verbose: bool,
    nowordwrap: bool,
    format_: Any,
    grammar: str,
    think: Think,
    hidethinking: bool,
    truncate: bool | None,
    system: str,
    dimensions: int | None,
) -> int:
    """Run a model on PROMPT and print its answer. Text piped in goes before the prompt.

    At a terminal without a PROMPT: a conversation, in which /? lists the commands.

    A model that is not here is pulled first.

    Pictures and sounds whose paths stand in the prompt (.jpg, .png, .webp, .gif, .wav, .mp3, .flac) are sent along.

    An embedding model prints the vector of the text as JSON.
    """
    text = _piped_before(" ".join(prompt))
    if not prompt and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        from ollama_tui.cli.repl.session import Session

        session = Session(
            model=model,
            system=system,
            format=format_,
            grammar=grammar,
            think=think,
            keep_alive=UNSET if keepalive is None else keepalive,
            word_wrap=not nowordwrap,
            verbose=verbose,
            hide_thinking=hidethinking,
        )
        return with_engine(invocation, lambda engine: _converse(engine, session, invocation.settings, insecure))
    attached = attach_files(text)
    request = GenerateRequest(
        model=model,
        prompt=attached.prompt,
        system=system,
        images=attached.images or None,
        format=format_,
        grammar=grammar,
        think=think,
        keep_alive=UNSET if keepalive is None else keepalive,
    )
    for name in attached.names:
        click.echo(f"Added image '{name}'", err=True)
    tell_if_toy(model)
    printer = AnswerPrinter.for_stdout(wrap=not nowordwrap, thinking=not hidethinking)
    embed = EmbedRequest(model, text, truncate, dimensions or 0, request.keep_alive)

    async def work(engine: Engine) -> None:
        await tell_fit(engine, model)
        try:
            await _answer_or_embed(engine, request, embed, printer, verbose)
        except ModelNotFound:  # before a word of the answer, so that it can be asked again
            await pull_missing(engine, model, insecure=insecure)
            await tell_fit(engine, model)
            await _answer_or_embed(engine, request, embed, printer, verbose)

    with_engine(invocation, work)
    return 0


async def _converse(engine: Engine, session: Session, settings: Settings, insecure: bool) -> int:
    info = await present(engine, session.model, insecure=insecure)
    if "completion" not in info.capabilities and "embedding" in info.capabilities:
        raise _needs_text(session.model)
    tell_if_toy(session.model)
    await tell_fit(engine, session.model, always=True)
    session.know(info)
    # prompt_toolkit takes as long to import as all the rest.
    from ollama_tui.cli.repl.loop import converse

    return await converse(engine, session, settings)


def _piped_before(prompt: str) -> str:
    if sys.stdin is None or sys.stdin.isatty():
        return prompt
    piped = sys.stdin.buffer.read().decode("utf-8", errors="replace")
    return " ".join(part for part in (piped, prompt) if part)


async def _answer_or_embed(
    engine: Engine, request: GenerateRequest, embed: EmbedRequest, printer: AnswerPrinter, verbose: bool
) -> None:
    """Most models answer, so that is tried first: an embedding model says that it does not before it is loaded."""
    try:
        await _answer(engine, request, printer, verbose)
    except InvalidRequest as error:
        if "does not support generate" not in error.message:
            raise
        await _embed(engine, embed, verbose)


async def _embed(engine: Engine, request: EmbedRequest, verbose: bool) -> None:
    if not request.input:
        raise _needs_text(request.model)
    answer = await engine.embed(request)
    click.echo(json.dumps(answer.embeddings[0], separators=(",", ":")))
    if verbose:
        metrics = GenerateChunk(
            model=answer.model,
            created_at="",
            response="",
            done=True,
            total_duration=answer.total_duration,
            load_duration=answer.load_duration,
            prompt_eval_count=answer.prompt_eval_count,
        )
        click.echo(timings(metrics), err=True, nl=False)


def _needs_text(model: str) -> InvalidRequest:
    return InvalidRequest(
        "embedding models require input text", hint=f'For example: ollama-tui run {model} "your text here"'
    )


async def _answer(engine: Engine, request: GenerateRequest, printer: AnswerPrinter, verbose: bool) -> None:
    async with Spinner.for_stderr() as spinner:
        with printer:
            await _print(engine, request, printer, spinner, verbose)


async def _print(
    engine: Engine, request: GenerateRequest, printer: AnswerPrinter, spinner: Spinner, verbose: bool
) -> None:
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            if chunk.response or chunk.done or (chunk.thinking and printer.shows_thinking):
                spinner.clear()
            printer.think(chunk.thinking)
            printer.write(chunk.response)
            if chunk.done:
                printer.end(blank_line=bool(request.prompt))
                tell_of(chunk, verbose=verbose)
