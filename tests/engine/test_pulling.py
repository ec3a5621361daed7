"""Models made of GGUF files on the web: links, shards, and what Hugging Face's registry refuses."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from ollama_engine.errors import EngineError, InvalidGGUF, InvalidRequest, NotFound
from ollama_engine.local import LocalEngine
from ollama_engine.registry import RegistryError, SourceChanged, parse_link
from ollama_engine.registry.hugging_face import choose
from ollama_engine.registry.links import name_of, quantization_of
from ollama_engine.settings import Settings
from ollama_engine.store import manifest as media
from ollama_engine.store import names
from ollama_engine.types import ChatRequest, Message, PullRequest
from tests.support.gguf_models import random_model, scripted_model
from tests.support.gguf_split import split_gguf
from tests.support.registry_server import digest_of, manifest_of
from tests.support.web_server import WebServer, web_server

MIB = 1 << 20
TEXT = "Now is the winter of our discontent."
FILE = "/files/Story-1B-Q8_0.gguf"


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scripted_model(tmp_path_factory.mktemp("gguf") / "story.gguf", TEXT)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of some 20 MiB."""
    path = tmp_path_factory.mktemp("gguf") / "large.gguf"
    data = random_model(path, n_layer=4, width=768, ff=2048, heads=8, kv_heads=8).read_bytes()
    assert len(data) > 12 * MIB
    return data


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    async with LocalEngine(Settings(models=tmp_path / "models")) as engine:
        yield engine


def configure(home: Path, text: str) -> None:
    path = home / "config" / "ollama-tui" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


async def pull(engine: LocalEngine, model: str) -> list[str]:
    return [step.status async for step in engine.pull(PullRequest(model, insecure=True))]


async def answer(engine: LocalEngine, model: str) -> str:
    request = ChatRequest(model, [Message("user", "Speak.")])
    return "".join([chunk.message.content async for chunk in engine.chat(request)])


def left(tmp_path: Path) -> list[str]:
    return [name for name in os.listdir(tmp_path / "models" / "blobs") if "partial" in name]


async def test_a_link_becomes_a_model_named_after_its_file(engine: LocalEngine, story: Path, tmp_path: Path) -> None:
    async with web_server({FILE: story.read_bytes()}) as web:
        told = await pull(engine, f"{web.url}{FILE}?download=true")
    assert told[0] == "pulling manifest"
    assert told[1] == "pulling Story-1B-Q8_0.gguf"
    assert told[-2:] == ["writing manifest", "success"]
    assert "story-1b:Q8_0" in {model.name for model in await engine.models()}
    assert await answer(engine, "story-1b:q8_0") == TEXT
    assert left(tmp_path) == []


async def test_a_link_pulled_again_is_not_fetched_again(engine: LocalEngine, story: Path) -> None:
    async with web_server({FILE: story.read_bytes()}) as web:
        await pull(engine, f"{web.url}{FILE}")
        sent = web.sent
        assert (await pull(engine, f"{web.url}{FILE}"))[-1] == "success"
        assert web.sent - sent < 100


def other_weights(data: bytes) -> bytes:
    """Another version of the file, as long: its weights differ near the beginning and at the end."""
    at = 2 * MIB
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 : -1] + bytes([data[-1] ^ 1])


def digests_of(tmp_path: Path, size: int) -> list[str]:
    """The digests of the blobs' bytes, of those of that length."""
    found = [path for path in (tmp_path / "models" / "blobs").iterdir() if "partial" not in path.name]
    return [digest_of(path.read_bytes()) for path in found if path.stat().st_size == size]


async def pull_a_part(engine: LocalEngine, web: WebServer, size: int) -> None:
    """Pull and close the pull when half of it is there."""
    web.hold_after = size * 3 // 4
    async with aclosing(engine.pull(PullRequest(f"{web.url}{FILE}", insecure=True))) as steps:
        async for step in steps:
            if step.completed > size // 2:
                break
    web.hold_after = None
    web.released.set()


