"""What is done with models from the Library, by keyboard: marks, sort, delete, names, long work, registries, plans."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from ollama_engine.errors import Forbidden, NotSupported, StoreError
from ollama_engine.types import DevicePlan, MemoryPlan, PlanRequest, Update
from ollama_tui.app import Workstation
from ollama_tui.panes.library.installed import Installed
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.choose_screen import ChooseScreen
from ollama_tui.widgets.confirm_screen import ConfirmScreen
from tests.support.demo_engine import DemoEngine, demo_running
from tests.support.workstation import notices, screen_text, until, workstation


async def opened(pilot: Pilot[None], app: Workstation) -> Installed:
    await until(pilot, lambda: app.focused and "nomic-embed-text" in screen_text(app))
    return app.screen.query_one(Installed)


def rows(app: Workstation) -> list[str]:
    """The names of the table's rows, in their order."""
    table = app.screen.query_one(Installed).table
    return [str(row.key.value).partition(":")[0] for row in table.ordered_rows]


async def answer(pilot: Pilot[None], app: Workstation, screen: type, *keys: str) -> None:
    await until(pilot, lambda: isinstance(app.screen, screen))
    await pilot.pause()
    await pilot.press(*keys)


def words(app: Workstation) -> str:
    """What the screen says, however its lines are broken."""
    return " ".join(screen_text(app).replace("│", " ").split())


def names(engine: DemoEngine) -> list[str]:
    return [model.name for model in engine.stored]


@pytest.mark.parametrize(
    ("key", "title", "first"),
    [
        ("N", "NAME▲", "bard"),
        ("S", "SIZE▼", "llava"),
        ("P", "PARAMS▼", "llava"),
        ("Q", "QUANT▲", "nomic-embed-text"),
        ("C", "CTX▼", "llama3.1"),
        ("F", "FAMILY▲", "bard"),
        ("A", "CAN▼", "qwen2.5-coder"),
        ("M", "AGE▲", "nomic-embed-text"),
        ("L", "▼", "qwen2.5-coder"),
    ],
)
async def test_shift_and_a_letter_sort_and_the_header_says_so(tmp_path: Path, key: str, title: str, first: str) -> None:
    app = workstation(tmp_path, DemoEngine(running=[demo_running("qwen2.5-coder:7b", "idle")]))
    async with app.run_test(size=(200, 30)) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "●" in screen_text(app))
        await pilot.press(key)
        assert rows(app)[0] == first
        assert title in screen_text(app)
        await pilot.press(key)
        await until(pilot, lambda: title.translate({ord("▼"): "▲", ord("▲"): "▼"}) in screen_text(app))


async def test_fits_come_in_and_sort(tmp_path: Path) -> None:
    class Planner(DemoEngine):
        async def plan(self, request: PlanRequest) -> MemoryPlan:
            fit = "gpu" if request.model.startswith("qwen") else "none" if request.model.startswith("llava") else "cpu"
            return MemoryPlan(model=request.model, fit=fit, context_length=4096, slots=1)

    app = workstation(tmp_path, Planner())
    async with app.run_test() as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: all(word in screen_text(app) for word in ("GPU", "CPU", " no ")))
        await pilot.press("T")
        assert (rows(app)[0], rows(app)[-1]) == ("qwen2.5-coder", "llava")


async def test_a_server_that_plans_nothing_is_asked_once_and_its_column_is_empty(tmp_path: Path) -> None:
    class Foreign(DemoEngine):
        times = 0

        async def plan(self, request: PlanRequest) -> MemoryPlan:
            self.times += 1
            raise NotSupported("plans no memory", hint="Ollama's own server does not.")

    engine = Foreign()
    for verb in ("layers", "updates"):
        engine.failures[verb] = NotSupported("the server does not tell", hint="Ollama's own server does not.")
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: engine.times)
        assert engine.times == 1
        await pilot.press("u")
        await until(pilot, lambda: notices(app) == ["the server does not tell\nOllama's own server does not."])
        await pilot.press("i", "right")
        await until(pilot, lambda: "plans no memory" in screen_text(app))
        await pilot.press("right")
        await until(pilot, lambda: "the server does not tell" in screen_text(app))
        await pilot.press("ctrl+d")
        await until(pilot, lambda: "The server does not tell how much disk that frees." in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "bard:latest" not in names(engine))


