"""The settings of a conversation: what holds is shown, and whether the conversation, the model or nobody says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.errors import ModelNotFound
from ollama_engine.types import ModelInfo
from ollama_tui.chats import ChatSettings
from ollama_tui.panes.chat.settings_in_force import Held, Layers, in_force, model_options
from ollama_tui.panes.chat.settings_screen import SettingsScreen
from ollama_tui.panes.chat.text_screen import TextScreen
from tests.support.demo_engine import DemoEngine
from tests.support.workstation import notices, screen_text, until, workstation

MODEL = ModelInfo(
    parameters='repeat_penalty 1.1\nstop "<|a|>"\nstop "say \\"b\\""\nkv_cache_type "q8_0"\nof_a_newer_program 3',
    system="Thou art a poet.",
    capabilities=["completion", "thinking"],
)


@pytest.mark.parametrize(
    ("name", "options", "held"),
    [
        ("repeat_penalty", {}, Held("1.1", "model")),
        ("repeat_penalty", {"repeat_penalty": 1.3}, Held("1.3", "conversation")),
        ("stop", {}, Held('<|a|>, say "b"', "model")),
        ("cache_type_k", {}, Held("q8_0", "model")),
        ("cache_type_k", {"kv_cache_type": "f16"}, Held("f16", "conversation")),
        ("num_thread", {}, Held("3", "settings")),
        ("num_thread", {"num_thread": 5}, Held("5", "conversation")),
        ("temperature", {}, Held("0.8", "default")),
        ("num_ctx", {}, Held("automatic", "default")),
        ("use_mmap", {"use_mmap": False}, Held("false", "conversation")),
    ],
)
def test_an_option_is_the_conversations_else_the_models_else_the_settings(
    name: str, options: Mapping[str, Any], held: Held
) -> None:
    layers = Layers(engine_options={"num_thread": 3, "repeat_penalty": 2.0}, model=MODEL)
    assert in_force(name, ChatSettings(options=dict(options)), layers) == held


def test_what_a_model_says_is_not_guessed() -> None:
    assert in_force("top_k", ChatSettings(), Layers()) == Held("…", "")
    assert in_force("top_k", ChatSettings(options={"top_k": 3}), Layers()) == Held("3", "conversation")
    assert in_force("system", ChatSettings(), Layers()) == Held("…", "")


def test_texts_and_thinking_have_their_source_as_well() -> None:
    layers = Layers(model=MODEL)
    assert in_force("system", ChatSettings(), layers) == Held("Thou art a poet.", "model")
    assert in_force("system", ChatSettings(system="Sing."), layers) == Held("Sing.", "conversation")
    assert in_force("think", ChatSettings(), layers) == Held("as the model does", "model")
    assert in_force("think", ChatSettings(), Layers(model=ModelInfo())) == Held("this model does not think", "model")
    assert in_force("think", ChatSettings(think=False), layers) == Held("off", "conversation")


def test_stop_strings_of_a_model_are_read_as_they_are() -> None:
    assert model_options(MODEL)["stop"] == ["<|a|>", 'say "b"']
    assert "of_a_newer_program" not in model_options(MODEL)


class Penal(DemoEngine):
    """Its models have a PARAMETER of their own."""

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        info = await super().show(name)
        info.parameters = "repeat_penalty                 1.1"
        return info


def line(text: str, name: str) -> str:
    return " ".join(
        next(line for line in text.splitlines() if f" {name} " in line).split("│")[1].rstrip("▁▂▃▄▅▆▇█ ").split()
    )


async def test_the_screen_shows_what_holds_and_from_where(tmp_path: Path) -> None:
    app = workstation(tmp_path, Penal())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: app.services.chats.shown.value.view.value.model)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "repeat_penalty" in screen_text(app) and "model" in screen_text(app))
        await until(pilot, lambda: line(screen_text(app), "repeat_penalty") == "repeat_penalty 1.1 model")
        assert line(screen_text(app), "top_k") == "top_k 40 default"
        await pilot.press("slash", *"repeat_pen", "enter", "enter")
        await until(pilot, lambda: "now 1.1 · model" in screen_text(app))
        await pilot.press(*"1.4", "enter")
        await until(pilot, lambda: line(screen_text(app), "repeat_penalty") == "repeat_penalty 1.4 conversation")
        await pilot.press("x")
        await until(pilot, lambda: line(screen_text(app), "repeat_penalty") == "repeat_penalty 1.1 model")


async def test_a_model_that_cannot_be_asked_is_told_and_the_rest_can_be_set(tmp_path: Path) -> None:
    engine = DemoEngine()
    engine.failures["show"] = ModelNotFound("llama3.1:8b")
    app = workstation(tmp_path, engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: app.services.chats.shown.value.view.value.model)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and notices(app))
        assert "llama3.1:8b" in notices(app)[0]
        await pilot.press("slash", *"op_k", "enter", "enter")
        await until(pilot, lambda: app.screen.query("#ask-input"))
        await pilot.press("7", "enter")
        await until(pilot, lambda: line(screen_text(app), "top_k") == "top_k 7 conversation")


async def test_a_template_with_a_fault_is_refused_with_its_place(tmp_path: Path) -> None:
    app = workstation(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: app.services.chats.shown.value.view.value.model)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        await pilot.press("slash", *"templat", "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, TextScreen))
        await pilot.press(*"{{ if .Prompt }}", "ctrl+s")
        await until(pilot, lambda: "template line 1, column 17: unexpected EOF" in " ".join(screen_text(app).split()))
        await pilot.press(*"yes{{ end }}", "ctrl+s")
        await until(
            pilot, lambda: line(screen_text(app), "template") == "template {{ if .Prompt }}yes{{ end }} conversation"
        )
