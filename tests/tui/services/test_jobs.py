"""Long work: counted by file, ended by success, failure or cancel, and the models are looked at again after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from ollama_engine.engine import Engine
from ollama_engine.errors import StoreError
from ollama_engine.types import Progress
from ollama_tui.services import EngineLink, Job, JobService
from tests.support.demo_engine import DemoEngine


class Work:
    """Steps that a test gives one by one; `closed` when whoever reads them is gone."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[Progress | StoreError | None] = asyncio.Queue()
        self.closed = False
        self.looked_again = 0

    async def steps(self, engine: Engine) -> AsyncGenerator[Progress, None]:
        try:
            while (step := await self.given.get()) is not None:
                if isinstance(step, StoreError):
                    raise step
                yield step
        finally:
            self.closed = True

    async def look_again(self) -> None:
        self.looked_again += 1

    def service(self) -> JobService:
        return JobService(EngineLink.to(DemoEngine(), "here"), self.look_again)


async def until(jobs: JobService, true: Callable[[Job], object]) -> Job:
    async with asyncio.timeout(5):
        async for view in jobs.view.watch():
            if view and true(view[-1]):
                return view[-1]
    raise AssertionError


async def test_bytes_of_several_files_add_up_and_never_go_back() -> None:
    work = Work()
    jobs = work.service()
    jobs.start("push x", "x", work.steps, total=300)
    for digest, completed in (("a", 90), ("a", 100), ("b", 0), ("a", 40)):
        work.given.put_nowait(Progress("pushing", digest, 100, completed))
    job = await until(jobs, lambda job: job.status)
    assert (job.completed, job.total, round(job.part, 2)) == (100, 300, 0.33)
    work.given.put_nowait(None)
    await until(jobs, lambda job: job.state == "done")
    await asyncio.sleep(0)
    assert work.looked_again == 1


async def test_a_cancel_closes_the_work() -> None:
    work = Work()
    jobs = work.service()
    job = jobs.start("push x", "x", work.steps)
    work.given.put_nowait(Progress("pushing", "a", 100, 50))
    await until(jobs, lambda job: job.status)
    jobs.cancel(job.id)
    await until(jobs, lambda job: job.state == "canceled")
    assert work.closed
    jobs.dismiss(job.id)
    assert jobs.view.value == ()


async def test_a_failure_keeps_its_error_and_the_end_of_the_program_ends_the_rest() -> None:
    work, other = Work(), Work()
    jobs = work.service()
    jobs.start("push x", "x", work.steps)
    work.given.put_nowait(StoreError("the disk is full"))
    failed = await until(jobs, lambda job: job.state == "failed")
    assert failed.error is not None
    assert failed.error.message == "the disk is full"
    jobs.start("push y", "y", other.steps)
    other.given.put_nowait(Progress("pushing"))
    await until(jobs, lambda job: job.status)
    await jobs.aclose()
    assert other.closed
