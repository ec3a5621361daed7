"""`ps`: the models in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ollama_engine.types import DeviceShare, RunningModel
from ollama_tui import format
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_server

HEADER = ("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL")
WIDE_HEADER = (
    *HEADER,
    "STATE",
    "SLOTS",
    "QUEUED",
    "USED",
    "TOK/S",
    "PROMPT/S",
    "RSS",
    "PSS",
    "WEIGHTS",
    "KV",
    "COMPUTE",
    "DEVICES",
    "PID",
)


@click.command("ps")
@click.argument("prefix", default="")
@click.option("-w", "--wide", is_flag=True, help="Everything that is measured of each; models that load as well.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(invocation: Invocation, prefix: str, wide: bool, as_json: bool) -> None:
    """List the models that a server holds in memory, those whose name begins with PREFIX if one is given."""
    running = with_server(invocation, lambda engine: engine.running(), otherwise=list)
    models = [model for model in running if model.name.lower().startswith(prefix.lower())]
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(models)))
        return
    now = datetime.now(UTC)
    if wide:
        rows = [(*row(model, now), *figures(model)) for model in models]
        click.echo(format.table([WIDE_HEADER, *rows]), nl=False)
        for model in models:
            for notice in model.notices:
                click.echo(format.plain(f"{model.name}: {notice}"), err=True)
        return
    rows = [row(model, now) for model in models if model.state != "loading"]  # Ollama lists none that loads
    click.echo(format.table([HEADER, *rows]), nl=False)


def row(model: RunningModel, now: datetime) -> tuple[str, ...]:
    return (
        format.plain(model.name),
        model.digest[:12],
        format.size(model.size),
        format.processor(model.size, model.size_vram),
        str(model.context_length),
        format.until(format.parse_timestamp(model.expires_at), now),
    )


def figures(model: RunningModel) -> tuple[str, ...]:
    """What else is measured; `-` where the server does not say, or there is nothing to say."""
    return (
        _state(model),
        f"{model.slots_busy}/{model.slots}" if model.slots else "-",
        str(model.queued) if model.state else "-",
        f"{model.context_used}/{model.context_total}" if model.context_total else "-",
        _speed(model.tokens_per_second),
        _speed(model.prompt_tokens_per_second),
        _size(model.rss),
        _size(model.pss),
        _size(model.weights),
        _size(model.kv_cache),
        _size(model.compute),
        ", ".join(map(_share, model.devices)) or "-",
        str(model.pid) if model.pid else "-",
    )


def _state(model: RunningModel) -> str:
    state = f"loading {model.load_progress:.0%}" if model.state == "loading" else model.state or "-"
    return f"{state}, pinned" if model.pinned else state


def _share(share: DeviceShare) -> str:
    """What it holds of one device: measured by its driver, or the buffers that llama.cpp allocated."""
    held = share.measured or share.weights + share.kv_cache + share.compute
    return f"{format.plain(share.name)} {format.size(held)}"


def _size(count: int) -> str:
    return format.size(count) if count else "-"


def _speed(value: float) -> str:
    return f"{value:.1f}" if value else "-"
