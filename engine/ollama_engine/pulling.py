"""What a pull request means: a model of a registry, or GGUF files on the web that become one here.

Joins two rooms that do not know each other: `registry` brings the bytes, `modelfile.layers` makes a model of files as
`create` does. `LocalEngine` and its queue of pulls call it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from ollama_engine.errors import EngineError, InvalidRequest, ModelNotFound
from ollama_engine.modelfile.layers import create_model
from ollama_engine.registry import Fetched, Link, Registry, is_sharded, parse_link
from ollama_engine.registry.links import file_name, locate_file
from ollama_engine.registry.pull import creating
from ollama_engine.registry.threads import in_thread
from ollama_engine.store import manifest as media
from ollama_engine.store import names
from ollama_engine.store.names import ModelName
from ollama_engine.store.store import Store
from ollama_engine.types import CreateRequest, PullRequest, TransferProgress


async def pull(store: Store, registry: Registry, request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
    """Bring a model into the store; the last step is `success`. See `Engine.pull`.

    `request.model` is a name, or the URL of a `.gguf` file: its model is named after the file. A model that Hugging
    Face's registry refuses because its weights lie in several files is made of these files.
    """
    if link := parse_link(request.model):
        locate_file(link.urls[0], registry.config, insecure=request.insecure)  # refuses plain http
        await asyncio.to_thread(_check_free, store, link)
        yield TransferProgress(status="pulling manifest")
        steps = _pull_files(store, registry, link.name, link.urls, request.insecure)
    else:
        steps = _pull_name(store, registry, names.parse(request.model), request.insecure)
    async with aclosing(steps):
        async for step in steps:
            yield step


async def _pull_name(
    store: Store, registry: Registry, name: ModelName, insecure: bool
) -> AsyncGenerator[TransferProgress, None]:
    try:
        async with aclosing(registry.pull(name, insecure=insecure)) as steps:
            async for step in steps:
                yield step
        return
    except EngineError as error:
        if not is_sharded(name, error):
            raise
    urls = await registry.shard_urls(name, insecure=insecure)
    async with aclosing(_pull_files(store, registry, name, urls, insecure)) as steps:
        async for step in steps:
            yield step


async def _pull_files(
    store: Store, registry: Registry, name: ModelName, urls: Sequence[str], insecure: bool
) -> AsyncGenerator[TransferProgress, None]:
    files: dict[str, str] = {}
    held = await creating(store)
    try:
        async with aclosing(registry.pull_files(urls, insecure=insecure)) as steps:
            async for step in steps:
                if isinstance(step, Fetched):
                    files[step.name] = str(step.digest)
                else:
                    yield step
        made = create_model(store, CreateRequest(f"{name.scheme}://{name.full}", files=files))
        try:
            while (step := await in_thread(next, made, None)) is not None:
                yield TransferProgress(status=step.status)
        finally:
            await in_thread(made.close)
    finally:
        held.close()


def _check_free(store: Store, link: Link) -> None:
    """InvalidRequest where the name that a link gives stands for a model that was not made of that file."""
    with suppress(ModelNotFound):
        layers = store.resolve(link.name).manifest.layers
        sources = {layer.from_ for layer in layers if layer.media_type == media.MODEL}
        if not sources <= {file_name(url) for url in link.urls}:
            raise InvalidRequest(
                f"there is a model '{link.name.display}' already, of other weights than {file_name(link.urls[0])}",
                hint=f"Rename it first: ollama-tui cp {link.name.display} NAME, then rm {link.name.display}.",
            )
