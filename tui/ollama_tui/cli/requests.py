"""`requests`: what a server works on, and who waits."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ollama_engine.types import RequestView
from ollama_tui import format
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_server

HEADER = ("ID", "KIND", "MODEL", "STATE", "PROMPT", "OUTPUT", "SPEED", "SINCE", "CLIENT")


@click.command("requests")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(invocation: Invocation, as_json: bool) -> None:
    """List the requests that a server works on, and those that wait. PROMPT and OUTPUT are tokens."""
    requests = with_server(invocation, lambda engine: engine.requests(), otherwise=list)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(requests)))
    else:
        now = datetime.now(UTC)
        click.echo(format.table([HEADER, *(row(request, now) for request in requests)]), nl=False)


def row(request: RequestView, now: datetime) -> tuple[str, ...]:
    return (
        format.plain(request.id),
        request.kind,
        format.plain(request.model),
        state(request),
        str(request.prompt_tokens) if request.prompt_tokens else "-",
        str(request.output_tokens) if request.output_tokens else "-",
        f"{request.tokens_per_second:.1f} tokens/s" if request.tokens_per_second else "-",
        format.moment(format.parse_timestamp(request.created_at), now),
        format.plain(request.client),
    )


def state(request: RequestView) -> str:
    """`waiting (3)`: the third of those who wait."""
    return f"{request.state} ({request.position})" if request.position else request.state
