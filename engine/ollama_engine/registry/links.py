"""Links to GGUF files on the web: which text is one, which files it means, and what the model of it is called."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

import httpx
from msgspec import Struct

from ollama_engine.errors import InvalidRequest
from ollama_engine.registry.config import HUGGING_FACE_HOSTS, RegistryConfig
from ollama_engine.registry.endpoint import Endpoint, is_web_url
from ollama_engine.store.names import DEFAULT_HOST, DEFAULT_NAMESPACE, DEFAULT_TAG, ModelName

MAX_SHARDS = 1000
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})", re.DOTALL)
_QUANTIZATION = re.compile(r"(?:^|[-._])((?:UD-)?(?:I?Q|TQ)\d(?:_[A-Za-z0-9]+)*|MXFP4(?:_MOE)?|B?F16|F32)$", re.I)


class Link(Struct, frozen=True):
    """One model's GGUF file, or its shards in order, as URLs; `name` is what the model will be called."""

    urls: tuple[str, ...]
    name: ModelName


def parse_link(text: str) -> Link | None:
    """The link that `text` is: an http(s) URL whose path ends in `.gguf`; None where it is something else.

    A shard stands for all of them. A page of Hugging Face's that shows a file (`/blob/`) stands for the file.
    InvalidRequest where no name can be made of the file's.
    """
    if not text.lower().startswith(("https://", "http://")) or not is_web_url(text):
        return None
    url = httpx.URL(text)
    folder, _, file = url.raw_path.decode("ascii").partition("?")[0].rpartition("/")
    if not file.lower().endswith(".gguf"):
        return None
    if url.host.lower() in HUGGING_FACE_HOSTS:
        folder = re.sub(r"^(/[^/]+/[^/]+)/blob/", r"\1/resolve/", f"{folder}/").removesuffix("/")
    query = f"?{url.query.decode('ascii')}" if url.query else ""
    base = f"{url.scheme}://{url.netloc.decode('ascii')}{folder}/"
    stem = unquote(file)[: -len(".gguf")]
    return Link(tuple(f"{base}{quote(each)}.gguf{query}" for each in shards_of(stem)), name_of(stem))


def shards_of(stem: str) -> list[str]:
    """The names, without `.gguf`, of all shards of which `stem` is one; just itself where it is none."""
    match = _SHARD.fullmatch(stem)
    if match is None:
        return [stem]
    number, count = int(match["number"]), int(match["count"])
    if not 1 <= number <= count <= MAX_SHARDS:
        raise InvalidRequest(f"{stem}.gguf is no possible shard: number {number} of {count}")
    return [f"{match['stem']}-{each:05d}-of-{count:05d}" for each in range(1, count + 1)]


def quantization_of(stem: str) -> str:
    """The quantization that a file's name ends in (`Q4_K_M`), its shard's number left aside; empty where none."""
    match = _QUANTIZATION.search(_whole(stem))
    return match[1] if match else ""


def name_of(stem: str) -> ModelName:
    """`qwen2.5-7b-instruct:Q4_K_M` for `Qwen2.5-7B-Instruct-Q4_K_M`; the tag is `latest` without a quantization."""
    tag = quantization_of(stem)
    whole = _whole(stem)
    model = re.sub(r"[^a-z0-9_.-]+", "-", whole[: len(whole) - len(tag)].lower()).strip("-._")[:80]
    if not model:
        raise InvalidRequest(
            f"no name can be made of the file name {stem[:80]!a}",
            hint="Download the file, and name the model with: ollama-tui create NAME.",
        )
    return ModelName(DEFAULT_HOST, DEFAULT_NAMESPACE, model, tag or DEFAULT_TAG)


def locate_file(text: str, config: RegistryConfig, *, insecure: bool = False) -> tuple[Endpoint, httpx.URL]:
    """Where the file of a URL is asked for (at its host's mirror, if one is set), and with whose credentials.

    InvalidRequest for plain http unless `insecure`.
    """
    url = httpx.URL(text)
    host = url.netloc.decode("ascii")
    settings = config.host(host)
    if settings.mirror:
        base = settings.mirror.rstrip("/")
    elif url.scheme == "http" and not (insecure or settings.insecure):
        raise InvalidRequest("insecure protocol http", hint="Allow it with --insecure if you trust the network.")
    else:
        base = f"{url.scheme}://{host}"
    if not is_web_url(base):
        raise InvalidRequest(f"cannot make a URL of the mirror {base!a}", hint="Correct it in config.toml.")
    return Endpoint(base, url.path, "", settings), httpx.URL(base + url.raw_path.decode("ascii"))


def file_name(url: str) -> str:
    """The last part of the URL's path, as it is shown and kept as where weights came from."""
    text = unquote(httpx.URL(url).raw_path.decode("ascii").partition("?")[0].rpartition("/")[2])
    return "".join(character if character.isprintable() and character not in "/\\" else "?" for character in text)


def _whole(stem: str) -> str:
    match = _SHARD.fullmatch(stem)
    return match["stem"] if match else stem
