"""A program that serves a ScriptedEngine, for tests that must signal a real process.

Prints its address, then lets the engine say its next piece for each line it reads. The argument is drain_seconds.
"""

from __future__ import annotations

import asyncio
import sys

from ollama_engine.server.serve import serve
from ollama_engine.settings import HostAddress, Settings
from tests.support.scripted_engine import ScriptedEngine


async def main(drain_seconds: float) -> int:
    engine = ScriptedEngine(["one", "two"])
    engine.step = asyncio.Event()

    def announce(address: HostAddress) -> None:
        sys.stdout.write(f"{address.url}\n")
        sys.stdout.flush()

    def step() -> None:
        if sys.stdin.readline() and engine.step is not None:
            engine.step.set()

    asyncio.get_running_loop().add_reader(sys.stdin, step)
    settings = Settings(host=HostAddress(port=0))
    status = await serve(settings, engine, on_ready=announce, drain_seconds=drain_seconds)
    sys.stdout.write("closed\n" if engine.closed else "left open\n")
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]))))
