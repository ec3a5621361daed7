"""A store that Ollama made is read as it is: this one is laid out byte by byte as Ollama leaves it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ollama_engine.store import Store, open_model
from ollama_engine.types import Message

CONFIG = (
    b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"1.2B",'
    b'"file_type":"Q8_0","architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:'
    + b"0" * 64
    + b'"]}}'
)
PULLED = {
    "model": b"GGUF weights",
    "template": b"{{ .System }} {{ .Prompt }}",
    "license": b"Do as you like.",
    "params": b'{"stop":["<|start_header_id|>","<|eot_id|>"]}',
}
LOCAL = {
    "model": b"GGUF weights",
    "system": b"You are Mario.",
    "params": b'{"num_ctx":4096,"temperature":1}\n',
    "messages": b'[{"role":"user","content":"Who?"},{"role":"assistant","content":"It is me."}]\n',
}


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for data in {*PULLED.values(), *LOCAL.values(), CONFIG}:
        separator = ":" if data == PULLED["license"] else "-"  # one that was never renamed
        (blobs / digest(data).replace(":", separator)).write_bytes(data)
    partial = "sha256-" + "c" * 64 + "-partial"
    (blobs / partial).write_bytes(b"\x00" * 100)
    (blobs / f"{partial}-0").write_bytes(b'{"N":0,"Offset":0,"Size":100,"Completed":40}\n')
    (blobs / "sha256-2871430912").write_bytes(b"half an upload")

    # a pulled manifest is stored as the registry sent it: pretty-printed, without a newline at the end
    def layer(kind: str, data: bytes, **more: str) -> dict[str, object]:
        media_type = f"application/vnd.ollama.image.{kind}"
        return {"mediaType": media_type, "size": len(data), "digest": digest(data), **more}

    config = {
        "digest": digest(CONFIG),
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "size": len(CONFIG),
    }
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": config,
        "layers": [layer(kind, data) for kind, data in PULLED.items()],
    }
    pulled = tmp_path / "manifests/registry.ollama.ai/library/llama3.2/1b"
    pulled.parent.mkdir(parents=True)
    pulled.write_text(json.dumps(document, indent=2))

    # one made here is Go's compact JSON with a newline
    document["layers"] = [
        layer(kind, data, **({"from": "llama3.2:1b"} if kind == "model" else {})) for kind, data in LOCAL.items()
    ]
    made = tmp_path / "manifests/registry.ollama.ai/library/Mario/latest"
    made.parent.mkdir()
    made.write_text(json.dumps(document, separators=(",", ":")) + "\n")
    return tmp_path


def test_its_models_are_listed_and_the_store_is_left_as_it_was(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    entries = {entry.name.display: entry for entry in Store(root).list()}
    assert set(entries) == {"llama3.2:1b", "Mario:latest"}
    pulled = entries["llama3.2:1b"]
    file = root / "manifests/registry.ollama.ai/library/llama3.2/1b"
    assert pulled.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert pulled.size == len(CONFIG) + sum(map(len, PULLED.values()))
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_pulled_model_opens_with_its_legacy_blob_where_it_lies(root: Path) -> None:
    model = open_model(Store(root), "llama3.2:1B")
    assert [path.read_bytes() for path in model.model_paths] == [b"GGUF weights"]
    assert model.template == "{{ .System }} {{ .Prompt }}"
    assert model.licenses == ["Do as you like."]
    assert model.parameters == {"stop": ["<|start_header_id|>", "<|eot_id|>"]}
    assert model.config.model_type == "1.2B"
    assert model.config.model_families == ["llama"]


def test_a_model_made_there_opens_with_its_parent_and_messages(root: Path) -> None:
    model = open_model(Store(root), "mario")
    assert (model.parent, model.system) == ("llama3.2:1b", "You are Mario.")
    assert model.parameters == {"num_ctx": 4096, "temperature": 1}
    assert model.messages == [Message(role="user", content="Who?"), Message(role="assistant", content="It is me.")]


def test_deleting_one_keeps_what_the_other_shares_and_the_partial_download(root: Path) -> None:
    store = Store(root)
    removed = store.delete("llama3.2:1b").removed
    assert set(removed) == {digest(PULLED[kind]) for kind in ("template", "license", "params")}
    assert open_model(store, "mario").model_paths[0].read_bytes() == b"GGUF weights"
    store.prune(older_than=0)
    left = {path.name[-9:] for path in store.blobs.folder.iterdir() if "partial" in path.name}
    assert left == {"c-partial", "partial-0"}
    assert not (store.blobs.folder / "sha256-2871430912").exists()
