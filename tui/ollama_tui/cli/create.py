"""`create`: a model from a Modelfile. Files go to the engine as blobs first, then the request that names them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
from msgspec.structs import replace as replace_fields

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest
from ollama_engine.modelfile.compile import CreatePlan, create_from_plan, plan_create, plan_quantize
from ollama_engine.modelfile.parser import parse_modelfile
from ollama_tui.cli.progress import ProgressLines
from ollama_tui.cli.root import Invocation
from ollama_tui.cli.work import with_engine


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
@click.pass_obj
def command(
    invocation: Invocation,
    model: str,
    path: str,
    quantize: str,
    imatrix: Path | None,
    requantize: bool,
    draft_quantize: str,
) -> None:
    """Make a model from a Modelfile. Relative paths in it start at its own folder."""
    source, base_dir = _read(path)
    plan = plan_create(parse_modelfile(source), base_dir)
    request = replace_fields(plan.request, quantize=quantize, requantize=requantize, draft_quantize=draft_quantize)
    plan = plan_quantize(replace(plan, request=request), imatrix)
    for warning in plan.warnings:
        click.echo(f"warning: {warning.removeprefix('warning: ')}", err=True)
    with_engine(invocation, lambda engine: _create(engine, plan, model))


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


async def _create(engine: Engine, plan: CreatePlan, model: str) -> None:
    with ProgressLines.for_stderr() as lines:
        async for step in create_from_plan(engine, plan, model):
            lines.show(step)
