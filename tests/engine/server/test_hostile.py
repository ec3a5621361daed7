"""What has been done to servers of this kind, done to this one: each row of the spec's table of attacks (§14) a test.

They go to a live server with a real store, where needed byte for byte; the server has to refuse, in words that tell
nothing of the machine, and to be there afterwards. How each defence works in detail is tested where it lives.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ollama_engine.settings import HostAddress, Settings
from tests.support import gguf_bytes as b
from tests.support.gguf_models import scripted_model
from tests.support.live_server import threaded_server
from tests.support.raw_client import Answer, ask, request
from tests.support.registry_proxy import Exchange, Proxy, running_proxy

SECRET = "the-content-of-a-private-file"
ABSENT = "sha256:" + "0" * 64
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
LLAMA = b.text("general.architecture", "llama")
HUGE = 1 << 60


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store in it, and a private file beside that."""
    folder = tmp_path_factory.mktemp("machine")
    (folder / "private.txt").write_text(SECRET)
    return folder


@pytest.fixture(scope="module")
def settings(root: Path) -> Settings:
    return Settings(models=root / "models", keys_file=root / "keys.json")


@pytest.fixture(scope="module")
def address(settings: Settings) -> Iterator[HostAddress]:
    with threaded_server(settings) as address:
        yield address


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostAddress]:
    """A server that takes nobody for local, as others are seen by one that does."""
    folder = tmp_path_factory.mktemp("strict")
    settings = Settings(models=folder / "models", keys_file=folder / "keys.json", require_key="always")
    with threaded_server(settings) as address:
        yield address


@pytest.fixture(autouse=True)
async def unharmed(address: HostAddress, root: Path) -> AsyncIterator[None]:
    """After each attack the server answers, and nothing lies outside of the store."""
    yield
    assert (await ask(address, request("GET", "/api/tags"))).status == 200
    assert sorted(os.listdir(root)) == ["models", "private.txt"]
    assert (root / "private.txt").read_text() == SECRET


async def post(address: HostAddress, path: str, body: object, *headers: str, method: str = "POST") -> Answer:
    """The answer, which must not tell where anything lies, nor what is in it."""
    answer = await ask(address, request(method, path, json.dumps(body).encode(), *headers))
    for words in (b"/machine0", b"/models/", SECRET.encode(), b"Traceback"):
        assert words not in answer.body
    return answer


async def upload(address: HostAddress, data: bytes) -> str:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert (await ask(address, request("POST", f"/api/blobs/{digest}", data))).status in (200, 201)
    return digest


async def create(address: HostAddress, data: bytes, **fields: object) -> Answer:
    """The answer to making a model of an uploaded file."""
    files = {"model.gguf": await upload(address, data)}
    return await post(address, "/api/create", {"model": "evil", "files": files, "stream": False, **fields})


@asynccontextmanager
async def rogue_registry(manifest: object, headers: dict[str, str] | None = None) -> AsyncIterator[Proxy]:
    """A registry that has this manifest for every model."""
    body = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()

    async def serve(exchange: Exchange) -> None:
        await exchange.answer(200, {"content-type": MANIFEST_TYPE, **(headers or {})}, body)

    async with running_proxy("127.0.0.1:1", serve) as registry:
        yield registry


async def pull(address: HostAddress, registry: Proxy) -> Answer:
    return await post(address, "/api/pull", {"model": f"{registry.host}/evil/model", "insecure": True, "stream": False})


