"""How fast a pull is beside curl: `python -m tests.bench.pull_speed --size 2048 --pairs 5`.

Both fetch one blob of random bytes from the CNCF registry on loopback into files of one folder, in turn, so that what
else the machine does falls on both. Three ways are timed: the pull of this repository, which verifies and syncs what
it writes; `curl | tee FILE | sha256sum`, which hashes beside the download; and `curl -o FILE` followed by
`sha256sum FILE`. Prints a table of medians and ratios (curl's time by ours: above 1 the pull is faster), then JSON.
Nothing stays on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ollama_engine.store import manifest as media
from tests.support.registry_server import RunningRegistry, digest_of, running_registry, upload

MIB = 1 << 20
REPOSITORY = "bench/weights"
BESIDE = 'curl -sSf "$1" | tee "$2" | sha256sum'
AFTER = 'curl -sSf -o "$2" "$1" && sha256sum "$2"'
PULL = """
import asyncio, sys, time
from pathlib import Path
from ollama_engine.registry import Registry, RegistryConfig
from ollama_engine.store import Store, names

async def main():
    async with Registry(Store(Path(sys.argv[1])), config=RegistryConfig()) as registry:
        start = time.perf_counter()
        async for step in registry.pull(names.parse(sys.argv[2]), insecure=True):
            pass
        print(time.perf_counter() - start, step.status)

asyncio.run(main())
"""


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--size", type=int, default=256, help="MiB of the blob")
    parser.add_argument("--pairs", type=int, default=5, help="times that each way is taken")
    parser.add_argument("--folder", type=Path, help="where to write (the system's temporary folder)")
    options = parser.parse_args(None if arguments is None else list(arguments))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as on Ctrl-C, nothing stays on the disk
    with tempfile.TemporaryDirectory(prefix="pull-speed-", dir=options.folder) as folder:
        print(report(measure(Path(folder), options.size * MIB, options.pairs), options.size))


def measure(folder: Path, size: int, pairs: int) -> dict[str, list[float]]:
    """Seconds of every run of each way, taken in turn."""
    data = os.urandom(size)
    digest = digest_of(data)
    with running_registry(folder / "registry") as server:
        upload(server.url, REPOSITORY, "latest", [(media.MODEL, data)])
        del data
        ways: dict[str, Callable[[], float]] = {
            "pull": lambda: _pull(server, folder / "models"),
            "curl with sha256sum beside it": lambda: _curl(BESIDE, server, digest, folder / "file"),
            "curl, then sha256sum": lambda: _curl(AFTER, server, digest, folder / "file"),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for way in ways.values():
            way()  # once each to warm the page cache
        for _ in range(pairs):
            for name, way in ways.items():
                times[name].append(way())
    return times


def report(times: dict[str, list[float]], size: int) -> str:
    """The table and the JSON."""
    medians = {name: statistics.median(runs) for name, runs in times.items()}
    ours = medians["pull"]
    ratios = {
        name: statistics.median(theirs / mine for theirs, mine in zip(runs, times["pull"], strict=True))
        for name, runs in times.items()
    }
    lines = [f"{size} MiB, {len(times['pull'])} times each", f"{'':32}{'median s':>10}{'MiB/s':>10}{'pull is':>10}"]
    lines += [f"{name:32}{at:10.2f}{size / at:10.0f}{ratios[name]:9.2f}x" for name, at in medians.items()]
    figures = {"mib": size, "pull_seconds": ours, "medians": medians, "ratios": ratios, "times": times}
    return "\n".join([*lines, json.dumps(figures)])


def _pull(server: RunningRegistry, store: Path) -> float:
    """Seconds of a pull into an empty store, in a process of its own; Python's start does not count."""
    shutil.rmtree(store, ignore_errors=True)
    name = f"http://{server.host}/{REPOSITORY}:latest"
    done = subprocess.run([sys.executable, "-c", PULL, str(store), name], check=True, capture_output=True, text=True)
    seconds, status = done.stdout.split()
    if status != "success":
        raise RuntimeError(f"the pull ended with {status}: {done.stderr}")
    shutil.rmtree(store)
    return float(seconds)


def _curl(script: str, server: RunningRegistry, digest: str, file: Path) -> float:
    """Seconds of a shell's way to fetch and hash the blob."""
    file.unlink(missing_ok=True)
    url = f"{server.url}/v2/{REPOSITORY}/blobs/{digest}"
    start = time.perf_counter()
    done = subprocess.run(["sh", "-c", script, "sh", url, str(file)], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.stdout.split()[0] != digest.removeprefix("sha256:"):
        raise RuntimeError(f"curl fetched something else: {done.stdout}")
    file.unlink()
    return seconds


if __name__ == "__main__":
    main()
