"""How a conversation's answers are made: system prompt, thinking, format, template, tools, and every option.

Each line says what holds now and who says so: the conversation, the model, the settings, or nobody but the engine.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.getters import query_one
from textual.widgets import Input

from ollama_engine.errors import EngineError, InvalidRequest
from ollama_engine.options import Deprecated
from ollama_engine.types import ModelInfo
from ollama_tui import actions, slash
from ollama_tui.chats import ChatSettings
from ollama_tui.panes.chat.settings_in_force import Layers, in_force, in_words, tool_name
from ollama_tui.panes.chat.text_screen import TextScreen
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.dialog import Dialog
from ollama_tui.widgets.row_table import Column, RowTable

_LONG = {
    "system": "The system prompt",
    "format": "The format of answers",
    "template": "The prompt template",
    "tools": "Tools that the model may call",
}
_NOTES = {
    "system": "what the model is told before everything else; empty: its own",
    "format": "json, or a JSON schema that answers keep to; empty: free text",
    "template": "a template of Go's in the place of the model's own; empty: its own",
    "tools": "a JSON list of tools as a request declares them; empty: none",
}
_SAMPLERS = ("num_ctx", "num_predict", "temperature", "top_k", "top_p", "min_p", "seed", "stop", "repeat_penalty")
_NAME, _SOURCE = 19, 12
"""Cells of the columns beside the value."""


class SettingsScreen(Dialog[ChatSettings]):
    """Gives the settings as they are when it is left.

    Args:
        learn: asks what the model is, which says what it has of its own; EngineError.
        engine_options: what the settings say for every model, as far as they are known here.
        template_problem: why a text is no prompt template, in words.
    """

    DEFAULT_CSS = """
    SettingsScreen {
        align: center middle;
        background: $background 60%;
        #chatset-box {
            width: 76; max-width: 100%; height: 100%; max-height: 30;
            border: round $border; padding: 0 1; background: $surface;
        }
        RowTable { height: 1fr; background: $surface; scrollbar-size-vertical: 1; }
        Input { background: $panel; display: none; }
    }
    """
    AUTO_FOCUS = "RowTable"
    groups = ("chat_settings",)
    topic = "Settings"
    table = query_one("#chatset", RowTable)

    def __init__(
        self,
        settings: ChatSettings,
        model: str,
        *,
        learn: Callable[[], Awaitable[ModelInfo]],
        engine_options: Mapping[str, Any],
        template_problem: Callable[[str], str],
    ) -> None:
        super().__init__()
        self._settings = settings
        self._model = model
        self._learn = learn
        self._template_problem = template_problem
        self._layers = Layers(engine_options=engine_options)

    def compose(self) -> ComposeResult:
        with Vertical(id="chatset-box") as box:
            box.border_title = f"Answers of {one_line(self._model) or 'this conversation'}"
            box.border_subtitle = actions.in_force(self).hints(
                ("chat_settings.edit", "changes"),
                ("chat_settings.reset", "resets"),
                ("chat_settings.filter", "filters"),
                ("chat_settings.leave", "done"),
            )
            yield Input(placeholder="filter", compact=True)
            yield RowTable(id="chatset")

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self._draw()
        self.run_worker(self._ask_model, group="learn")

    async def _ask_model(self) -> None:
        try:
            info = await self._learn() if self._model else ModelInfo()
        except EngineError as error:
            self.app.notify(visible(f"{error.message}\n{error.hint}".strip()), severity="error", markup=False)
            return
        self._layers = replace(self._layers, model=info)
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        width = max(14, min(76, self.app.size.width) - 4 - 1 - 3 * 2 - _NAME - _SOURCE)
        columns = (Column("name", "setting", _NAME), Column("value", "value", width), Column("from", "from", _SOURCE))
        self.table.lay_out(columns)
        words = self.query_one(Input).value.lower()
        self.table.show_rows({name: self._row(name) for name in self._names() if words in name})

    def _row(self, name: str) -> dict[str, str | Text]:
        held = in_force(name, self._settings, self._layers)
        style = "bold" if held.source == "conversation" else ""
        return {"name": name, "value": Text(one_line(held.value), style=style), "from": held.source}

    def _names(self) -> list[str]:
        options = [*_SAMPLERS, *(name for name in slash.PARAMETERS if name not in _SAMPLERS)]
        return ["system", "think", "format", "template", "tools", *options]

    # What the user does

    def on_input_changed(self) -> None:
        self._draw()

    def on_input_submitted(self) -> None:
        self.table.focus()

    def on_data_table_row_selected(self) -> None:
        self.action_edit()

    def action_filter(self) -> None:
        box = self.query_one(Input)
        box.display = True
        box.focus()

    def action_leave(self) -> None:
        box = self.query_one(Input)
        if box.display:
            box.value = ""
            box.display = False
            self.table.focus()
        else:
            self.dismiss(self._settings)

    def action_reset(self) -> None:
        name = self.table.selected
        if name is None:
            return
        if name in slash.PARAMETERS:
            options = {key: value for key, value in self._settings.options.items() if key != name}
            self._settings = replace(self._settings, options=options)
        else:
            self._settings = replace(self._settings, **{name: getattr(ChatSettings(), name)})
        self._draw()

    def action_edit(self) -> None:
        name = self.table.selected
        if name is None:
            return

        def take(text: str | None) -> None:
            if text is not None:
                self._settings = changed(self._settings, name, text)
                self._draw()

        check = self._template_problem if name == "template" else _checker(name)
        if name in _LONG:
            self.app.push_screen(TextScreen(_LONG[name], self._text(name), note=_NOTES[name], check=check), take)
        else:
            held = in_force(name, self._settings, self._layers)
            now = f"now {one_line(held.value)} · {held.source}"
            note = "on, off, low, medium, high, max" if name == "think" else now
            self.app.push_screen(AskScreen(name, self._text(name), note=note, check=check), take)

    def _text(self, name: str) -> str:
        """The setting as one writes it."""
        settings = self._settings
        match name:
            case "system" | "template":
                return getattr(settings, name)
            case "think":
                return {None: "", True: "on", False: "off"}.get(settings.think, str(settings.think))
            case "format":
                return "" if settings.format is None else _json(settings.format)
            case "tools":
                return json.dumps(list(settings.tools), indent=2) if settings.tools else ""
            case _:
                return in_words(settings.options.get(name, ""))


def changed(settings: ChatSettings, name: str, text: str) -> ChatSettings:
    """The settings with one of them as it was written; InvalidRequest."""
    match name:
        case "system" | "template":
            return replace(settings, **{name: text if text.strip() else ""})
        case "think":
            return replace(settings, think=slash.think_of({"on": "true", "off": "false"}.get(text, text)))
        case "format":
            return replace(settings, format=slash.format_of(text) if text.strip() else None)
        case "tools":
            return replace(settings, tools=_tools(text) if text.strip() else ())
        case _:
            words = text.split(",") if name == "stop" else [text]
            value = slash.parameter_of(name, [word.strip() for word in words])
            if isinstance(value, Deprecated):
                raise InvalidRequest(value.warning)
            return replace(settings, options={**settings.options, name: value})


def _checker(name: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            changed(ChatSettings(), name, text)
        except InvalidRequest as error:
            return f"{error.message}. {error.hint}" if error.hint else error.message
        return ""

    return check


def _tools(text: str) -> tuple[dict[str, Any], ...]:
    try:
        tools = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"this is no JSON: {error}") from error
    tools = [tools] if isinstance(tools, dict) else tools
    if not isinstance(tools, list) or not all(isinstance(tool, dict) and tool_name(tool) for tool in tools):
        raise InvalidRequest('a tool is written {"type": "function", "function": {"name": …, "parameters": …}}')
    return tuple(tools)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2)