def manifest_of(digest: str, media_type: str = "application/vnd.ollama.image.model", **extra: object) -> object:
    config = {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "digest": "sha256:" + hashlib.sha256(b"{}").hexdigest(),
        "size": 2,
    }
    layer = {"mediaType": media_type, "digest": digest, "size": 7, **extra}
    return {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": [layer]}


# Who may ask


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:11434", "127.0.0.1.evil.example", "localhost.evil.example"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/api/tags"), ("POST", "/api/pull"), ("DELETE", "/api/delete")])
async def test_cve_2024_28224_a_page_re_pointed_at_this_machine(
    address: HostAddress, host: str, method: str, path: str
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    answer = await ask(address, head)
    assert (answer.status, answer.body) == (403, b"")


@pytest.mark.parametrize(
    "host", ["Host: :11434", "Host:", "Host: \t", "X: no host", "Host: localhost\r\nHost: evil.example"]
)
async def test_pr_17721_an_empty_host(address: HostAddress, host: str) -> None:
    answer = await ask(address, f"GET /api/tags HTTP/1.1\r\n{host}\r\n\r\n".encode())
    assert (answer.status, answer.body) == (403, b"")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/pull"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("POST", f"/api/blobs/{ABSENT}"),
        ("POST", "/v1/chat/completions"),
    ],
)
async def test_a_page_of_another_origin_changes_nothing(
    address: HostAddress, origin: str, method: str, path: str
) -> None:
    """Also by a form or a `text/plain` request, which no preflight comes before."""
    answer = await post(
        address, path, {"model": "bard"}, f"Origin: {origin}", "Content-Type: text/plain", method=method
    )
    assert (answer.status, answer.body) == (403, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/pull"),
        ("POST", "/api/push"),
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("POST", f"/api/blobs/{ABSENT}"),
        ("HEAD", f"/api/blobs/{ABSENT}"),
        ("POST", "/api/pulls"),
        ("GET", "/api/tags"),
        ("POST", "/api/chat"),
    ],
)
async def test_cve_2025_63389_management_without_authentication(strict: HostAddress, method: str, path: str) -> None:
    answer = await ask(strict, request(method, path, b"" if method == "HEAD" else b"{}"))
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="ollama-tui"')


# Paths


TRAVERSALS = (
    "../../../../private.txt",
    "..%2f..%2f..%2fprivate.txt",
    "sha256:../../private.txt",
    "sha256-" + "0" * 60 + "/../x",
    "sha256:" + "0" * 63,
    "sha256:" + "0" * 63 + "g",
    "sha256:" + "0" * 64 + "/../../../private.txt",
    "sha256:" + "0" * 64 + "%00",
    "SHA256:" + "0" * 64,
    "%2e%2e%2fprivate.txt",
)


@pytest.mark.parametrize("digest", TRAVERSALS)
@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_cve_2024_37032_a_digest_that_is_a_path(address: HostAddress, digest: str, method: str) -> None:
    answer = await ask(address, request(method, f"/api/blobs/{digest}", b"x" if method == "POST" else b""))
    assert answer.status in (400, 404)
    body = {"model": "evil", "files": {"model.gguf": digest}, "stream": False}
    assert (await post(address, "/api/create", body)).status == 400


@pytest.mark.parametrize("digest", [*TRAVERSALS[:4], "../../../../../../../../tmp/evil", "sha256:../../../evil"])
async def test_cve_2024_37032_a_registry_whose_digests_are_paths(address: HostAddress, digest: str) -> None:
    async with rogue_registry(manifest_of(digest)) as registry:
        answer = await pull(address, registry)
        assert registry.blobs == []
    assert answer.status >= 400
    assert "invalid digest format" in answer.error


@pytest.mark.parametrize("digest", ["sha256:abc", "", "sha256", "x"])
async def test_cve_2025_1975_a_digest_too_short_to_be_cut(address: HostAddress, digest: str) -> None:
    async with rogue_registry(manifest_of(digest)) as registry:
        answer = await pull(address, registry)
    assert (answer.status >= 400, "invalid digest format" in answer.error) == (True, True)


@pytest.mark.parametrize("media_type", ["application/vnd.ollama.image.tensor", "application/vnd.ollama.image.json"])
async def test_cve_2026_7020_tensors_that_are_paths(address: HostAddress, media_type: str) -> None:
    for digest in ("sha256:../../../evil", "sha256-../../evil"):
        async with rogue_registry(manifest_of(digest, media_type, name="../../evil")) as registry:
            answer = await pull(address, registry)
            assert registry.blobs == []
        assert answer.status >= 400


@pytest.mark.parametrize(
    "name",
    ["../../private.txt", "/private.txt", "..", "a/../../b", "x:../../private.txt", "a\\..\\b", "\x00", "a/b/c/d/e"],
)
@pytest.mark.parametrize("path", ["/api/push", "/api/show", "/api/delete", "/api/pull", "/api/generate", "/api/copy"])
async def test_cve_2024_39722_a_name_that_is_a_path(address: HostAddress, root: Path, path: str, name: str) -> None:
    body = {"model": name, "prompt": "x", "source": name, "destination": name, "stream": False}
    answer = await post(address, path, body, method="DELETE" if path == "/api/delete" else "POST")
    assert answer.status in (400, 404)


