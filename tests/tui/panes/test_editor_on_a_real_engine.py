"""From a Modelfile in the editor to an answer in Chat: a real engine and a real runner."""

from __future__ import annotations

from pathlib import Path

from textual.events import Paste

from ollama_engine.types import ChatRequest, Message
from ollama_tui.panes.library.editor import ModelfileEditor
from tests.support.gguf_models import many_scripts_model, selector
from tests.support.workstation import real_workstation, screen_text, until

LAST_IS_SYSTEM = (
    "{% for m in messages if m.role != 'system' %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}"
)
"""A prompt ends with what the system message says, so that it decides what a scripted model answers."""


async def test_a_model_made_in_the_editor_is_told_its_system_prompt(tmp_path: Path) -> None:
    scripts = [[b"I was ", b"told nothing."], [b"I was told ", b"of Venice."]]
    gguf = many_scripts_model(tmp_path / "scripts.gguf", scripts, template=LAST_IS_SYSTEM)
    system = f"Speak of Venice.{selector(1)}"
    app = real_workstation(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.services.library.view.value.known)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, ModelfileEditor))
        await pilot.press("f7")
        app.post_message(Paste(f"FROM {gguf}\nSYSTEM {system}\nPARAMETER num_ctx 256"))
        await until(pilot, lambda: "no faults" in screen_text(app) and "Speak of Venice." in screen_text(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.screen.query("#ask-input"))
        await pilot.press(*"doge", "enter")
        await until(pilot, lambda: any(one.name == "doge:latest" for one in app.services.library.view.value.models))
        await until(pilot, lambda: not isinstance(app.screen, ModelfileEditor) and "doge" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.pane == "chat" and app.services.chats.shown.value.view.value.model)
        await pilot.press(*"Hail", "enter")
        await until(pilot, lambda: "I was told of Venice." in screen_text(app), 20)
        view = app.services.chats.shown.value.view.value
        assert view.model == "doge:latest"
        engine = await app.services.link.engine()
        request = ChatRequest("doge", [Message("user", "Hail")], debug_render_only=True)
        rendered = [chunk.debug_info async for chunk in engine.chat(request)]
        assert [one.rendered_template for one in rendered if one] == [f"user: Hail\n{system}"]
    await app.services.aclose()
