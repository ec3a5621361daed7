"""Models of Hugging Face whose weights lie in several files. Its registry refuses them; its repositories do not.

The registry answers the manifest of such a model with 400 "... sharded GGUF ..." (huggingface/hub-docs issue 2702).
Then the repository is listed (`/api/models/USER/REPOSITORY`, `siblings[].rfilename`) and its files are pulled as links.
"""

from __future__ import annotations

from collections import defaultdict
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from ollama_engine.errors import EngineError, NotFound
from ollama_engine.registry.bodies import read_body
from ollama_engine.registry.client import RegistryClient
from ollama_engine.registry.config import HUGGING_FACE_HOSTS
from ollama_engine.registry.errors import RegistryError
from ollama_engine.registry.links import locate_file, quantization_of, shards_of
from ollama_engine.registry.pace import persist
from ollama_engine.store.names import DEFAULT_TAG, ModelName

SITE = "https://huggingface.co"
MAX_LIST = 16 << 20
PREFERRED = "q4_k_m"
"""The quantization that stands for `latest`, as the registry chooses it."""


class _File(Struct):
    rfilename: str = ""


class _Repository(Struct):
    siblings: list[_File] = field(default_factory=list)


def is_sharded(name: ModelName, error: EngineError) -> bool:
    """Whether a pull of `name` ended with `error` because its weights lie in several files."""
    refused = isinstance(error, RegistryError) and "sharded" in error.message.lower()
    return refused and name.host.lower() in HUGGING_FACE_HOSTS


async def shard_urls(client: RegistryClient, name: ModelName, *, insecure: bool = False) -> list[str]:
    """The URLs of the model's files: all shards of its quantization, and a projector if there is one.

    NotFound where the repository has no complete set of them.
    """
    repository = f"{name.namespace}/{name.model}"
    endpoint, url = locate_file(f"{SITE}/api/models/{repository}", client.config, insecure=insecure)

    async def attempt() -> bytes:
        response = await client.send(endpoint, "GET", url, {"Accept": "application/json"})
        if response.status_code != 200:
            raise await client.refusal(endpoint, response, f"list the files of {repository}")
        return await read_body(response, MAX_LIST, f"the list of files of {repository}")

    data = await persist(attempt, client.config, f"list the files of {repository}")
    try:
        files = [file.rfilename for file in msgspec.json.decode(data, type=_Repository).siblings]
    except msgspec.MsgspecError as error:
        raise RegistryError(f"{endpoint.url.host} sent no list of the files of {repository}: {error}") from error
    return [f"{SITE}/{repository}/resolve/main/{quote(file)}" for file in choose(files, name)]


def choose(files: list[str], name: ModelName) -> list[str]:
    """Of a repository's paths, those of the model that `name` means."""
    ggufs = {path[: -len(".gguf")] for path in files if path.lower().endswith(".gguf") and _is_plain(path)}
    projectors = sorted(stem for stem in ggufs if "mmproj" in stem.rpartition("/")[2].lower())
    sets: dict[str, list[list[str]]] = defaultdict(list)
    for stem in sorted(ggufs - set(projectors)):
        folder, slash, file = stem.rpartition("/")
        shards = [f"{folder}{slash}{each}" for each in shards_of(file)]
        if len(shards) > 1 and shards[0] == stem and ggufs.issuperset(shards):
            sets[quantization_of(file).lower()].append(shards)
    wanted = name.tag.lower()
    if wanted == DEFAULT_TAG:
        wanted = PREFERRED if PREFERRED in sets else min(sets, default="")
    if wanted not in sets:
        raise NotFound(
            f"{name.namespace}/{name.model} has no complete set of shards of {name.tag}",
            hint=f"It has: {', '.join(sorted(each.upper() for each in sets if each)) or 'none'}.",
        )
    precise = [stem for stem in projectors if quantization_of(stem.rpartition("/")[2]).lower() == "f16"]
    return [f"{stem}.gguf" for stem in [*sets[wanted][0], *(precise or projectors)[:1]]]


def _is_plain(path: str) -> bool:
    """Whether a path that a stranger's list names stays below its repository."""
    return path.isprintable() and all(part not in ("", ".", "..") for part in path.split("/"))
