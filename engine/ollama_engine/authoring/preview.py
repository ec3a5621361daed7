"""The prompt of a sample conversation, as a model that is still being written would get it.

A draft's own TEMPLATE, and the template of a GGUF file that FROM names, are rendered here. What speaks for a model in
the store the engine knows best: `render_here` answers None then, and the caller asks it (`Draft.request`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollama_engine.errors import EngineError
from ollama_engine.gguf import model_metadata, read_header
from ollama_engine.modelfile.parser import Command, scan_modelfile
from ollama_engine.modelfile.sources import find_gguf_files
from ollama_engine.modelfile.stored import stored_blob
from ollama_engine.prompt.presets import detect_preset
from ollama_engine.prompt.render import DEFAULT_TEMPLATE, ChatTemplate, GoChat, JinjaChat, select_template
from ollama_engine.types import ChatRequest, Message, ModelInfo

_WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@dataclass(frozen=True)
class Sample:
    """A conversation to look at a template with."""

    title: str
    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] = ()


SAMPLES = (
    Sample("a question", (Message("user", "Why is the sky blue?"),)),
    Sample(
        "a conversation",
        (
            Message("user", "Why is the sky blue?"),
            Message("assistant", "Air scatters blue light more than red."),
            Message("user", "And at sunset?"),
        ),
    ),
    Sample("a question with a tool", (Message("user", "Is it raining in Oslo?"),), (_WEATHER,)),
)


@dataclass(frozen=True)
class Draft:
    """What of a Modelfile makes its prompts. `source` is what the last FROM says; `files` the GGUF files it means."""

    source: str
    files: tuple[Path, ...]
    template: str
    system: str
    messages: tuple[Message, ...]

    def conversation(self, sample: Sample) -> list[Message]:
        system = [Message("system", self.system)] if self.system else []
        return [*system, *self.messages, *sample.messages]

    def request(self, sample: Sample) -> ChatRequest:
        """To ask the engine for the prompt of the model that FROM names, with the draft's words."""
        tools = list(sample.tools) or None
        return ChatRequest(model=self.source, messages=self.conversation(sample), tools=tools, debug_render_only=True)


def read_draft(text: str, base_dir: Path) -> Draft:
    """It looks for the files that FROM names: use a thread."""
    modelfile = scan_modelfile(text).modelfile
    froms = modelfile.all("from")
    files = [path for command in froms for path in _files(command, base_dir)]
    return Draft(
        source=froms[-1].args if froms else "",
        files=tuple(files),
        template=modelfile.last("template"),
        system=modelfile.last("system"),
        messages=tuple(modelfile.messages),
    )


def render_here(draft: Draft, sample: Sample) -> str | None:
    """The prompt where the draft's TEMPLATE or a file of this machine speaks, else None.

    Raises:
        TemplateError, InvalidGGUF and others: it cannot be rendered. Reads a header: use a thread.
    """
    if draft.template:
        return _render(GoChat(draft.template), draft.conversation(sample), sample)
    if draft.files:
        return _render(_of_file(draft.files), draft.conversation(sample), sample)
    return None


def render_shown(draft: Draft, sample: Sample, base: ModelInfo) -> str:
    """The prompt by the template that `show` tells of the model which the draft builds on; TemplateError.

    A Jinja template does not learn the special tokens, which `show` keeps for itself.
    """
    jinja = base.template_engine == "jinja"
    chat = JinjaChat(base.template) if jinja else GoChat(base.template or DEFAULT_TEMPLATE)
    return _render(chat, draft.conversation(sample), sample)


def is_stored(source: str) -> bool:
    """Whether a FROM names a blob of the engine's store."""
    return stored_blob(Command("from", source)) is not None


def _render(chat: ChatTemplate, messages: list[Message], sample: Sample) -> str:
    return chat.render(messages, tools=list(sample.tools) or None, think=None)


def _of_file(paths: Sequence[Path]) -> ChatTemplate:
    headers = [(path, read_header(path)) for path in paths]
    path, header = next(
        ((path, header) for path, header in headers if header.text("general.architecture") not in ("clip", "mmproj")),
        headers[0],
    )
    metadata = model_metadata(header)
    preset = None if metadata.chat_template else detect_preset(header, metadata, path.name)
    return select_template(
        preset.template if preset else None, metadata.chat_template, metadata.bos_token, metadata.eos_token
    )


def _files(command: Command, base_dir: Path) -> list[Path]:
    try:
        return find_gguf_files(command, base_dir)
    except EngineError:
        return []  # a blob of another machine's, or a path that is half written
