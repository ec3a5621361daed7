"""A model calls a tool, the user says what it gave, the model goes on: by keyboard, on a real engine and a runner."""

from __future__ import annotations

import json
from pathlib import Path

from textual.events import Paste
from textual.widgets import TextArea

from ollama_tui.panes.chat.settings_screen import SettingsScreen
from ollama_tui.panes.chat.text_screen import TextScreen
from tests.support.gguf_models import many_scripts_model, selector
from tests.support.workstation import add_model, real_workstation, screen_text, until

TEMPLATE = (
    "{% if tools %}<|im_start|>system\n<tools>\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}</tools>\n"
    '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n{% endif %}'
    "{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n"
    "</tool_response><|im_end|>\n{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}\n<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    f"{{% if messages[-1].role == 'tool' %}}{selector(1)}{{% endif %}}"
)
"""As Qwen's; behind the result of a tool it ends with what makes a model of two scripts say the second."""
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How the weather is",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


async def test_a_call_is_shown_its_result_typed_and_the_model_goes_on(tmp_path: Path) -> None:
    call = [b'<tool_call>\n{"name": "weather", ', b'"arguments": {"city": "Paris"}}\n', b"</tool_call>"]
    gguf = many_scripts_model(tmp_path / "caller.gguf", [call, [b"It is warm", b" in Paris."]], template=TEMPLATE)
    app = real_workstation(tmp_path)
    await add_model(app, "caller", gguf, num_ctx=512)
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("4")
        await until(pilot, lambda: app.services.chats.shown.value.view.value.model)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        await pilot.press("down", "down", "down", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, TextScreen))
        app.post_message(Paste(json.dumps(TOOL)))
        await until(pilot, lambda: app.screen.query_one(TextArea).text)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and "weather" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, SettingsScreen))

        await pilot.press(*"How warm is it?", "enter")
        await until(pilot, lambda: '⚒ weather city="Paris"' in screen_text(app), 20)
        await until(pilot, lambda: "weather waits for its result" in screen_text(app))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(app.screen, TextScreen) and "Result of weather" in screen_text(app))
        assert '{"city":"Paris"}' in screen_text(app)
        await pilot.press(*"21 degrees", "ctrl+s")
        await until(pilot, lambda: "It is warm in Paris." in screen_text(app), 20)
        assert "↳ weather" in screen_text(app)
        assert "│ 21 degrees" in screen_text(app)
        view = app.services.chats.shown.value.view.value
        assert [one.role for one in view.messages] == ["user", "assistant", "tool", "assistant"]
        assert (view.messages[2].content, view.messages[2].tool_name) == ("21 degrees", "weather")
        assert view.pending_calls == ()
    await app.services.aclose()