async def test_a_link_that_was_interrupted_goes_on_from_there(
    engine: LocalEngine, large: bytes, tmp_path: Path
) -> None:
    async with web_server({FILE: large}) as web:
        await pull_a_part(engine, web, len(large))
        assert left(tmp_path)
        sent = web.sent
        assert (await pull(engine, f"{web.url}{FILE}"))[-1] == "success"
        assert web.sent - sent < len(large) // 2 + MIB
        ranged = [asked for asked in web.log if asked.headers.get("range", "bytes=0-63") != "bytes=0-63"]
        assert ranged
        assert all("if-range" in asked.headers for asked in ranged)
    assert left(tmp_path) == []
    assert digests_of(tmp_path, len(large)) == [digest_of(large)]


@pytest.mark.parametrize("if_range", [True, False])
async def test_a_file_that_changes_while_it_is_fetched_comes_whole_in_its_new_version(
    if_range: bool, engine: LocalEngine, large: bytes, tmp_path: Path
) -> None:
    changed = other_weights(large)
    async with web_server({FILE: large}) as web:
        web.if_range = if_range
        web.change_after = (6 * MIB, FILE, changed)
        assert (await pull(engine, f"{web.url}{FILE}"))[-1] == "success"
        assert web.sent > len(large)
    assert digests_of(tmp_path, len(large)) == [digest_of(changed)]
    assert left(tmp_path) == []


async def test_a_file_that_changed_between_two_pulls_is_not_mixed(
    engine: LocalEngine, large: bytes, tmp_path: Path
) -> None:
    changed = other_weights(large)
    async with web_server({FILE: large}) as web:
        await pull_a_part(engine, web, len(large))
        web.files[FILE] = changed
        assert (await pull(engine, f"{web.url}{FILE}"))[-1] == "success"
    assert digests_of(tmp_path, len(large)) == [digest_of(changed)]


async def test_a_file_that_never_stays_the_same_is_given_up(engine: LocalEngine, large: bytes) -> None:
    async with web_server({FILE: large}) as web:

        async def keep_changing() -> None:
            number = 0
            while True:
                if web.change_after is None:
                    number += 1
                    web.change_after = (web.sent + 6 * MIB, FILE, large[:-1] + bytes([number]))
                await asyncio.sleep(0.001)

        changing = asyncio.create_task(keep_changing())
        with pytest.raises(SourceChanged, match=r"Story-1B-Q8_0\.gguf changes at 127\.0\.0\.1"):
            await pull(engine, f"{web.url}{FILE}")
        changing.cancel()
    assert {model.name for model in await engine.models()} == {"bard:latest"}


async def test_without_a_validator_the_file_comes_in_one_answer_and_nothing_old_is_believed(
    engine: LocalEngine, large: bytes, tmp_path: Path
) -> None:
    async with web_server({FILE: large}) as web:
        web.etags = False
        await pull_a_part(engine, web, len(large))
        web.files[FILE] = other_weights(large)
        sent = web.sent
        assert (await pull(engine, f"{web.url}{FILE}"))[-1] == "success"
        assert web.sent - sent >= len(large)
        assert all(asked.headers.get("range") in (None, "bytes=0-63") for asked in web.log)
    assert digests_of(tmp_path, len(large)) == [digest_of(other_weights(large))]


async def test_a_server_without_ranges_will_do(engine: LocalEngine, large: bytes) -> None:
    async with web_server({FILE: large}) as web:
        web.ranges = False
        assert (await pull(engine, f"{web.url}{FILE}"))[-1] == "success"


@pytest.mark.parametrize(
    ("content", "status", "kind", "message"),
    [
        (b"<!DOCTYPE html><html>" + bytes(MIB), 200, InvalidGGUF, "is not a GGUF file: it begins with a web page"),
        (b"PK\3\4" + bytes(MIB), 200, InvalidGGUF, "is not a GGUF file: it begins with b'PK"),
        (b"", 200, RegistryError, "does not say how long"),
        (b"no", 404, NotFound, r"pull Story-1B-Q8_0\.gguf: file does not exist"),
        (b"GGUF" + bytes(MIB), 200, EngineError, "GGUF"),
    ],
    ids=["page", "zip", "nothing", "absent", "broken"],
)
async def test_what_is_no_model_is_one_clear_error(
    content: bytes, status: int, kind: type[EngineError], message: str, engine: LocalEngine, tmp_path: Path
) -> None:
    async with web_server({FILE: content}) as web:
        web.status[FILE] = status
        with pytest.raises(kind, match=message):
            await pull(engine, f"{web.url}{FILE}")
        if kind is not EngineError:
            assert web.sent <= 1000
    assert {model.name for model in await engine.models()} == {"bard:latest"}


