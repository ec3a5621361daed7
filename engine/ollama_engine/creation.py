"""The way of a create request: the base model pulled where it is not here, weights quantized where that is asked for,
then the layers (`modelfile.layers`). `LocalEngine.create` is this.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from ollama_engine.errors import (
    EngineError,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    RunnerError,
    StoreError,
    from_status,
)
from ollama_engine.gguf import Header, merge_shards, model_metadata, read_header, read_metadata
from ollama_engine.modelfile.layers import create_model
from ollama_engine.modelfile.prepare import Prepared, prepare
from ollama_engine.modelfile.quantizations import FULL_PRECISION, PINNED, PINNED_FOR, Quantized, find_quantization
from ollama_engine.runner.quantize_protocol import QuantizePlanned, QuantizeSpec
from ollama_engine.runner.quantizer import quantize
from ollama_engine.store.blobs import BlobWriter
from ollama_engine.store.store import Store
from ollama_engine.types import CreateRequest, Progress, PullRequest, TransferProgress

QUANTIZE_DIGEST = "0" * 19
"""What Ollama puts for the digest of weights that have none yet (spec §1.9)."""
GGML_TYPES = {"F16": 1, "Q8_0": 8}
SPARE = 64 << 20
"""Bytes that are to stay free on the disk beside a quantized model."""

Pull = Callable[[PullRequest], AsyncGenerator[TransferProgress, None]]


async def create(store: Store, request: CreateRequest, pull: Pull) -> AsyncGenerator[Progress, None]:
    """Make a model; closing this early leaves no model and no half of a file.

    Errors as `modelfile.layers.create_model` and `runner.quantizer.quantize` have them.
    """
    try:
        async with aclosing(_create(store, request)) as steps:
            async for step in steps:
                yield step
        return
    except ModelNotFound as error:
        if error.name != request.from_:
            raise
    # The request has been checked by now: nothing is downloaded for one that could not succeed.
    async with aclosing(_pull_base(request.from_, pull)) as pulling:
        async for step in pulling:
            yield step
    async with aclosing(_create(store, request)) as steps:
        async for step in steps:
            yield step


async def _pull_base(name: str, pull: Pull) -> AsyncGenerator[Progress, None]:
    """The steps of a pull but its `success`, which would look like the whole create's."""
    try:
        async with aclosing(pull(PullRequest(name))) as steps:
            async for step in steps:
                if step.status != "success":
                    yield step
    except EngineError as error:
        message = f"model '{name}' is not here, and it could not be pulled: {error.message}"
        if isinstance(error, NotFound):
            raise ModelNotFound(name, message, hint=error.hint) from error
        raise from_status(error.status, message, hint=error.hint, path=error.path) from error


async def _create(store: Store, request: CreateRequest) -> AsyncGenerator[Progress, None]:
    if not (request.quantize or request.draft_quantize):
        async with aclosing(_in_threads(create_model(store, request))) as steps:
            async for step in steps:
                yield step
        return
    # What is quantized has no manifest yet: while this is held nobody takes it for rubbish.
    creation = await asyncio.to_thread(store.creating)
    try:
        prepared = await asyncio.to_thread(prepare, store, request)
        made: dict[str, str] = {}
        async with aclosing(_quantize_all(store, prepared, made)) as steps:
            async for step in steps:
                yield step
        quantized = Quantized(made.get("model", ""), made.get("draft", ""))
        async with aclosing(_in_threads(create_model(store, request, quantized))) as steps:
            async for step in steps:
                yield step
    finally:
        creation.close()


async def _quantize_all(store: Store, prepared: Prepared, made: dict[str, str]) -> AsyncGenerator[Progress, None]:
    """Quantize the model and the draft as the request says; digests of what came of it are put into `made`."""
    request, weights = prepared.request, []
    if request.quantize:
        paths = _model_paths(store, prepared)
        weights.append(("model", request.quantize, request.imatrix, paths))
    if request.draft_quantize and request.draft_files:
        paths = [store.blobs.path(request.draft_files[file]) for file in prepared.draft.model]
        weights.append(("draft", request.draft_quantize, "", paths))
    for _, wanted, _, paths in weights:
        await asyncio.to_thread(_check_source, paths, wanted, requantize=request.requantize)
    for role, wanted, imatrix, paths in weights:
        async with aclosing(_quantize(store, prepared, wanted, imatrix, paths, made, role)) as steps:
            async for step in steps:
                yield step


def _model_paths(store: Store, prepared: Prepared) -> list[Path]:
    if prepared.ingredients.model:
        return [store.blobs.path((prepared.request.files or {})[file]) for file in prepared.ingredients.model]
    return list(prepared.base.model_paths) if prepared.base else []


def _header(paths: Sequence[Path]) -> Header:
    return merge_shards([read_header(path) for path in paths])


def _check_source(paths: Sequence[Path], wanted: str, *, requantize: bool) -> None:
    level = model_metadata(_header(paths)).quantization_level
    if level not in FULL_PRECISION and not requantize:
        raise RunnerError(
            "quantization is only supported for F16, BF16 and F32 models",
            hint=f"The weights are {level or 'of no known type'}: take the original ones to make {wanted.upper()} of.",
        )


