"""A runner lives exactly as long as somebody wants it: no longer than its parent, no zombie, nothing left open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ollama_engine.errors import RunnerDied
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import LoadSpec
from tests.engine.runner.running import answer, runner_processes, running, until
from tests.support.gguf_models import M135, random_model


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class TestTheRunnerDies:
    async def test_its_requests_end_with_an_error_that_says_so(self, looping: Path) -> None:
        async with running(looping) as runner:
            tasks = [asyncio.create_task(answer(runner)) for _ in range(3)]  # one runs, two wait
            await until(lambda: queued(runner, 2))
            os.kill(runner.pid, signal.SIGKILL)
            for task in tasks:
                with pytest.raises(RunnerDied, match=r"unexpectedly stopped.*signal 9") as caught:
                    await task
                assert caught.value.hint
            assert not runner.alive
            assert runner.died.is_set()

    async def test_later_requests_are_told_at_once(self, looping: Path) -> None:
        async with running(looping) as runner:
            runner.kill()
            await runner.died.wait()
            for ask in (answer(runner, [1]), runner.tokenize("x"), runner.stats()):
                with pytest.raises(RunnerDied):
                    await ask

    async def test_what_it_said_last_is_told(self, looping: Path) -> None:
        """A frame that is none ends the runner, and the error names why."""
        async with running(looping) as runner:
            task = asyncio.create_task(answer(runner))
            await until(lambda: queued(runner, 0))
            runner._writer.write(b"\x03\x00\x00\x00xyz")
            with pytest.raises(RunnerDied, match=r"DecodeError|ValidationError"):
                await task

    async def test_a_consumer_cancelled_meanwhile_does_not_keep_the_news_from_others(self, looping: Path) -> None:
        async with running(looping) as runner:
            # As long as somebody holds its stderr, its last words are waited for.
            stderr = os.open(stderr_of(runner), os.O_WRONLY)
            asking = asyncio.create_task(answer(runner))
            await until(lambda: queued(runner, 0))
            runner.kill()
            await until(lambda: not runner.alive)
            tasks = [asyncio.create_task(runner.stats()) for _ in range(20)]
            await asyncio.sleep(0.01)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.wait(tasks[::2])
            os.close(stderr)
            for task in (asking, *tasks[1::2]):
                with pytest.raises(RunnerDied):
                    await task


def stderr_of(runner: Runner) -> str:
    pipe = f"/proc/{runner.pid}/fd/2"
    if not os.path.exists(pipe):
        pytest.skip("no /proc on this system")
    return pipe


async def queued(runner: Runner, n: int) -> bool:
    stats = await runner.stats()
    return stats.slots_busy == 1 and stats.queued == n


PARENT = """
import asyncio, sys
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import Generate, LoadSpec, Sampling

async def main():
    path, n_tokens = sys.argv[1], int(sys.argv[2])
    load = asyncio.create_task(Runner.start(LoadSpec([path], 4096, n_batch=4096, use_mmap=False)))
    while not (children := __import__("psutil").Process().children()):
        await asyncio.sleep(0.001)
    print(children[0].pid, flush=True)
    runner = await load
    print("loaded", flush=True)
    async for part in runner.generate(Generate(0, [1] * n_tokens, sampling=Sampling(temperature=0))):
        print("piece", flush=True)

asyncio.run(main())
"""


@contextlib.contextmanager
def parent(model: Path, n_tokens: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that loads `model` and asks it to go on for ever; and the pid of its runner."""
    command = [sys.executable, "-c", PARENT, str(model), str(n_tokens)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


class TestTheParentIsKilled:
    """With SIGKILL, which it cannot answer."""

    async def test_while_the_model_answers(self, looping: Path) -> None:
        with parent(looping, 5) as (process, pid):
            assert process.stdout is not None
            assert process.stdout.readline() == "loaded\n"
            assert process.stdout.readline() == "piece\n"
            assert not is_gone(pid)
            process.kill()
            await until(lambda: is_gone(pid))

    async def test_during_load_and_during_a_long_decode(self, tmp_path: Path) -> None:
        model = random_model(tmp_path / "big.gguf", **M135)
        with parent(model, 4000) as (process, pid):
            process.kill()
            await until(lambda: is_gone(pid))
        with parent(model, 4000) as (process, pid):
            assert process.stdout is not None
            assert process.stdout.readline() == "loaded\n"
            runner = psutil.Process(pid)
            before = sum(runner.cpu_times()[:2])
            await until(lambda: sum(runner.cpu_times()[:2]) > before + 0.3)  # it is in the prefill, of many seconds
            process.kill()
            await until(lambda: is_gone(pid), 3)


class TestClosing:
    async def test_twice(self, looping: Path) -> None:
        runner = await Runner.start(LoadSpec([str(looping)], 512))
        await asyncio.gather(runner.aclose(), runner.aclose())
        await runner.aclose()
        assert not runner.alive
        assert is_gone(runner.pid)

    async def test_while_it_answers(self, looping: Path) -> None:
        async with running(looping) as runner:
            task = asyncio.create_task(answer(runner))
            await until(lambda: queued(runner, 0))
            await runner.aclose()
            with pytest.raises(RunnerDied, match="unloaded"):
                await task

    async def test_the_start_can_be_cancelled_at_any_moment(self, looping: Path) -> None:
        for delay in (0, 0.001, 0.01, 0.03, 0.06, 0.1, 0.15):
            start = asyncio.create_task(Runner.start(LoadSpec([str(looping)], 512)))
            await asyncio.sleep(delay)
            start.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await start).aclose()
        await until(lambda: not runner_processes())

    async def test_a_runner_that_does_not_end_is_killed(self, looping: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ollama_engine.runner.client.STOP_GRACE", 0.05)
        async with running(looping) as runner:
            os.kill(runner.pid, signal.SIGSTOP)
            await runner.aclose()
            assert is_gone(runner.pid)

    async def test_twenty_rounds_leave_no_process_and_no_file_open(self, looping: Path) -> None:
        async with running(looping):
            pass
        before = psutil.Process().num_fds()
        for number in range(20):
            async with running(looping) as runner:
                if number % 2:
                    await answer(runner, max_tokens=2)
                if number % 5 == 0:
                    runner.kill()
        assert not runner_processes()
        await until(lambda: psutil.Process().num_fds() <= before)


async def test_a_flood_on_stderr_stops_nothing_and_its_end_is_kept(looping: Path) -> None:
    """Lines longer than any buffer, more than a pipe holds, from inside the process."""
    async with running(looping) as runner:
        flood = "import os; os.write(2, b'x' * 1_000_000 + b'\\nlast error of all\\n')"
        pipe = stderr_of(runner)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"import os; os.dup2(os.open({pipe!r}, os.O_WRONLY), 2); {flood}"
        )
        async with asyncio.timeout(10):
            assert await process.wait() == 0
        assert (await answer(runner, max_tokens=3)).text == "round and"
        runner.kill()
        with pytest.raises(RunnerDied, match="last error of all"):
            await answer(runner, [1])


async def test_a_file_in_the_working_folder_is_not_run(
    looping: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('ran what lay there')")
    (tmp_path / "numpy.py").write_text("raise SystemExit('ran what lay there')")
    monkeypatch.chdir(tmp_path)
    async with running(looping) as runner:
        assert (await answer(runner, max_tokens=1)).text == "rou"


async def test_an_interrupt_from_the_terminal_does_not_end_it(looping: Path) -> None:
    async with running(looping) as runner:
        os.kill(runner.pid, signal.SIGINT)
        assert (await answer(runner, max_tokens=3)).text == "round and"