async def test_cve_2024_45436_an_archive_with_names_that_lead_out_of_it(address: HostAddress, root: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("../../evil.txt", "/tmp/evil.txt", "config.json", "model.safetensors"):
            file.writestr(name, "x")
    answer = await create(address, archive.getvalue())
    assert answer.status == 400
    assert not (root / "evil.txt").exists()


EXISTING = ("/etc/passwd", "/proc/self/environ", "/dev/zero", "/dev/random", "{root}/private.txt", "../private.txt")
ABSENT_PATHS = (
    "/etc/nothing",
    "/proc/self/nothing",
    "/dev/nothing",
    "/dev/absent",
    "{root}/nothing.txt",
    "../noth.txt",
)


@pytest.mark.parametrize(("existing", "absent"), zip(EXISTING, ABSENT_PATHS, strict=True))
async def test_cve_2024_39719_and_39721_create_neither_reads_files_nor_tells_of_them(
    address: HostAddress, root: Path, existing: str, absent: str
) -> None:
    """The same answer, but for the caller's own words, whether a file is there or not; and none hangs on a device."""

    async def answers(path: str) -> list[tuple[int, str]]:
        path = path.format(root=root)
        requests = (
            {"model": "evil", "from": path},
            {"model": "evil", "path": path},
            {"model": "evil", "modelfile": f"FROM {path}"},
            {"model": "evil", "files": {path: ABSENT}},
            {"model": "evil", "files": {"model.gguf": path}},
            {"model": "evil", "from": "bard", "adapters": {path: ABSENT}},
            {"model": "evil", "from": "bard", "adapters": {"lora.gguf": path}},
            {"model": "evil", "draft_files": {path: ABSENT}, "files": {"model.gguf": ABSENT}},
            {"model": "evil", "from": "bard", "quantize": "q4_0", "imatrix": path},
        )
        found = []
        for body in requests:
            answer = await ask(address, request("POST", "/api/create", json.dumps({**body, "stream": False}).encode()))
            assert SECRET.encode() not in answer.body
            found.append((answer.status, answer.error.replace(path, "PATH").replace(path.lower(), "PATH")))
        return found

    there = await answers(existing)
    assert there == await answers(absent)
    assert {status for status, _ in there} <= {400, 404}


@pytest.mark.parametrize("kind", ["link to a file", "link to a device", "FIFO", "folder"])
async def test_cve_2024_39721_a_blob_that_is_no_file(address: HostAddress, root: Path, kind: str) -> None:
    """Somebody who can write to the store's folder puts something else there."""
    digest = hashlib.sha256(kind.encode()).hexdigest()
    blob = root / "models" / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    if kind == "FIFO":
        os.mkfifo(blob)
    elif kind == "folder":
        blob.mkdir()
    else:
        blob.symlink_to(root / "private.txt" if kind == "link to a file" else "/dev/zero")
    try:
        files = {"model.gguf": f"sha256:{digest}"}
        answer = await post(address, "/api/create", {"model": "evil", "files": files, "stream": False})
        assert answer.status == 400
        assert b"the-content" not in answer.body
    finally:
        blob.rmdir() if kind == "folder" else blob.unlink()


# Files


GGUF_ATTACKS = {
    "CVE-2024-39720: four bytes": b"GGUF",
    "CVE-2024-12055: a table behind the end": b.gguf([LLAMA], tensor_count=3),
    "CVE-2024-12055: a key behind the end": b.gguf([LLAMA], pair_count=9),
    "CVE-2025-0312: no architecture": b.gguf([b.text("general.name", "x")], [b.tensor()], data=128),
    "CVE-2025-0315: 2^60 tensors": b.gguf([LLAMA], tensor_count=HUGE),
    "CVE-2025-0315: 2^60 keys": b.gguf([LLAMA], pair_count=HUGE),
    "CVE-2025-0317: alignment zero": b.gguf([LLAMA, b.number("general.alignment", 0)], [b.tensor()], data=128),
    "#17042: a string of 2^60": b.gguf([LLAMA, b.pair("k", b.STRING, b.string("", length=HUGE))]),
    "#16175: an array of 2^60": b.gguf([LLAMA, b.array("k", b.U64, bytes(64), HUGE)]),
    "#16175: an array of 2^60 strings": b.gguf([LLAMA, b.array("k", b.STRING, bytes(64), HUGE)]),
    "#16175: five dimensions": b.gguf([LLAMA], [b.tensor(shape=(1,) * 5)], data=128),
    "llama.cpp 18586: a dimension of zero": b.gguf([LLAMA], [b.tensor(shape=(32, 0))], data=128),
    "ggml 1517: more elements than fit": b.gguf([LLAMA], [b.tensor(shape=(1 << 32, 1 << 32))], data=128),
    "CVE-2026-7482: a tensor behind the end": b.gguf([LLAMA], [b.tensor(offset=1 << 40)], data=128),
    "CVE-2026-7482: a tensor larger than the file": b.gguf([LLAMA], [b.tensor(shape=(1 << 20,))], data=128),
}


@pytest.mark.parametrize("attack", GGUF_ATTACKS.values(), ids=GGUF_ATTACKS)
@pytest.mark.parametrize("quantize", ["", "q4_0"])
async def test_a_model_file_that_lies(address: HostAddress, attack: bytes, quantize: str) -> None:
    answer = await create(address, attack, quantize=quantize)
    assert answer.status == 400
    assert (await post(address, "/api/show", {"model": "evil"})).status == 404


async def test_16175_a_file_that_lies_and_is_in_the_store_already(address: HostAddress, root: Path) -> None:
    """It came there by other hands; listing the models must not fall over it."""
    digest = await upload(address, GGUF_ATTACKS["#16175: an array of 2^60 strings"])
    config = await upload(address, b"{}")
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 9}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {**layer, "digest": config},
        "layers": [layer],
    }
    path = root / "models" / "manifests" / "registry.ollama.ai" / "library" / "lying" / "latest"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest))
    tags = await ask(address, request("GET", "/api/tags"))
    assert "lying:latest" in [model["name"] for model in tags.json()["models"]]
    for path_, body in (("/api/show", {}), ("/api/generate", {"prompt": "x"}), ("/api/embed", {"input": "x"})):
        assert (await post(address, path_, {"model": "lying", "stream": False, **body})).status >= 400
    assert (await post(address, "/api/delete", {"model": "lying"}, method="DELETE")).status == 200