async def test_a_link_takes_no_name_from_another_model(engine: LocalEngine, story: Path) -> None:
    async with web_server({"/bard.gguf": story.read_bytes()}) as web:
        with pytest.raises(InvalidRequest, match="there is a model 'bard:latest' already"):
            await pull(engine, f"{web.url}/bard.gguf")
        assert web.log == []


async def test_plain_http_must_be_allowed(engine: LocalEngine) -> None:
    with pytest.raises(InvalidRequest, match="insecure protocol http"):
        async for _ in engine.pull(PullRequest("http://127.0.0.1:1/x.gguf")):
            pass


async def test_one_shard_brings_them_all(engine: LocalEngine, large: bytes, tmp_path: Path) -> None:
    whole = tmp_path / "big.gguf"
    whole.write_bytes(large)
    shards = {f"/x/{path.name}": path.read_bytes() for path in split_gguf(whole, 3)}
    async with web_server(shards) as web:
        assert (await pull(engine, f"{web.url}/x/big-00002-of-00003.gguf"))[-1] == "success"
    model = await engine.show("big")
    assert model.modelfile.count("\nFROM ") == 3


# --- Hugging Face

REFUSAL = b'{"error":"The specified tag is a sharded GGUF. Ollama does not support this yet."}'


async def test_shards_that_hugging_faces_registry_refuses_come_from_the_repository(
    engine: LocalEngine, story: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    whole = tmp_path / "Story-Q4_K_M.gguf"
    whole.write_bytes(story.read_bytes())
    shards = {f"Q4_K_M/{path.name}": path.read_bytes() for path in split_gguf(whole, 2)}
    listed = [*shards, "README.md", "Story-Q8_0-00001-of-00002.gguf"]
    files = {f"/ann/Story-GGUF/resolve/main/{path}": data for path, data in shards.items()}
    files["/v2/ann/Story-GGUF/manifests/Q4_K_M"] = REFUSAL
    files["/api/models/ann/Story-GGUF"] = json.dumps({"siblings": [{"rfilename": path} for path in listed]}).encode()
    async with web_server(files) as web:
        web.status["/v2/ann/Story-GGUF/manifests/Q4_K_M"] = 400
        configure(home, f'[registry.hosts."hf.co"]\nmirror = "{web.url}"\n')
        assert (await pull(engine, "hf.co/ann/Story-GGUF:Q4_K_M"))[-1] == "success"
        assert all(asked.headers["authorization"] == "Bearer hf_secret" for asked in web.log)
    assert await answer(engine, "hf.co/ann/Story-GGUF:Q4_K_M") == TEXT


async def test_a_manifest_that_lists_shards_is_pulled_as_it_is(
    engine: LocalEngine, story: Path, tmp_path: Path, home: Path
) -> None:
    whole = tmp_path / "story.gguf"
    whole.write_bytes(story.read_bytes())
    shards = [path.read_bytes() for path in split_gguf(whole, 2)]
    files = {f"/v2/ann/Story-GGUF/blobs/{digest_of(data)}": data for data in (*shards, b"{}")}
    files["/v2/ann/Story-GGUF/manifests/Q8_0"] = manifest_of([(media.MODEL, data) for data in shards])
    async with web_server(files) as web:
        configure(home, f'[registry.hosts."hf.co"]\nmirror = "{web.url}"\n')
        assert (await pull(engine, "hf.co/ann/Story-GGUF:Q8_0"))[-1] == "success"
    assert await answer(engine, "hf.co/ann/Story-GGUF:Q8_0") == TEXT


async def test_another_refusal_of_hugging_face_is_told(engine: LocalEngine, home: Path) -> None:
    path = "/v2/ann/Story/manifests/latest"
    async with web_server({path: b'{"error":"Repository is not GGUF or is not compatible with llama.cpp"}'}) as web:
        web.status[path] = 400
        configure(home, f'[registry.hosts."hf.co"]\nmirror = "{web.url}"\n')
        with pytest.raises(RegistryError, match="Repository is not GGUF"):
            await pull(engine, "hf.co/ann/Story")
        assert len(web.log) == 1


async def test_the_token_of_hugging_face_goes_nowhere_else(
    engine: LocalEngine, story: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    async with web_server({FILE: story.read_bytes()}) as web:
        await pull(engine, f"{web.url}{FILE}")
        assert not any("authorization" in asked.headers for asked in web.log)


@pytest.mark.parametrize(
    ("tag", "chosen"),
    [
        ("q8_0", ["q8/m-Q8_0-00001-of-00002.gguf", "q8/m-Q8_0-00002-of-00002.gguf", "mmproj-m-f16.gguf"]),
        ("latest", ["m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf", "mmproj-m-f16.gguf"]),
        ("BF16", None),
    ],
)
def test_of_a_repository_the_complete_set_is_chosen(tag: str, chosen: list[str] | None) -> None:
    files = [
        f"{folder}m-{quant}-{n:05d}-of-00002.gguf"
        for folder, quant in (("", "Q4_K_M"), ("q8/", "Q8_0"))
        for n in (1, 2)
    ]
    files += ["m-BF16-00001-of-00002.gguf", "mmproj-m-bf16.gguf", "mmproj-m-f16.gguf", "../m-Q2_K-00001-of-00001.gguf"]
    name = names.parse(f"hf.co/a/m:{tag}")
    if chosen is None:
        with pytest.raises(NotFound, match="no complete set of shards of BF16") as error:
            choose(files, name)
        assert "Q4_K_M, Q8_0" in error.value.hint
    else:
        assert choose(files, name) == chosen


@pytest.mark.parametrize(
    ("text", "url", "name"),
    [
        (
            "https://h/a/Qwen2.5-7B-Instruct-Q4_K_M.gguf",
            "https://h/a/Qwen2.5-7B-Instruct-Q4_K_M.gguf",
            "qwen2.5-7b-instruct:Q4_K_M",
        ),
        (
            "https://huggingface.co/u/r/blob/main/m.IQ2_XXS.gguf?x=1",
            "https://huggingface.co/u/r/resolve/main/m.IQ2_XXS.gguf?x=1",
            "m:IQ2_XXS",
        ),
        ("HTTPS://h:1/My%20Model%20(v2).GGUF", "https://h:1/My%20Model%20%28v2%29.gguf", "my-model-v2:latest"),
        ("https://h/x-BF16.gguf", "https://h/x-BF16.gguf", "x:BF16"),
    ],
)
def test_links_are_told_from_names(text: str, url: str, name: str) -> None:
    link = parse_link(text)
    assert link is not None
    assert (link.urls, link.name.display) == ((url,), name)


@pytest.mark.parametrize(
    "text", ["llama3.2", "hf.co/u/r:Q4_K_M", "https://h/ns/m", "https://h/ns/m.gguf:tag", "ftp://h/m.gguf"]
)
def test_names_are_no_links(text: str) -> None:
    assert parse_link(text) is None


@pytest.mark.parametrize(
    "text", ["https://h/%E2%98%83.gguf", "https://h/m-00003-of-00002.gguf", "https://h/m-00001-of-09999.gguf"]
)
def test_a_link_of_which_no_model_can_be_made_says_so(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_link(text)


def test_the_number_of_a_shard_is_no_part_of_the_name() -> None:
    assert name_of("DeepSeek-V3-Q2_K_L-00001-of-00005").display == "deepseek-v3:Q2_K_L"
    assert quantization_of("x-UD-Q8_K_XL-00001-of-00002") == "UD-Q8_K_XL"
