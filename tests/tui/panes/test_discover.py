"""The Discover tab, by keyboard only: finding a model, whether it fits, pulling it."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from ollama_engine.errors import NotSupported, StoreError
from ollama_engine.types import Device
from ollama_tui.app import Workstation
from ollama_tui.widgets.row_table import RowTable
from tests.support.demo_engine import DemoEngine, demo_models, summary
from tests.support.workstation import notices, screen_text, until, workstation


def demo() -> DemoEngine:
    return DemoEngine(models=[*demo_models(), summary("llama3.2:1b", 1, "1B", "Q4_K_M", 1, "completion")])


def queued(engine: DemoEngine) -> list[str]:
    return [view.name for view in engine.queue.views.values()]


async def discover(pilot: Pilot[None], app: Workstation) -> RowTable:
    await until(pilot, lambda: app.services.library.view.value.known)
    await pilot.press("right_square_bracket")
    await until(pilot, lambda: " as of " in screen_text(app) and "GPU" in screen_text(app))
    return app.screen.query_one("#known-models", RowTable)


def row(app: Workstation, name: str) -> str:
    return next(line for line in screen_text(app).splitlines() if f" {name} " in line)


async def test_each_model_says_what_it_takes_whether_it_fits_and_whether_it_is_here(tmp_path: Path) -> None:
    app = workstation(tmp_path, demo())
    async with app.run_test(size=(80, 24)) as pilot:
        await discover(pilot, app)
        assert row(app, "llama3.2:1b").split()[:5] == ["✓", "llama3.2:1b", "1.3", "GB", "GPU"]
        assert row(app, "llama3.1:70b").split()[:4] == ["llama3.1:70b", "43", "GB", "no"]
        assert "GPU+CPU" in row(app, "mixtral:8x7b")
        await pilot.press("down", "i")
        await until(
            pilot, lambda: "Fits whole on the GPU of the engine's machine (32 GB, GPU 24 GB)" in screen_text(app)
        )


async def test_a_machine_without_a_gpu_and_one_that_does_not_tell(tmp_path: Path) -> None:
    engine = demo()
    engine.machine = [Device("CPU", "A processor", "cpu", 8_000_000_000)]
    app = workstation(tmp_path, engine)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(pilot, lambda: app.services.library.view.value.known)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "Fits the engine's machine's RAM" in screen_text(app))
        engine.failures["devices"] = NotSupported("it does not tell")
        await app.services.catalog.refresh()
        await until(pilot, lambda: app.services.catalog.view.value.memory_is_here)
        await until(pilot, lambda: "this machine" in screen_text(app))


async def test_enter_queues_a_pull_and_stays(tmp_path: Path) -> None:
    engine = demo()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await discover(pilot, app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: notices(app))
        assert queued(engine) == ["llama3.2:3b"]
        assert "llama3.2:3b" in notices(app)[0]
        assert "press 2" in notices(app)[0]
        await until(pilot, lambda: row(app, "llama3.2:3b").split()[0] == "↓")
        engine.queue.failures["pull_enqueue"] = StoreError("the disk is full", hint="Free some of it.")
        await pilot.press("enter")
        await until(pilot, lambda: "the disk is full\nFree some of it." in notices(app))


async def test_what_does_not_fit_is_asked_about_first(tmp_path: Path) -> None:
    engine = demo()
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await discover(pilot, app)
        await pilot.press("slash", *"3.1:70b", "enter", "enter")
        await until(pilot, lambda: "llama3.1:70b does not fit" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "does not fit" not in screen_text(app))
        assert queued(engine) == []
        await pilot.press("enter")
        await until(pilot, lambda: "does not fit" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: queued(engine) == ["llama3.1:70b"])


async def test_the_filter_looks_into_notes_and_a_name_that_is_not_listed_can_be_pulled(tmp_path: Path) -> None:
    engine = demo()
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        table = await discover(pilot, app)
        await pilot.press("slash", *"images llama")
        await until(pilot, lambda: table.row_count and table.row_count < 6)
        assert "llama3.2-vision:11b" in screen_text(app)
        await pilot.press("enter", "escape")
        await until(pilot, lambda: table.row_count > 60)
        await pilot.press("slash", *"someone/unheard-of:1b")
        await until(pilot, lambda: "Not in the catalog: someone/unheard-of:1b" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: queued(engine) == ["someone/unheard-of:1b"])


async def test_sorting_and_only_what_fits(tmp_path: Path) -> None:
    app = workstation(tmp_path, demo())
    async with app.run_test() as pilot:
        table = await discover(pilot, app)

        def first() -> str:
            return str(table.get_row_at(0)[1])

        everything = table.row_count
        for key, name in (("N", "all-minilm:22m"), ("N", "starcoder2:15b"), ("S", "all-minilm:22m")):
            await pilot.press(key)
            await until(pilot, lambda name=name: first() == name)
        assert "▲SIZE" in screen_text(app)
        await pilot.press("f", "S")
        await until(pilot, lambda: table.row_count < everything)
        await until(pilot, lambda: "▼SIZE" in screen_text(app))
        await until(pilot, lambda: first() in screen_text(app))
        assert all("no" not in row(app, name).split() for name in (first(), "mixtral:8x7b"))
        await pilot.press("escape")
        await until(pilot, lambda: first() == "llama3.2:1b" and table.row_count == everything)
