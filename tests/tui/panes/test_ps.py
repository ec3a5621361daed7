"""PS: a `top` for models: rows, details, requests and devices, refreshed while it is looked at; everything by key."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from ollama_engine.errors import LoadFailed, NotSupported, RunnerDied
from ollama_engine.types import RequestView, RunningModel
from ollama_tui.app import Workstation
from ollama_tui.panes.ps import keep_screen
from tests.support.demo_engine import DemoEngine, demo_requests, demo_running
from tests.support.workstation import notices, screen_text, until, workstation

SMALL, LARGE = (80, 24), (160, 45)


def line_of(app: Workstation, start: str) -> str:
    """The first line of the screen that begins with `start`, blanks aside."""
    return next(line for line in screen_text(app).splitlines() if line.strip().startswith(start))


async def open_ps(pilot: Pilot[None], words: str) -> None:
    await pilot.press("3")
    await until(pilot, lambda: words in screen_text(pilot.app))  # pyright: ignore[reportArgumentType]


async def test_a_model_in_memory_shows_its_state_speed_memory_and_time_to_unload(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(running=[demo_running(), demo_running("bard:latest", "idle")]))
    async with app.run_test(size=SMALL) as pilot:
        await open_ps(pilot, "busy +1")
        assert line_of(app, "llama3.1:8b").split() == [
            "llama3.1:8b", "busy", "+1", "5:00", "87.4", "28%", "812", "MB", "6.8", "GB",
        ]  # fmt: skip
        assert line_of(app, "bard:latest").split() == [
            "bard:latest", "idle", "4:31", "━━━━━─", "19%", "46", "MB", "–",
        ]  # fmt: skip


async def test_a_wide_terminal_has_all_in_the_row_and_the_selected_model_by_device(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(running=[demo_running("bard:latest", "idle"), demo_running()]))
    async with app.run_test(size=LARGE) as pilot:
        await open_ps(pilot, "4.3 MB")
        row = " ".join(line_of(app, "llama3.1:8b").split())
        assert "busy +1 5:00 87.4" in row
        assert "1204 28% 4/4 8k ×4 812 MB 6.8 GB 4.9 GB 1.1 GB 560 MB" in row
        assert "pid 4242" in screen_text(app)
        assert "4 of 4 slots busy · 1 waiting" in screen_text(app)
        assert "9,210 of 32,768 tokens" in line_of(app, "context")
        assert "weights 4.9 GB  KV 1.1 GB  compute 540 MB  6.8 GB by its driver" in line_of(app, "CUDA0")
        assert "812 MB  resident; 640 MB is its share (PSS)" in line_of(app, "process")
        assert "87.4 tok/s  at most 87.4 lately" in line_of(app, "generates")
        assert "1204 tok/s" in line_of(app, "reads")


async def test_loading_shows_how_far_it_is_and_rows_come_and_go(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running(state="loading")])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=LARGE) as pilot:
        await open_ps(pilot, "loading 40%")
        assert "━" in line_of(app, "loading")
        engine.in_memory = [demo_running("bard:latest", "idle")]
        await pilot.press("r")
        await until(pilot, lambda: "bard:latest" in screen_text(app))
        assert "llama3.1:8b" not in screen_text(app)


async def test_two_runners_of_one_model_notices_and_strange_names_all_have_their_place(tmp_path: Path) -> None:
    other, strange = demo_running(state="idle"), demo_running("evil[b]\x1b[31m:latest", "idle")
    other.pid, strange.pid = 4250, 4251
    other.notices = ["its process has not answered for 3 s"]
    app = workstation(tmp_path, DemoEngine(running=[demo_running(), other, strange]))
    async with app.run_test(size=SMALL) as pilot:
        await open_ps(pilot, "busy +1")
        rows = [line.split() for line in screen_text(app).splitlines() if line.startswith(" llama3.1:8b  ")]
        assert [row[1] for row in rows] == ["busy", "idle"]
        assert "evil[b]␛[31m" in screen_text(app)
        await pilot.press("down")
        await until(pilot, lambda: "! its process has not answered for 3 s" in screen_text(app))


async def test_how_fast_it_was_is_a_line_that_grows(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running()])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=LARGE) as pilot:
        await open_ps(pilot, "87.4")
        engine.in_memory = [demo_running(state="idle")]
        await pilot.press("r")
        await until(pilot, lambda: "█▁" in line_of(app, "generates"))
        assert "0 tok/s  at most 87.4 lately" in line_of(app, "generates")


async def test_devices_are_told_under_the_models(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine())
    async with app.run_test(size=LARGE) as pilot:
        await open_ps(pilot, "A graphics card")
        row = " ".join(line_of(app, "CUDA0").split())
        assert row.startswith("CUDA0 93% █ 9.0 GB of 24 GB 67 °C 281 W")
        assert "12%" in line_of(app, "CPU")
        assert "48 °C" in line_of(app, "CPU")


async def test_ollamas_own_server_has_models_and_nothing_made_up(tmp_path: Path) -> None:
    plain = RunningModel(
        name="llama3.2:3b", model="llama3.2:3b", size=3_400_000_000, digest="", details=demo_running().details,
        expires_at="2026-03-01T12:04:31Z", size_vram=3_400_000_000, context_length=4096,
    )  # fmt: skip
    engine = DemoEngine(running=[plain])
    engine.failures = {verb: NotSupported(f"no {verb}") for verb in ("devices", "requests", "pin")}
    app = workstation(tmp_path, engine)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        await open_ps(pilot, "llama3.2:3b")
        assert line_of(app, "llama3.2:3b").split() == ["llama3.2:3b", "loaded", "4:31", "4k", "3.4", "GB"]
        assert "CUDA0" not in screen_text(app)
        assert notices(app) == []
        await pilot.press("p")
        await until(pilot, lambda: notices(app) == ["no pin"])


async def test_u_unloads_the_selected_model_and_says_so(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running("bard:latest", "idle"), demo_running()])
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await open_ps(pilot, "87.4")
        await pilot.press("u")
        await until(pilot, lambda: notices(app))
        assert [one.name for one in engine.in_memory] == ["bard:latest"]
        assert notices(app)[0].startswith("llama3.1:8b leaves memory")


async def test_p_pins_and_unpins(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running("bard:latest", "idle")])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await open_ps(pilot, "4:31")
        await pilot.press("p")
        await until(pilot, lambda: "pinned" in line_of(app, "bard:latest  "))
        assert engine.in_memory[0].pinned
        await pilot.press("p")
        await until(pilot, lambda: "4:31" in line_of(app, "bard:latest  "))
        assert notices(app) == [
            "bard:latest stays in memory until it is unloaded.",
            "bard:latest may leave memory again.",
        ]


async def test_t_changes_how_long_a_model_stays(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running("bard:latest", "idle")])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await open_ps(pilot, "4:31")
        await pilot.press("t")
        await until(pilot, lambda: "5m0s" in screen_text(app))
        await pilot.press(*"1h30m", "enter")
        await until(pilot, lambda: notices(app))
        assert engine.kept == [("bard:latest", "1h30m")]
        assert notices(app) == ["bard:latest stays for 1h30m after its last request."]


@pytest.mark.parametrize(
    ("typed", "kept"), [("10m", "10m"), ("0", "0"), ("forever", -1), (" Never ", -1), ("-1", -1), ("-1s", "-1s")]
)
def test_what_is_typed_is_a_time_or_for_ever(typed: str, kept: str | int) -> None:
    assert keep_screen.read(typed) == kept


async def test_what_is_no_time_is_said_while_it_is_typed_and_not_taken(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running("bard:latest", "idle")])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_ps(pilot, "4:31")
        await pilot.press("t")
        await until(pilot, lambda: "5m0s" in screen_text(app))
        await pilot.press("1", "0", "enter")
        await until(pilot, lambda: 'missing unit in duration "10"' in screen_text(app))
        await pilot.press("m")
        await until(pilot, lambda: "missing unit" not in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Keep bard:latest for" not in screen_text(app))
        assert engine.kept == []


async def test_a_verb_that_fails_is_said(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running("bard:latest", "idle")])
    engine.failures["load"] = LoadFailed("no room", hint="Unload something.")
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await open_ps(pilot, "4:31")
        await pilot.press("t")
        await until(pilot, lambda: "5m0s" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: notices(app) == ["no room\nUnload something."])


async def test_requests_are_listed_and_x_cancels_the_selected_one(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running()])
    engine.running_requests = demo_requests()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=LARGE, notifications=True) as pilot:
        await open_ps(pilot, "generating")
        assert line_of(app, "generating").split() == [
            "generating", "0:34", "1,402", "43.1", "5,120", "chat", "a1f", "llama3.1:8b", "local",
        ]  # fmt: skip
        assert line_of(app, "waiting 1").split()[-1] == "192.0.2.7"
        await pilot.press("x")  # the models have the focus: nothing is canceled
        await pilot.press("tab", "down", "x")
        await until(pilot, lambda: notices(app) == ["The request is canceled."])
        await until(pilot, lambda: "192.0.2.7" not in screen_text(app))
        assert [request.id for request in engine.running_requests] == ["a1f"]
        await pilot.press("x")
        await until(pilot, lambda: "REQUEST" not in screen_text(app))
        assert app.focused is not None
        assert app.focused.id == "running"


async def test_a_request_that_is_gone_already_is_said(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running()])
    engine.running_requests = demo_requests()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL, notifications=True) as pilot:
        await open_ps(pilot, "generating")
        gone: list[RequestView] = []
        engine.running_requests = gone
        await pilot.press("tab", "x")
        await until(pilot, lambda: notices(app) == ["there is no request 'a1f'"])


async def test_an_error_of_the_engine_is_a_notification_once(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running()])
    engine.failures["running"] = RunnerDied("the runner is gone", hint="Look at the log.")
    app = workstation(tmp_path, engine)
    async with app.run_test(notifications=True) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: notices(app))
        polls = engine.polls
        await pilot.press("r")
        await until(pilot, lambda: engine.polls > polls)
        assert notices(app) == ["the runner is gone\nLook at the log."]
        assert "the runner is gone. Trying again." in screen_text(app)


async def test_nothing_in_memory_says_how_a_model_gets_there(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test() as pilot:
        await open_ps(pilot, "No model is in memory.")


async def test_nobody_looking_means_nobody_asks(tmp_path: Path) -> None:
    engine = DemoEngine()
    app = workstation(tmp_path, engine)
    async with app.run_test() as pilot:
        await pilot.press("3")
        await until(pilot, lambda: engine.polls > 0 and engine.device_polls > 0)
        await pilot.press("5")
        await until(pilot, lambda: app.pane == "bench")
        assert not app.services.residency.wanted
        assert not app.services.monitor.watched


@pytest.mark.parametrize("size", [(20, 5), (300, 90)])
async def test_no_size_is_too_small_or_too_large(tmp_path: Path, size: tuple[int, int]) -> None:
    engine = DemoEngine(running=[demo_running(), demo_running("bard:latest", "idle"), demo_running("x", "loading")])
    engine.running_requests = demo_requests()
    app = workstation(tmp_path, engine)
    async with app.run_test(size=size) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: app.services.monitor.view.value.requests)
        await until(pilot, lambda: "llama3.1:8b" in screen_text(app))


async def test_a_model_is_chosen_from_the_library_and_loaded(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running()])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_ps(pilot, "busy +1")
        await pilot.press("l")
        await until(pilot, lambda: "Load which model?" in screen_text(app))
        assert "nomic-embed-text:latest  274 MB" in screen_text(app)
        offered = [line for line in screen_text(app).splitlines() if "│" in line]
        assert not any("llama3.1:8b" in line for line in offered), "what is in memory is not offered"
        await pilot.press(*"coder", "enter")
        await until(pilot, lambda: "qwen2.5-coder:7b is in memory." in notices(app))
        assert engine.loaded == ["qwen2.5-coder:7b"]
        engine.failures["load"] = LoadFailed("nomic-embed-text needs more", hint="Unload something.")
        await pilot.press("l", *"nomic", "enter")
        await until(pilot, lambda: "nomic-embed-text needs more\nUnload something." in notices(app))


async def test_all_models_are_unloaded_at_once_when_that_is_confirmed(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running(), demo_running("bard:latest", "idle")])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        await open_ps(pilot, "busy +1")
        await pilot.press("U")
        await until(pilot, lambda: "Unload all 2 models?" in screen_text(app))
        await pilot.press("escape")
        assert len(engine.in_memory) == 2
        await pilot.press("U", "y")
        await until(pilot, lambda: "No model is in memory" in screen_text(app))
        assert engine.in_memory == []


async def test_how_often_is_changed_and_holds_at_once(tmp_path: Path) -> None:
    engine = DemoEngine(running=[demo_running()])
    app = workstation(tmp_path, engine)
    async with app.run_test(size=SMALL) as pilot:
        app.services.monitor.refresh_seconds = 3600.0
        await open_ps(pilot, "busy +1")
        await pilot.press("e", "ctrl+u", *"often")
        await until(pilot, lambda: "A time is written as 2s" in screen_text(app))
        polls = engine.polls
        await pilot.press("ctrl+u", *"250ms", "enter")
        await until(pilot, lambda: engine.polls > polls + 2)
        assert app.services.monitor.refresh_seconds == 0.25


async def test_enter_chats_with_the_selected_model(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine(running=[demo_running("bard:latest", "idle")]))
    async with app.run_test(size=SMALL) as pilot:
        await open_ps(pilot, "bard:latest")
        await pilot.press("enter")
        await until(pilot, lambda: app.pane == "chat")