async def test_a_delete_says_what_it_frees_and_takes_what_is_loaded_out_of_memory(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running("llama3.1:8b", "idle")])
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app)
        await until(pilot, lambda: "●" in screen_text(app))
        await pilot.press("down", "ctrl+d")
        await until(pilot, lambda: "Delete llama3.1:8b?" in screen_text(app))
        assert "Frees 4.9 GB of disk. 11 kB stay, used by bard:latest, llava:13b-v1.6-vicuna-q4_K_M." in words(app)
        assert "In memory, and leaves it first: llama3.1:8b." in words(app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        assert "llama3.1:8b" in names(engine)
        await pilot.press("ctrl+d")
        await answer(pilot, app, ConfirmScreen, "enter")
        await until(pilot, lambda: "llama3.1:8b is deleted." in notices(app))
        assert "llama3.1:8b" not in names(engine)
        assert engine.in_memory == []


async def test_marked_models_are_deleted_together_and_what_they_share_is_freed(tmp_path: Path) -> None:
    engine = DemoEngine()
    await engine.copy("nomic-embed-text", "twin")
    app = workstation(tmp_path, engine)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, app)
        await pilot.press("slash", *"embedding", "enter", "a")
        await until(pilot, lambda: "2 marked, 548 MB" in screen_text(app))
        await pilot.press("escape", "ctrl+d")
        await until(pilot, lambda: "Delete 2 models?" in screen_text(app))
        assert "Frees 274 MB of disk." in screen_text(app)
        await pilot.press("y")
        await until(pilot, lambda: len(engine.stored) == 4)
        await until(pilot, lambda: "4 models" in screen_text(app))


