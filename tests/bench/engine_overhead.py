"""What the engine costs: decode speed through `Runner` and through `LocalEngine.chat` over a bare llama.cpp loop.

    python -m tests.bench.engine_overhead [--pairs 5] [--tokens 128] [--only bard]

Same model, same prompt, seeds, sampler options and threads, in one run, turn by turn. Prints a table, then JSON.
Models that have to be made are kept in the system's temporary folder.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from gguf import GGMLQuantizationType

from ollama_engine.local import LocalEngine
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Done, Generate, LoadSpec, Sampling
from ollama_engine.settings import Settings
from ollama_engine.types import ChatRequest, CreateRequest, Message
from tests.support.gguf_models import M135, random_model

REPO = Path(__file__).parents[2]
BARD = REPO / "engine/ollama_engine/data/bard-q8_0.gguf"
REAL_VOCAB = REPO.parent / "shared/models/vocab/ggml-vocab-llama-bpe.gguf"
CACHE = Path(tempfile.gettempdir()) / "ollama-tui-bench"
QUESTION = "Tell me of the sea, and of those who sail upon it."


@dataclass(frozen=True)
class Subject:
    """A model to measure; `requests` answers are one turn, the longest of `candidates`."""

    name: str
    path: Path
    candidates: int
    requests: int
    n_ctx: int


def subjects() -> list[Subject]:
    CACHE.mkdir(exist_ok=True)
    vocab = REAL_VOCAB if REAL_VOCAB.exists() else None
    path = CACHE / f"m135-q8_0-{'128k' if vocab else 'bytes'}.gguf"
    if not path.exists():
        making = path.with_suffix(f".{os.getpid()}")
        random_model(making, **M135, vocab=vocab, weights=GGMLQuantizationType.Q8_0)
        making.rename(path)
    return [Subject("bard (4M, 1k words)", BARD, 100, 5, 512), Subject(f"135M {path.stem[5:]}", path, 1, 1, 2048)]


class Bare:
    """The bare loop, in its own process."""

    def __init__(self, process: asyncio.subprocess.Process, prompt: str) -> None:
        self._process = process
        self._prompt = prompt

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, subject: Subject, prompt: str) -> AsyncIterator[Bare]:
        spec = msgspec.json.encode(LoadSpec([str(subject.path)], subject.n_ctx)).decode()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.bare_loop", spec, cwd=REPO,
            env={"GOMP_SPINCOUNT": "300", **os.environ},  # as the runner has it
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield cls(process, prompt)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    async def speed(self, sampling: list[Sampling], tokens: int) -> float:
        answers = await self.answers(sampling, tokens)
        return sum(n for n, _ in answers) / sum(seconds for _, seconds in answers)

    async def longest(self, candidates: int, requests: int, tokens: int) -> list[Sampling]:
        """The seeds whose answers go on for longest: the first text of an answer, not counted, then weighs little."""
        sampling = [Sampling(seed=seed) for seed in range(candidates)]
        answers = await self.answers(sampling, tokens)
        return sorted(sampling, key=lambda options: -answers[options.seed][0])[:requests]

    async def answers(self, sampling: list[Sampling], tokens: int) -> list[tuple[int, float]]:
        """Of each answer the tokens after the first, and the seconds they took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"prompt": self._prompt, "sampling": msgspec.to_builtins(sampling), "max_tokens": tokens}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        return [(n, seconds) for n, seconds in json.loads(await self._process.stdout.readline())]


async def runner_speed(runner: Runner, prompt: str, sampling: list[Sampling], tokens: int) -> float:
    """Tokens after the first text over the time from there to the end, as the caller sees them."""
    total, seconds = 0, 0.0
    prompt_tokens = await runner.tokenize(prompt)
    for options in sampling:
        began = ended = 0.0
        first = 0
        async for part in runner.generate(Generate(0, prompt_tokens, max_tokens=tokens, sampling=options)):
            ended = time.perf_counter()
            if isinstance(part, Done):
                total += part.output_tokens - first
            elif not began:
                began, first = ended, part.n
        seconds += ended - began
    return total / seconds


async def chat_speed(engine: LocalEngine, sampling: list[Sampling], tokens: int) -> float:
    """The same through the whole engine; the first chunk stands for one token."""
    total, seconds = 0, 0.0
    for options in sampling:
        request = ChatRequest(
            "subject", [Message("user", QUESTION)], options={"num_predict": tokens, "seed": options.seed}
        )
        began = ended = 0.0
        async for chunk in engine.chat(request):
            ended = time.perf_counter()
            began = began or ended
            if chunk.done:
                total += chunk.eval_count - 1
        seconds += ended - began
    return total / seconds


async def install(engine: LocalEngine, subject: Subject) -> str:
    """Make `subject` out of the file; return the prompt that QUESTION becomes."""
    files = {subject.path.name: await put(engine, subject.path)}
    async for _ in engine.create(CreateRequest("subject", files=files, parameters={"num_ctx": subject.n_ctx})):
        pass
    ask = ChatRequest("subject", [Message("user", QUESTION)], debug_render_only=True)
    async for chunk in engine.chat(ask):
        if chunk.debug_info is not None:
            return chunk.debug_info.rendered_template
    raise SystemExit(f"{subject.name} has no prompt")


async def put(engine: LocalEngine, path: Path) -> str:
    with path.open("rb") as file:
        digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()

    async def data() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk

    await engine.put_blob(digest, data())
    return digest


async def measure(subject: Subject, pairs: int, tokens: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(models=Path(folder))
        async with LocalEngine(settings) as engine:
            prompt = await install(engine, subject)
            spec = LoadSpec([str(subject.path)], subject.n_ctx, n_seq=4)
            async with Bare.running(subject, prompt) as bare, contextlib.AsyncExitStack() as stack:
                runner = await Runner.start(spec)
                stack.push_async_callback(runner.aclose)
                sampling = await bare.longest(subject.candidates, subject.requests, tokens)
                ways = {
                    "bare": lambda: bare.speed(sampling, tokens),
                    "runner": lambda: runner_speed(runner, prompt, sampling, tokens),
                    "engine": lambda: chat_speed(engine, sampling, tokens),
                }
                for way in ways.values():
                    await way()  # load and warm up
                speeds: dict[str, list[float]] = {name: [] for name in ways}
                for _ in range(pairs):
                    for name, way in ways.items():
                        speeds[name].append(await way())
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = {
        name: statistics.median(a / b for a, b in zip(speeds[name], speeds["bare"], strict=True))
        for name in ("runner", "engine")
    }
    return {"model": subject.name, "tokens_per_second": medians, "over_bare": ratios, "pairs": speeds}


async def run(pairs: int, tokens: int, only: str) -> None:
    results = [await measure(subject, pairs, tokens) for subject in subjects() if only in subject.name]
    print(f"{'model':24} {'bare tok/s':>11} {'runner':>9} {'ratio':>6} {'engine':>9} {'ratio':>6}")
    for result in results:
        speed, ratio = result["tokens_per_second"], result["over_bare"]
        print(
            f"{result['model']:24} {speed['bare']:11.1f} {speed['runner']:9.1f} {ratio['runner']:6.3f}"
            f" {speed['engine']:9.1f} {ratio['engine']:6.3f}"
        )
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps({"machine": machine, "tokens": tokens, "results": results}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--tokens", type=int, default=128)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.pairs, arguments.tokens, arguments.only))


if __name__ == "__main__":
    main()
