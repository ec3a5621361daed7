"""`bench`: measures models, keeps what it measured, and compares it with what it measured before.

stdout has the run in the format that was asked for; stderr how it goes. Exit status 0: all was measured; 1: something
was not; 2: something became worse than `--fail-on-regression` allows.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ollama_engine.errors import InvalidRequest
from ollama_tui.cli.as_json import echo_json
from ollama_tui.cli.completing import complete_model
from ollama_tui.cli.root import Invocation

if TYPE_CHECKING:
    from ollama_engine.bench import Comparison, History, Plan, Run

UNMEASURED = 1
WORSE = 2


@click.command("bench")
@click.argument("models", nargs=-1, metavar="[MODEL]...", shell_complete=complete_model)
@click.option("-p", "--prompt", default="128", metavar="N,N", show_default=True, help="Tokens of the prompts.")
@click.option("-g", "--generate", default="64", metavar="N,N", show_default=True, help="Tokens of the answers.")
@click.option("-c", "--concurrency", default="1", metavar="N,N", show_default=True, help="Requests at once.")
@click.option("-r", "--repeat", default=5, metavar="N", show_default=True, help="Rounds that count.")
@click.option("--warmup", default=1, metavar="N", show_default=True, help="Rounds before them.")
@click.option("--loads", default=1, metavar="N", show_default=True, help="Times that each model is loaded.")
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="NAME=V,V",
    help="An option of the model, or several values of it.",
)
@click.option("--warm", is_flag=True, help="The same prompt again and again, from the prefix cache.")
@click.option("--seed", default=0, metavar="N", help="Of prompts and answers; another one each time if not given.")
@click.option("--stop-early", is_flag=True, help="Let models end their answers themselves.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv", "markdown"]), default="table", help="Of stdout."
)
@click.option("--json", "as_json", is_flag=True, help="As --format json.")
@click.option(
    "--output",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also a .json, .csv, .md, .svg or .png file.",
)
@click.option("--compare", "base", metavar="RUN", help="A number of the history, 'last', or a .json file.")
@click.option(
    "--fail-on-regression",
    "limit",
    type=click.FloatRange(0),
    metavar="PERCENT",
    help="Exit status 2 if something is worse by more.",
)
@click.option("--note", default="", metavar="TEXT", help="A name for the run.")
@click.option("--no-history", is_flag=True, help="Keep nothing.")
@click.option("--history", "listing", is_flag=True, help="List what was measured before.")
@click.option("--show", metavar="RUN", help="Print an earlier run instead of measuring.")
@click.option("--delete", metavar="RUN", type=int, help="Take a run out of the history.")
@click.pass_obj
def command(
    invocation: Invocation,
    models: tuple[str, ...],
    prompt: str,
    generate: str,
    concurrency: str,
    repeat: int,
    warmup: int,
    loads: int,
    options: tuple[str, ...],
    warm: bool,
    seed: int,
    stop_early: bool,
    form: str,
    as_json: bool,
    output: tuple[Path, ...],
    base: str | None,
    limit: float | None,
    note: str,
    no_history: bool,
    listing: bool,
    show: str | None,
    delete: int | None,
) -> int:
    """Measure how fast models read prompts and generate, every model with every length, concurrency and option.

    Figures are medians with the half of their spread (IQR) behind ±. Everything is kept: --history lists it, --compare
    says what became faster or slower than it was, and calls nothing a difference that the spread may explain.
    """
    from ollama_engine.bench import History, Plan, parse_lengths, parse_options
    from ollama_engine.bench.export import format_of

    if sum([listing, show is not None, delete is not None, bool(models)]) != 1:
        raise click.UsageError("Name models to measure, or one of --history, --show RUN, --delete RUN.")
    if limit is not None and base is None:
        raise click.UsageError("--fail-on-regression needs --compare RUN.")
    for path in output:
        format_of(path)
    form = "json" if as_json else form
    with History(_history_file()) as history:
        if listing:
            return _list(history, form)
        if delete is not None:
            history.delete(delete)
            return 0
        before = _find(history, base) if base is not None else None
        if show is not None:
            run = _find(history, show)
        else:
            plan = Plan(
                models=models,
                prompts=parse_lengths(prompt),
                generates=parse_lengths(generate),
                concurrencies=parse_lengths(concurrency),
                options=parse_options(options),
                repeats=repeat,
                warmups=warmup,
                loads=loads,
                warm=warm,
                seed=seed,
                ignore_eos=not stop_early,
            )
            run = asyncio.run(_measure(invocation, plan, note, None if no_history else history))
    return _tell(run, before, form, output, limit)


async def _measure(invocation: Invocation, plan: Plan, note: str, history: History | None) -> Run:
    """The run, whole; one that is interrupted is kept as far as it came."""
    from ollama_engine.bench import benchmark, ended, record
    from ollama_engine.bench.benchmark import now
    from ollama_engine.bench.plan import check
    from ollama_tui.cli.bench_progress import BenchProgress
    from ollama_tui.connect import HERE, choose_engine

    check(plan)
    chosen, where = await choose_engine(invocation.settings, server_only=invocation.host is not None)
    run: Run | None = None
    async with chosen as engine:
        try:
            events = benchmark(engine, plan, where=where, embedded=where == HERE)
            with BenchProgress.for_stderr() as progress:
                async with contextlib.aclosing(events):
                    async for event in events:
                        run = record(run, event)
                        if run is not None:
                            run = _keep(history, run, note)
                            progress.show(event, run)
        except BaseException:
            if run is not None and history is not None:
                _keep(history, ended(run, now(), "stopped"), note)
                click.echo(f"What was measured is run {run.id} of the history.", err=True)
            raise
    assert run is not None  # its first event says that it has begun
    return run


def _keep(history: History | None, run: Run, note: str) -> Run:
    from msgspec import structs

    run = structs.replace(run, note=note)
    return run if history is None else history.save(run)


def _tell(run: Run, before: Run | None, form: str, output: tuple[Path, ...], limit: float | None) -> int:
    from ollama_engine.bench import compare
    from ollama_engine.bench.export import export, json_file, write_file
    from ollama_tui.cli import bench_tables as tables

    comparison = compare(before, run) if before is not None else None
    for path in output:
        write_file(run, path)
    match form:
        case "json":
            click.echo(json_file.write(run, comparison), nl=False)
        case "table":
            click.echo(tables.run_table(run), nl=False)
        case _:
            click.echo(export(run, form), nl=False)
    if comparison is not None and form != "json":
        text = tables.comparison_markdown(comparison) if form == "markdown" else tables.comparison_table(comparison)
        click.echo(f"\n{text}", nl=False, err=form == "csv")
    for note in tables.remarks(run):
        click.echo(note, err=True)
    return _status(run, comparison, limit)


def _status(run: Run, comparison: Comparison | None, limit: float | None) -> int:
    worse = comparison.worse(limit) if comparison is not None and limit is not None else ()
    if worse:
        click.echo(f"{len(worse)} of the figures became worse by more than {limit:g} %.", err=True)
        return WORSE
    return UNMEASURED if run.failures else 0


def _list(history: History, form: str) -> int:
    runs = history.runs()
    if form == "json":
        echo_json(runs)
    else:
        from ollama_tui.cli.bench_tables import history_table

        click.echo(history_table(runs, datetime.now(UTC)), nl=False)
    return 0


def _find(history: History, name: str) -> Run:
    """A run by its number, the last one, or one in a file."""
    from ollama_engine.bench.export import json_file

    if name == "last":
        return history.load(history.last())
    if name.isascii() and name.isdigit():
        return history.load(min(int(name), 2**62))
    path = Path(name)
    if path.suffix.lower() != ".json":
        raise InvalidRequest(
            f"'{name}' is no run", hint="A number of 'ollama-tui bench --history', last, or a .json file."
        )
    return json_file.read(path)


def _history_file() -> Path:
    import platformdirs

    from ollama_engine.settings import APP

    return Path(platformdirs.user_data_dir(APP)) / "bench.db"
