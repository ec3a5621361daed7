"""Both sides of the comparison, behind one face: our server and llama.cpp's own, each a process that streams text.

`tests/bench/build_peers.sh` builds llama.cpp's programs. Both servers are asked by the same client code; what differs
is the URL, the names of the options, and how a line of the stream is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import httpx
import psutil

from tests.bench.shapes import BenchModel
from tests.bench.streamed_lines import streamed_lines

READY_SECONDS = 120.0
MODEL = "subject"
SAMPLING = {"temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.0}
"""Ollama's defaults, said to both."""


@dataclass
class Answer:
    """An answer as the client saw it: when it was asked, and when each piece of text came. Times of perf_counter."""

    asked: float
    at: list[float] = field(default_factory=list)
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0

    @property
    def first(self) -> float:
        """Seconds until the first text."""
        return self.at[0] - self.asked

    @property
    def speed(self) -> float:
        """Tokens a second, from the first text to the last."""
        return (self.tokens - 1) / (self.at[-1] - self.at[0])


class Served(Protocol):
    """A server with one model."""

    name: str

    @property
    def runner_pid(self) -> int:
        """The process that holds the model."""
        ...

    def stream(self, prompt: str, tokens: int, *, seed: int = 1) -> AsyncGenerator[Answer, None]:
        """Yields the answer so far, whenever text has come."""
        ...


async def whole(server: Served, prompt: str, tokens: int, *, seed: int = 1) -> Answer:
    """The answer once it has ended."""
    async with contextlib.aclosing(server.stream(prompt, tokens, seed=seed)) as parts:
        return [answer async for answer in parts][-1]


@dataclass
class OurServer:
    """`ollama-tui --serve` with the model in a store of its own."""

    client: httpx.AsyncClient
    process: asyncio.subprocess.Process
    name: str = "ours"

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, model: BenchModel | None, *, slots: int = 1, context: int = 4096) -> AsyncIterator[Self]:
        with tempfile.TemporaryDirectory() as home:
            port = free_port()
            environment = {
                **os.environ,
                "HOME": home,
                "OLLAMA_MODELS": f"{home}/models",
                "OLLAMA_HOST": f"127.0.0.1:{port}",
                "OLLAMA_NUM_PARALLEL": str(slots),
                "OLLAMA_CONTEXT_LENGTH": str(context),
                "OLLAMA_KEEP_ALIVE": "-1",
            }
            async with (
                _process([sys.executable, "-m", "ollama_tui", "--serve"], environment) as process,
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=600) as client,
            ):
                await _ready(client, "/api/version", process)
                server = cls(client, process)
                if model is not None:
                    await server._create(model)
                yield server

    async def _create(self, model: BenchModel) -> None:
        digest = await asyncio.to_thread(_sha256, model.path)
        (await self.client.post(f"/api/blobs/{digest}", content=_file(model.path))).raise_for_status()
        body = {"model": MODEL, "files": {model.path.name: digest}, "stream": False}
        (await self.client.post("/api/create", json=body)).raise_for_status()
        (await self.client.post("/api/generate", json={"model": MODEL})).raise_for_status()

    @property
    def runner_pid(self) -> int:
        (child,) = psutil.Process(self.process.pid).children()
        return child.pid

    async def stream(self, prompt: str, tokens: int, *, seed: int = 1) -> AsyncGenerator[Answer, None]:
        options = {"num_predict": tokens, "seed": seed, **SAMPLING}
        body = {"model": MODEL, "prompt": prompt, "raw": True, "options": options}
        answer = Answer(time.perf_counter())
        async for at, line in streamed_lines(self.client.base_url, "/api/generate", body):
            part = json.loads(line)
            if "error" in part:
                raise SystemExit(f"ours: {part['error']}")
            if part["response"]:
                answer.at.append(at)
                yield answer
            if part["done"]:
                answer.tokens = part["eval_count"]
                answer.prompt_tokens = part["prompt_eval_count"]
                answer.cached_tokens = part.get("cached_tokens", 0)
        answer.at = answer.at or [time.perf_counter()]
        yield answer


@dataclass
class LlamaServer:
    """llama.cpp's own server on the same file, as many slots, as long a context in each."""

    client: httpx.AsyncClient
    process: asyncio.subprocess.Process
    name: str = "llama-server"

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, programs: Path, model: BenchModel, *, slots: int = 1, context: int = 4096
    ) -> AsyncIterator[Self]:
        port = free_port()
        command = [
            str(programs / "llama-server"), "--model", str(model.path), "--host", "127.0.0.1", "--port", str(port),
            "-np", str(slots), "-c", str(context * slots), "--no-warmup", "--offline",
        ]  # fmt: skip
        async with (
            _process(command, dict(os.environ)) as process,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=600) as client,
        ):
            await _ready(client, "/health", process)
            yield cls(client, process)

    @property
    def runner_pid(self) -> int:
        return self.process.pid

    async def tokens_of(self, text: str) -> int:
        answer = await self.client.post("/tokenize", json={"content": text, "add_special": True})
        return len(answer.raise_for_status().json()["tokens"])

    async def stream(self, prompt: str, tokens: int, *, seed: int = 1) -> AsyncGenerator[Answer, None]:
        body = {"prompt": prompt, "n_predict": tokens, "stream": True, "seed": seed, "cache_prompt": True, **SAMPLING}
        answer = Answer(time.perf_counter())
        async for at, line in streamed_lines(self.client.base_url, "/completion", body):
            if not line.startswith(b"data: {"):
                continue
            part = json.loads(line[6:])
            if part.get("content"):
                answer.at.append(at)
                yield answer
            if part.get("stop"):
                answer.tokens = part["tokens_predicted"]
                answer.prompt_tokens = part["tokens_evaluated"]
                answer.cached_tokens = part["tokens_evaluated"] - part["timings"]["prompt_n"]
        answer.at = answer.at or [time.perf_counter()]
        yield answer


async def llama_bench(programs: Path, model: BenchModel, *, prompt: int = 0, tokens: int = 0) -> float:
    """Tokens a second of `llama-bench -p prompt -n tokens`, one repetition."""
    command = [str(programs / "llama-bench"), "-m", str(model.path), "-p", str(prompt), "-n", str(tokens)]
    process = await asyncio.create_subprocess_exec(
        *command, "-r", "1", "-o", "json", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"llama-bench ended with {process.returncode}")
    (result,) = json.loads(output)
    return float(result["avg_ts"])


def resident(pid: int) -> int:
    """Resident memory of a process, bytes."""
    return int(psutil.Process(pid).memory_info().rss)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def _process(command: list[str], environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        except BaseException:
            log.seek(max(0, log.tell() - 2000))
            sys.stderr.write(log.read().decode(errors="replace"))
            raise
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _ready(client: httpx.AsyncClient, path: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while process.returncode is None:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(path)).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise SystemExit("the server ended before it was ready")


def _sha256(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


async def _file(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def machine() -> dict[str, Any]:
    import platform

    return {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