async def test_cve_2024_8063_no_blocks(address: HostAddress, tmp_path: Path) -> None:
    data = scripted_model(tmp_path / "model.gguf", "x").read_bytes()
    key = b.string("llama.block_count") + b.u32(b.U32)
    at = data.index(key) + len(key)
    created = await create(address, data[:at] + b.u32(0) + data[at + 4 :])
    if created.status == 200:
        assert (await post(address, "/api/generate", {"model": "evil", "prompt": "x", "stream": False})).status >= 400
        await post(address, "/api/delete", {"model": "evil"}, method="DELETE")


# Registries


async def test_cve_2024_12886_a_manifest_that_is_a_bomb(address: HostAddress) -> None:
    bomb = gzip.compress(b" " * (64 << 20), 1)
    async with rogue_registry(bomb, {"content-encoding": "gzip"}) as registry:
        answer = await pull(address, registry)
    assert (answer.status >= 400, "is larger than 4194304 bytes" in answer.error) == (True, True)


async def test_cve_2025_51471_a_realm_on_another_host(address: HostAddress) -> None:
    async def demand(exchange: Exchange) -> None:
        realm = f'Bearer realm="http://{thief.host}/token",service="x",scope="repository:evil/model:pull"'
        await exchange.answer(401, {"www-authenticate": realm})

    async def collect(exchange: Exchange) -> None:
        await exchange.answer(200, {}, b'{"token": "x"}')

    async with running_proxy("127.0.0.1:1", collect) as thief, running_proxy("127.0.0.1:1", demand) as registry:
        answer = await pull(address, registry)
        assert answer.status >= 400
        assert all("authorization" not in seen.headers for seen in thief.log)


# Bodies


@pytest.mark.parametrize("depth", [201, 100_000])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
async def test_json_nested_without_end(address: HostAddress, path: str, depth: int) -> None:
    body = b'{"model":"bard","options":{"x":' + b"[" * depth + b"]" * depth + b"}}"
    answer = await ask(address, request("POST", path, body))
    assert (answer.status, b"exceeded max depth" in answer.body) == (400, True)


async def test_json_that_grows(address: HostAddress) -> None:
    answer = await ask(address, request("POST", "/api/chat", b'{"x":[' + b"[]," * 4_000_001 + b"1]}"))
    assert (answer.status, answer.error) == (413, "request body holds too many values")


async def test_more_images_than_anybody_looks_at(address: HostAddress) -> None:
    messages = [{"role": "user", "content": "x", "images": ["AAAA"] * 101}]
    answer = await post(address, "/api/chat", {"model": "bard", "messages": messages, "stream": False})
    assert (answer.status, answer.error) == (413, "the request has 101 images")