async def test_space_marks_and_goes_on_and_escape_unmarks(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        installed = await opened(pilot, app)
        await pilot.press("space", "space")
        assert installed.marked == {"bard:latest", "llama3.1:8b"}
        assert installed.table.selected == "qwen2.5-coder:7b"
        assert screen_text(app).count("✓") == 2
        await pilot.press("up", "space")
        assert installed.marked == {"bard:latest"}
        await pilot.press("slash", *"qwen", "enter")
        await until(pilot, lambda: "1 marked, 4.3 MB (1 not shown)" in screen_text(app))
        assert [model.name for model in installed.targets()] == ["qwen2.5-coder:7b"]
        await pilot.press("escape", "escape")
        assert installed.marked == set()


async def test_a_filter_leaves_out_and_looks_at_family_and_quantization(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await opened(pilot, app)
        await pilot.press("slash", *"q4_k_m", "space", *"!vision")
        await until(pilot, lambda: rows(app) == ["llama3.1", "qwen2.5-coder"])
        assert "2 of 5 models" in screen_text(app)


async def test_what_cannot_be_deleted_stays_and_is_told(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.failures["delete"] = StoreError("the store is read-only", hint="Mount it otherwise.")
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("ctrl+d")
        await answer(pilot, app, ConfirmScreen, "enter")
        await until(pilot, lambda: notices(app) == ["the store is read-only\nMount it otherwise."])


async def test_copy_and_rename_ask_for_a_name_that_is_free(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("c")
        await answer(pilot, app, AskScreen, *"LLAMA3.1:8B")
        await until(pilot, lambda: "There is a model LLAMA3.1:8B already." in screen_text(app))
        await pilot.press("enter")
        assert isinstance(app.screen, AskScreen)
        await pilot.press(*["backspace"] * 20, *"witty", "enter")
        await until(pilot, lambda: "witty:latest is a copy of bard:latest." in notices(app))
        await until(pilot, lambda: app.screen.query_one(Installed).table.selected == "witty:latest")
        assert {"witty:latest", "bard:latest"} <= set(names(engine))
        await pilot.press("m")  # the cursor went to the copy
        await answer(pilot, app, AskScreen, *"wise", "enter")
        await until(pilot, lambda: "wise:latest is the new name of witty:latest." in notices(app))
        await until(pilot, lambda: app.screen.query_one(Installed).table.selected == "wise:latest")
        assert "witty:latest" not in names(engine)


async def test_quantize_offers_smaller_types_shows_progress_and_can_be_canceled(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app)
        app.screen.query_one(Installed).table.select("nomic-embed-text:latest")
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, ChooseScreen))
        await until(pilot, lambda: "about 83 MB, the usual choice" in screen_text(app))
        assert "quantized already" not in screen_text(app)
        await pilot.press("enter")
        engine.gate = asyncio.Semaphore(5)
        await answer(pilot, app, AskScreen, "enter")
        await until(pilot, lambda: "40% quantize nomic-embed-text:latest to Q4_K_M" in screen_text(app))
        await pilot.press("x")
        await until(pilot, lambda: "quantize nomic-embed-text:latest to Q4_K_M: canceled" in notices(app))
        assert len(engine.stored) == 5
        engine.gate = None
        await pilot.press("z", "enter")
        await answer(pilot, app, AskScreen, "enter")
        await until(pilot, lambda: "nomic-embed-text:q4_K_M" in names(engine))
        await until(pilot, lambda: "nomic-embed-text:q4_K" in screen_text(app))
        request = engine.created[-1]
        assert (request.from_, request.quantize, request.requantize) == ("nomic-embed-text:latest", "Q4_K_M", False)


async def test_a_type_that_there_is_not_is_told_before_a_name_is_asked_for(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("colon", *"quantize bard Q4_KM", "enter")
        await until(pilot, lambda: "There is no type Q4_KM; did you mean Q4_K_M?" in notices(app))
        await pilot.press("colon", *"quantize bard q4_k", "enter")
        await answer(pilot, app, AskScreen, "escape")
        assert len(notices(app)) == 1


async def test_what_is_quantized_already_is_warned_of_and_goes_on_from_another_pane(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("down", "z")
        await until(pilot, lambda: "Its weights are quantized already (Q4_K_M)" in screen_text(app))
        choices = app.screen.query_one(OptionList)
        assert [str(option.prompt).split()[0] for option in choices.options][:2] == ["Q4_K_S", "Q4_0"]
        engine.gate = asyncio.Semaphore(0)
        await pilot.press("enter")
        await answer(pilot, app, AskScreen, "enter")
        await until(pilot, lambda: engine.created)
        assert engine.created[0].requantize
        await pilot.press("3")
        engine.gate = None
        for job in app.services.jobs.view.value:
            app.services.jobs.cancel(job.id)
        await until(pilot, lambda: any("canceled" in notice for notice in notices(app)))


async def test_push_under_another_name_copies_first_and_a_failure_is_told(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("p")
        await answer(pilot, app, AskScreen, *"http://box:5000/me/bard", "enter")
        await until(pilot, lambda: engine.pushed == ["box:5000/me/bard:latest"])
        await until(pilot, lambda: "push box:5000/me/bard:latest: done" in notices(app))
        engine.failures["push"] = Forbidden("no rights", hint="Add the key.")
        await pilot.press("p")
        await answer(pilot, app, AskScreen, "enter")
        await until(pilot, lambda: any(notice.endswith(": no rights\nAdd the key.") for notice in notices(app)))


async def test_newer_models_are_marked_and_can_be_pulled(tmp_path: Path) -> None:
    class Registry(DemoEngine):
        async def updates(self, names=None, *, insecure=False):
            for model in self.stored:
                if names is None or model.name in names:
                    newer = model.name.startswith("llama3.1")
                    state = "newer" if newer else "absent" if model.name.startswith("bard") else "current"
                    yield Update(model.name, state, model.digest, "0" * 64)

    app = workstation(tmp_path, Registry())
    async with app.run_test(notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("u")
        await until(pilot, lambda: notices(app)[-1:] == ["llama3.1:8b: newer at the registry (↑). f pulls."])
        assert "↑ llama3.1:8b" in " ".join(screen_text(app).split())
        await pilot.press("i", "down")
        await until(pilot, lambda: "registry      has a newer one" in screen_text(app))
        asked: list[str] = []

        async def enqueue(model: str, **_: object) -> None:
            asked.append(model)

        app.services.pulls.enqueue = enqueue  # pyright: ignore[reportAttributeAccessIssue]
        await pilot.press("f")
        await until(pilot, lambda: app.pane == "pulls")
        assert asked == ["llama3.1:8b"]


async def test_sections_of_the_details_by_arrow_keys(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await opened(pilot, app)
        await pilot.press("i")
        for text in ("fits", "A delete frees 4.3 MB.", "Thou art a poet.", "temperature", "MIT License", "512 values"):
            await pilot.press("right")
            await until(pilot, lambda text=text: text in screen_text(app))
        await pilot.press("h")
        await until(pilot, lambda: "MIT License" in screen_text(app))
        await pilot.press("tab")
        await until(pilot, lambda: app.screen.query_one(Installed).details.has_focus_within)
        await pilot.press("tab")
        await until(pilot, lambda: app.screen.query_one(Installed).table.has_focus)


async def test_the_memory_plan_is_made_for_what_is_asked(tmp_path: Path) -> None:
    asked: list[tuple[object, object]] = []

    class Planner(DemoEngine):
        async def plan(self, request: PlanRequest) -> MemoryPlan:
            options = request.options or {}
            asked.append((options.get("num_ctx"), options.get("kv_cache_type")))
            plan = MemoryPlan(model=request.model, fit="partial", context_length=options.get("num_ctx", 4096), slots=2)
            plan.size, plan.weights, plan.kv_cache = 5_500_000_000, 4_900_000_000, 600_000_000
            plan.layers, plan.gpu_layers, plan.kv_cache_type_k = 33, 20, options.get("kv_cache_type", "f16")
            plan.devices = [DevicePlan(name="CUDA0", layers=20, weights=3_000_000_000, free=4_000_000_000)]
            return msgspec.structs.replace(plan, hint="With num_ctx 2048 it fits the GPU.")

    app = workstation(tmp_path, Planner())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        await pilot.press("down", "o")
        await answer(pilot, app, AskScreen, *"many")
        await until(pilot, lambda: "'many' is no number of tokens and no cache type" in screen_text(app))
        await pilot.press(*["backspace"] * 4, *"32k", "space", *"q8_0", "enter")
        await until(pilot, lambda: "partly on GPU (20/33 layers)" in screen_text(app))
        assert (32768, "q8_0") in asked
        assert "32768 tokens ×2, KV q8_0" in screen_text(app)
        assert "━━━━━━━━── 3.0 GB of 4.0 GB" in screen_text(app)
        await until(pilot, lambda: "context   f16" in screen_text(app))
        assert (131072, "f16") in asked


async def test_bench_and_copy_of_names_take_the_marked_models(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    copied: list[str] = []
    app.copy_to_clipboard = copied.append  # pyright: ignore[reportAttributeAccessIssue]
    async with app.run_test() as pilot:
        await opened(pilot, app)
        await pilot.press("space", "space", "y", "b")
        await until(pilot, lambda: app.pane == "bench")
        assert copied == ["bard:latest\nllama3.1:8b"]


async def test_commands_name_their_models(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        installed = await opened(pilot, app)
        installed.action_details("nomic-embed-text")
        await until(pilot, lambda: "architecture  nomic-bert" in screen_text(app))
        installed.action_copy("bard witty")
        await until(pilot, lambda: "witty:latest" in names(engine))
        await until(pilot, lambda: "witty:latest" in screen_text(app))
        installed.action_delete("witty nobody")
        await until(pilot, lambda: "There is no model nobody here." in notices(app))
        installed.action_delete("witty bard")
        await answer(pilot, app, ConfirmScreen, "y")
        await until(pilot, lambda: len(engine.stored) == 4)
        installed.action_sort_by("size")
        assert rows(app)[0] == "llava"
        installed.action_filter("qwen2")
        await until(pilot, lambda: rows(app) == ["qwen2.5-coder"])
        installed.action_plan("lots")
        await until(pilot, lambda: any("'lots' is no number" in notice for notice in notices(app)))
