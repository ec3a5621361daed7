"""The CNCF registry (Debian package docker-registry) on a loopback port, and models put into it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from ollama_engine.store import manifest as media

BINARY = shutil.which("docker-registry")
USER, PASSWORD = "ann", "correct horse"
# bcrypt of PASSWORD; the registry reads no other kind.
HTPASSWD = "ann:$2b$05$EIwue5w0MtfpUw0LGGcrWOEv.qFkzqrvNAc91XfIoxMUfwCV9iVUa\n"

CONFIG = """
version: 0.1
log: {level: info, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: "%(data)s"}
  delete: {enabled: true}
http: {addr: "127.0.0.1:0", secret: "for the tests"}
%(auth)s
"""
AUTH = 'auth: {htpasswd: {realm: "tests", path: "%s"}}'


@dataclass(frozen=True)
class RunningRegistry:
    """A registry that answers at `host` (`127.0.0.1:port`), keeping its data below `data`."""

    host: str
    data: Path

    @property
    def url(self) -> str:
        return f"http://{self.host}"


@contextmanager
def running_registry(folder: Path, *, htpasswd: bool = False) -> Iterator[RunningRegistry]:
    """Start a registry with its data in `folder`; skips the test where it is not installed."""
    if BINARY is None:
        pytest.skip("the CNCF registry is not installed (Debian package docker-registry)")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = AUTH % (folder / "htpasswd") if htpasswd else ""
    config = folder / "config.yml"
    config.write_text(CONFIG % {"data": folder / "data", "auth": auth})
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([BINARY, "serve", str(config)], stdout=output, stderr=output)
    try:
        yield RunningRegistry(f"127.0.0.1:{_port(process, log)}", folder / "data")
    finally:
        process.terminate()
        process.wait(10)


def _port(process: subprocess.Popen[bytes], log: Path) -> str:
    """The port that the registry says it listens on; it says so within a second."""
    while process.poll() is None:
        if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text()):
            return found[1]
    raise RuntimeError(f"the registry ended: {log.read_text()}")


def digest_of(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


def layer(data: bytes, media_type: str = media.MODEL) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def manifest_of(layers: list[tuple[str, bytes]], config: bytes = b"{}") -> bytes:
    """The manifest of a model with these layers (media type, bytes)."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media.MANIFEST_TYPE,
            "config": layer(config, media.CONFIG_TYPE),
            "layers": [layer(data, kind) for kind, data in layers],
        },
        indent=1,  # not as we would write it: what is pulled must be kept byte for byte
    ).encode()


def upload(
    url: str, repository: str, tag: str, layers: list[tuple[str, bytes]], auth: tuple[str, str] | None = None
) -> bytes:
    """Put a model into a registry, as any OCI client would; its manifest."""
    config = b'{"model_format":"gguf"}'
    with httpx.Client(base_url=url, auth=auth, trust_env=False, timeout=60) as http:
        for data in {config, *(data for _, data in layers)}:
            begun = http.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
            target = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest_of(data)})
            http.put(target, content=data).raise_for_status()
        manifest = manifest_of(layers, config)
        headers = {"Content-Type": media.MANIFEST_TYPE}
        http.put(f"/v2/{repository}/manifests/{tag}", content=manifest, headers=headers).raise_for_status()
    return manifest
