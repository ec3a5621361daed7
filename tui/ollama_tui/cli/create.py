"""`create`: a model from a Modelfile. Files go to the engine as blobs first, then the request that names them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
from msgspec.structs import replace as replace_fields

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest
from ollama_engine.local import LocalEngine
from ollama_engine.modelfile.compile import CreatePlan, create_from_plan, plan_create, plan_quantize
from ollama_engine.modelfile.parser import parse_modelfile
from ollama_engine.store import names
from ollama_tui.cli.progress import ProgressLines
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_engine

_WAYS = {
    "present": "in the store already",
    "reflink": "reflink, takes no room",
    "hard link": "hard link, takes no room; do not change the file while a model uses it",
    "copy": "copy, the file system can neither clone nor link it",
}


@click.command("create")
@click.argument("model")
@click.option(
    "-f", "--file", "path", default="Modelfile", metavar="FILE", help="The Modelfile (default: Modelfile; - is stdin)."
)
@click.option("-q", "--quantize", default="", metavar="TYPE", help="Quantize F16, BF16 or F32 weights, e.g. Q4_K_M.")
@click.option(
    "--imatrix", type=click.Path(path_type=Path), metavar="FILE", help="Importance matrix, for the smallest types."
)
@click.option("--requantize", is_flag=True, help="Quantize weights that are quantized already, at a loss.")
@click.option("--draft-quantize", default="", metavar="TYPE", help="Quantize the DRAFT model.")
@click.option("--in-place", is_flag=True, help="Link the GGUF files into the store instead of copying them.")
@click.pass_obj
def command(
    invocation: Invocation,
    model: str,
    path: str,
    quantize: str,
    imatrix: Path | None,
    requantize: bool,
    draft_quantize: str,
    in_place: bool,
) -> None:
    """Make a model from a Modelfile. Relative paths in it start at its own folder."""
    source, base_dir = _read(path)
    plan = plan_create(parse_modelfile(source), base_dir)
    request = replace_fields(plan.request, quantize=quantize, requantize=requantize, draft_quantize=draft_quantize)
    plan = plan_quantize(replace(plan, request=request), imatrix)
    for warning in plan.warnings:
        click.echo(f"warning: {warning.removeprefix('warning: ')}", err=True)
    with_engine(invocation, lambda engine: _create(engine, plan, model, in_place=in_place))


def _read(path: str) -> tuple[bytes, Path]:
    if path == "-":
        return sys.stdin.buffer.read(), Path.cwd()
    try:
        return Path(path).read_bytes(), Path(path).parent
    except OSError as error:
        raise InvalidRequest(
            f"cannot read the Modelfile {path}: {error.strerror or error}",
            hint="Name it with -f; its first line is FROM and a model's name or the path of a GGUF file.",
        ) from error


async def _create(engine: Engine, plan: CreatePlan, model: str, *, in_place: bool) -> None:
    names.parse(model)  # before anything is put into the store
    placed = await _place(engine, plan) if in_place else {}
    with ProgressLines.for_stderr() as lines:
        async for step in create_from_plan(engine, plan, model, placed):
            lines.show(step)


async def _place(engine: Engine, plan: CreatePlan) -> dict[Path, str]:
    """The digests of the model's files, each put into the store where it lies; stderr says how."""
    if not isinstance(engine, LocalEngine):
        raise InvalidRequest(
            "--in-place works on the store of this process, and a server answered",
            hint="Stop the server and create again, or leave --in-place out: the files are then copied to the server.",
        )
    digests: dict[Path, str] = {}
    for path in (*plan.files.values(), *plan.adapters.values(), *plan.draft.values()):
        if path not in digests:
            placed = await engine.add_file(path)
            digests[path] = str(placed.digest)
            click.echo(f"{path}: {_WAYS[placed.way]}", err=True)
    return digests