async def _quantize(
    store: Store,
    prepared: Prepared,
    wanted: str,
    imatrix: str,
    paths: Sequence[Path],
    made: dict[str, str],
    role: str,
) -> AsyncGenerator[Progress, None]:
    header = await asyncio.to_thread(_header, paths)
    metadata, kind = model_metadata(header), find_quantization(wanted)
    status = f"quantizing {metadata.quantization_level} model to {kind.name}"
    sizes = [tensor.nbytes for tensor in sorted(header.tensors, key=lambda tensor: _in_turn(tensor.name))]
    total = sum(sizes)
    pins = PINNED.get(metadata.architecture, ()) if kind.name in PINNED_FOR else ()
    weights = await asyncio.to_thread(_imatrix, store, imatrix) if imatrix else {}
    writer = store.blobs.writer()
    with _as_shards(paths) as source:
        try:
            await asyncio.to_thread(writer.open)
            spec = QuantizeSpec(
                source=str(source),
                target=str(writer.path),
                file_type=kind.file_type,
                pins=[(pattern, GGML_TYPES[name]) for pattern, name in pins],
                imatrix=weights,
                requantize=prepared.request.requantize,
            )
            async with aclosing(quantize(spec)) as reports:
                async for report in reports:
                    if isinstance(report, QuantizePlanned):
                        _check_room(store, report.bytes)
                        done = 0
                    else:
                        done = sum(sizes[: report.number - 1])
                        await asyncio.to_thread(_stay_fresh, store, prepared)
                    yield Progress(status=status, digest=QUANTIZE_DIGEST, total=total, completed=done)
            await asyncio.to_thread(_check_result, writer, kind.name)
            yield Progress(status=status, digest=QUANTIZE_DIGEST, total=total, completed=total)
            async with aclosing(_in_threads(_hashing(writer))) as steps:
                async for step in steps:
                    yield step
            made[role] = str((await asyncio.to_thread(writer.commit)).digest)
        finally:
            writer.close()


def _imatrix(store: Store, digest: str) -> dict[str, bytes]:
    from ollama_engine.modelfile.imatrix import read_imatrix  # numpy, which nothing else here needs

    if not store.blobs.reuse(digest):
        raise InvalidRequest(
            f"the importance matrix is not on the server: there is no blob {digest}",
            hint=f"Send its bytes to POST /api/blobs/{digest} first.",
        )
    return read_imatrix(store.blobs.path(digest))


def _in_turn(tensor: str) -> tuple[int, str]:
    """llama.cpp takes the tensors by layer, those of no layer first, and then by name."""
    layer = re.match(r"blk\.(\d{1,6})\.", tensor)
    return int(layer[1]) if layer else -1, tensor


def _check_room(store: Store, needed: int) -> None:
    free = store.free_bytes()
    if needed + SPARE > free:
        raise StoreError(
            f"the quantized model takes {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on the disk",
            hint="Free disk space (remove models, prune), or set OLLAMA_MODELS to a larger disk.",
        )


def _stay_fresh(store: Store, prepared: Prepared) -> None:
    """Blobs that no model uses yet are rubbish an hour after they were last used; a large model takes longer."""
    request = prepared.request
    for files in (request.files, request.adapters, request.draft_files):
        for digest in (files or {}).values():
            store.blobs.reuse(digest)


def _check_result(writer: BlobWriter, wanted: str) -> None:
    """The header of what llama.cpp wrote, read as any stranger's."""
    level = read_metadata(writer.path).quantization_level
    if not level or not wanted.startswith(level):  # MXFP4_MOE is called MXFP4 in a file
        raise RunnerError(f"llama.cpp wrote {level} where {wanted} was asked for")


def _hashing(writer: BlobWriter) -> Iterator[Progress]:
    total = writer.path.stat().st_size
    for done in writer.hash_file():
        yield Progress(status="hashing the quantized model", total=total, completed=done)


@contextlib.contextmanager
def _as_shards(paths: Sequence[Path]) -> Iterator[Path]:
    """A path that llama.cpp finds the whole model by: blobs have not the names that tell it of other shards."""
    if len(paths) == 1:
        yield paths[0].resolve()
        return
    with tempfile.TemporaryDirectory(prefix="ollama-tui-shards-") as folder:
        links = [Path(folder) / f"model-{n:05d}-of-{len(paths):05d}.gguf" for n in range(1, len(paths) + 1)]
        for link, path in zip(links, paths, strict=True):
            link.symlink_to(path.resolve())
        yield links[0]


async def _in_threads(steps: Iterator[Progress]) -> AsyncGenerator[Progress, None]:
    """A generator that works in threads. A caller cancelled meanwhile leaves only once the thread is out of it."""
    try:
        while True:
            step = asyncio.ensure_future(asyncio.to_thread(next, steps, None))
            try:
                found = await asyncio.shield(step)
            except asyncio.CancelledError:
                await asyncio.wait([step])
                raise
            if found is None:
                return
            yield found
    finally:
        close = getattr(steps, "close", None)
        if close is not None:
            await asyncio.to_thread(close)
