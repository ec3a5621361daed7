"""Compiles a Modelfile to a create request: the client's side of `create` (spec §5.3).

`plan_create` finds the files and checks everything that can be checked here; `create_from_plan` hashes them, sends
what the engine does not have, and has it make the model. The command line and the workstation call both; the engine
may be in this process or on another machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Protocol

import msgspec

from ollama_engine.errors import InvalidRequest, ModelfileError
from ollama_engine.modelfile.checks import check_requires
from ollama_engine.modelfile.ingredients import read_ingredients
from ollama_engine.modelfile.parser import Command, Modelfile
from ollama_engine.modelfile.quantizations import check_quantization
from ollama_engine.modelfile.sources import find_gguf_files
from ollama_engine.modelfile.stored import StoredFiles
from ollama_engine.options import OptionValue, parse_parameters
from ollama_engine.store import names
from ollama_engine.types import CreateRequest, Progress

CHUNK = 4 << 20
DRAFT_UNUSED = "DRAFT is stored with the model, but answers are not drafted with it yet"


class BlobSink(Protocol):
    """The two verbs of an Engine that take files."""

    async def has_blob(self, digest: str) -> bool: ...

    async def put_blob(self, digest: str, data: AsyncIterable[bytes]) -> bool: ...


class Creator(BlobSink, Protocol):
    def create(self, request: CreateRequest) -> AsyncIterator[Progress]: ...


@dataclass(frozen=True)
class CreatePlan:
    """What a Modelfile asks for. `files`, `adapters` and `draft`: names as the server will know them, and their paths.

    `request` has everything but the model's name and the digests. `stored` is with the engine already. `warnings` are
    to be shown.
    """

    request: CreateRequest
    files: dict[str, Path]
    adapters: dict[str, Path]
    draft: dict[str, Path] = field(default_factory=dict)
    imatrix: Path | None = None
    stored: StoredFiles = field(default_factory=StoredFiles)
    warnings: tuple[str, ...] = ()

    @property
    def all_files(self) -> dict[str, Path]:
        imatrix = {self.imatrix.name: self.imatrix} if self.imatrix else {}
        return {**imatrix, **self.files, **self.adapters, **self.draft}


def plan_create(modelfile: Modelfile, base_dir: Path) -> CreatePlan:
    """Resolve the paths of `modelfile`, which lies in `base_dir`, and check files, parameters and versions.

    Raises:
        ModelfileError: with the line; also a parameter that is unknown or of the wrong type.
        InvalidGGUF, InvalidRequest, InvalidName: a file, or a model's name, that cannot be used.
    """
    base, files = _froms(modelfile, base_dir)
    adapters = _adapters(modelfile, base_dir)
    draft = _draft(modelfile, base_dir, files)
    named = _relative_names([*files, *adapters, *draft])
    read_ingredients({named[path]: path for path in files})
    parameters, warnings = _parameters(modelfile)
    warnings += [DRAFT_UNUSED] if draft else []
    requires = modelfile.last("requires")
    check_requires(requires)
    request = CreateRequest(
        model="",
        from_=base,
        template=modelfile.last("template"),
        system=modelfile.last("system"),
        license=modelfile.licenses or None,
        parameters=dict(parameters) or None,
        messages=modelfile.messages or None,
        renderer=modelfile.last("renderer"),
        parser=modelfile.last("parser"),
        requires=requires,
    )
    return CreatePlan(
        request=request,
        files={named[path]: path for path in files},
        adapters={named[path]: path for path in adapters},
        draft={named[path]: path for path in draft},
        warnings=tuple(warnings),
    )


def plan_quantize(plan: CreatePlan, imatrix: Path | None) -> CreatePlan:
    """`plan` with an importance matrix, and what its request says of quantizing checked before files are hashed.

    Raises:
        InvalidRequest: no such type, one that needs a matrix, a file that is none, or a draft that is not there.
    """
    if imatrix is not None:
        from ollama_engine.modelfile.imatrix import read_imatrix  # numpy, which no other command needs

        read_imatrix(imatrix)
    request = plan.request
    if request.quantize:
        check_quantization(request.quantize, imatrix=imatrix is not None)
    elif imatrix is not None:
        raise InvalidRequest("an importance matrix is of use only to quantize", hint="Say to what: --quantize TYPE.")
    if request.draft_quantize:
        check_quantization(request.draft_quantize, imatrix=False)
        if not plan.draft:
            raise InvalidRequest("--draft-quantize requires a DRAFT model", hint="Name the draft's GGUF file in DRAFT.")
    return replace(plan, imatrix=imatrix)


def _froms(modelfile: Modelfile, base_dir: Path) -> tuple[str, list[Path]]:
    """The model that FROM names (the last one wins) and the files of all FROMs together."""
    base, files = "", []
    for command in modelfile.all("from"):
        if not command.args:
            raise ModelfileError("FROM is empty", line=command.line, hint="Name a model, or the path of a GGUF file.")
        found = find_gguf_files(command, base_dir)
        files.extend(path for path in found if path not in files)
        if not found:
            names.parse(command.args)
            base = command.args
    return base, files


def _adapters(modelfile: Modelfile, base_dir: Path) -> list[Path]:
    """The adapters in the order of their lines, which is that of their scales."""
    adapters: list[Path] = []
    for command in modelfile.all("adapter"):
        files = find_gguf_files(command, base_dir)
        ingredients = read_ingredients({path.name: path for path in files})
        if len(files) > 1 or len(ingredients.adapters) != 1:
            raise ModelfileError(
                f"{command.args} is not one adapter (LoRA) in GGUF format",
                line=command.line,
                hint="Convert the adapter with llama.cpp's convert_lora_to_gguf.py and name that file.",
            )
        if files[0] in adapters:
            raise ModelfileError(
                f"the adapter {command.args} is named twice",
                line=command.line,
                hint="To make it count more, give it a larger PARAMETER adapter_scale.",
            )
        adapters += files
    return adapters


def _draft(modelfile: Modelfile, base_dir: Path, model: list[Path]) -> list[Path]:
    """The files of the last DRAFT: one small model, another one than the model itself."""
    commands = modelfile.all("draft")
    if not commands:
        return []
    files = find_gguf_files(commands[-1], base_dir)
    ingredients = read_ingredients({path.name: path for path in files})
    if ingredients.header is None or ingredients.projectors or ingredients.adapters:
        raise ModelfileError(
            f"{commands[-1].args} is not one model in GGUF format",
            line=commands[-1].line,
            hint="A DRAFT is a small model with the vocabulary of the large one.",
        )
    if {path.resolve() for path in files} & {path.resolve() for path in model}:
        raise ModelfileError(
            "DRAFT and FROM are the same file", line=commands[-1].line, hint="A DRAFT is a smaller model."
        )
    return files


def _parameters(modelfile: Modelfile) -> tuple[dict[str, OptionValue], list[str]]:
    commands = modelfile.all("parameter")
    for command in commands:
        _checked_parameter(command)
    return parse_parameters((command.key, command.args) for command in commands)


def _checked_parameter(command: Command) -> None:
    try:
        parse_parameters([(command.key, command.args)])
    except InvalidRequest as error:
        raise ModelfileError(error.message, line=command.line, hint=error.hint) from error


def _relative_names(paths: list[Path]) -> dict[Path, str]:
    """Each path relative to the folder that all of them are in, with forward slashes."""
    if not paths:
        return {}
    absolute = {path: Path(os.path.abspath(path)) for path in paths}
    root = os.path.commonpath([path.parent for path in absolute.values()])
    return {path: whole.relative_to(root).as_posix() for path, whole in absolute.items()}


async def create_from_plan(
    engine: Creator, plan: CreatePlan, name: str, placed: Mapping[Path, str] | None = None
) -> AsyncGenerator[Progress, None]:
    """Make the model `name`: hash the files, send those that the engine lacks, then follow its own progress.

    `placed` has the digests of files that the engine was given already (`LocalEngine.add_file`).

    Raises:
        EngineError: a file that cannot be read or changed meanwhile, and whatever the engine refuses.
    """
    names.parse(name)  # before gigabytes are hashed for a name that is none
    digests: dict[Path, str] = dict(placed or {})
    async with aclosing(send_files(plan, engine, digests)) as sending:
        async for progress in sending:
            yield progress
    async with aclosing(_generator(engine.create(_request(plan, name, digests)))) as creating:
        async for progress in creating:
            yield progress


def _request(plan: CreatePlan, name: str, digests: dict[Path, str]) -> CreateRequest:
    stored = plan.stored
    return msgspec.structs.replace(
        plan.request,
        model=name,
        files={**stored.files, **{file: digests[path] for file, path in plan.files.items()}} or None,
        adapters={**stored.adapters, **{file: digests[path] for file, path in plan.adapters.items()}} or None,
        draft_files={**stored.draft, **{file: digests[path] for file, path in plan.draft.items()}} or None,
        imatrix=digests[plan.imatrix] if plan.imatrix else "",
    )


async def send_files(plan: CreatePlan, sink: BlobSink, digests: dict[Path, str]) -> AsyncGenerator[Progress, None]:
    """Progress of hashing and sending; what was hashed is put into `digests`. What is in it already is passed over."""
    for name, path in plan.all_files.items():
        if path in digests:
            continue
        async with aclosing(_hash(name, path)) as hashing:
            async for progress in hashing:
                digests[path] = progress.digest
                yield progress
        if not await sink.has_blob(digests[path]):
            async with aclosing(_send(path, digests[path], sink)) as sending:
                async for progress in sending:
                    yield progress


async def _hash(name: str, path: Path) -> AsyncGenerator[Progress, None]:
    """Progress after each piece; the last has the digest."""
    total, done, sha256 = _size(path), 0, hashlib.sha256()
    async with aclosing(_chunks(path)) as chunks:
        async for chunk in chunks:
            await asyncio.to_thread(sha256.update, chunk)
            done += len(chunk)
            yield Progress(status=f"hashing {name}", total=total, completed=done)
    yield Progress(status=f"hashing {name}", digest=f"sha256:{sha256.hexdigest()}", total=done, completed=done)


async def _send(path: Path, digest: str, sink: BlobSink) -> AsyncGenerator[Progress, None]:
    """Progress of one upload. Closing it cancels the upload and waits until it has ended."""
    total, sent = _size(path), 0
    moved = asyncio.Event()

    async def counted() -> AsyncGenerator[bytes, None]:
        nonlocal sent
        async with aclosing(_chunks(path)) as chunks:
            async for chunk in chunks:
                yield chunk
                sent += len(chunk)
                moved.set()

    async with aclosing(counted()) as data:
        upload = asyncio.create_task(sink.put_blob(digest, data))
        upload.add_done_callback(lambda _: moved.set())
        try:
            while not upload.done():
                await moved.wait()
                moved.clear()
                yield Progress(status=f"copying file {digest}", digest=digest, total=total, completed=sent)
            await upload
        finally:
            upload.cancel()
            await asyncio.gather(upload, return_exceptions=True)


async def _generator(stream: AsyncIterator[Progress]) -> AsyncGenerator[Progress, None]:
    """An engine's stream, which is an async generator though its type does not say so, to be closed with `aclosing`."""
    try:
        async for progress in stream:
            yield progress
    finally:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error


async def _chunks(path: Path) -> AsyncGenerator[bytes, None]:
    file: BufferedReader | None = None
    try:
        file = await asyncio.to_thread(path.open, "rb")
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        if file is not None:
            file.close()


def _unreadable(path: Path, error: OSError) -> InvalidRequest:
    return InvalidRequest(f"cannot read {path}: {error.strerror or error}", hint="Check the file and its permissions.")
