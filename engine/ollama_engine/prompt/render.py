"""The way in: a conversation to prompt text through the model's own template, Go or Jinja (spec §8).

The engine selects a template once per loaded model and calls `render` for every chat, `render_generate` for every
`/api/generate`. Both are synchronous and bounded in time; on an event loop, run them in a worker thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from ollama_engine.errors import InvalidRequest, TemplateError
from ollama_engine.gguf.capabilities import template_capabilities as jinja_capabilities
from ollama_engine.prompt import go_data
from ollama_engine.prompt.capabilities import template_capabilities as go_capabilities
from ollama_engine.prompt.collate import collate, image_mark, mark_images
from ollama_engine.prompt.go_template import GoTemplate
from ollama_engine.prompt.jinja import JinjaTemplate, TemplateRefusal
from ollama_engine.types import JSON, Message, Think, ToolCall, ToolCallFunction

_CALLED, _RESULT = "probe_called_5c1e", "probe-result-5c1e"

DEFAULT_TEMPLATE = "{{ .Prompt }}"


class ChatTemplate(Protocol):
    """A model's template. `source` is its text."""

    source: str
    can_insert: bool
    """Whether it has a form for a suffix."""

    def render(
        self, messages: list[Message], *, tools: list[JSON] | None, think: Think, mark: Callable[[int], str] = ...
    ) -> str:
        """The prompt of a conversation, up to where the model's answer begins; raises `TemplateError`.

        `mark` gives the text that stands for image N of the messages (collate.mark_images).
        """
        ...

    def render_insert(self, prompt: str, suffix: str) -> str:
        """The prompt for filling in between `prompt` and `suffix`; raises `InvalidRequest` where it cannot."""
        ...


class JinjaChat:
    """Chat through the GGUF's Jinja template."""

    can_insert = False

    def __init__(self, source: str, bos_token: str = "", eos_token: str = "") -> None:
        self.source = source
        self._template = JinjaTemplate(source, bos_token, eos_token)

    def render(
        self,
        messages: list[Message],
        *,
        tools: list[JSON] | None = None,
        think: Think = None,
        mark: Callable[[int], str] = image_mark,
    ) -> str:
        """As `ChatTemplate.render`; a template that wants roles to alternate gets neighbours merged.

        Where the conversation ends with the assistant's words, the answer goes on from them.
        """
        marked = mark_images(messages, mark)
        begun = ""
        if len(marked) > 1 and marked[-1].role == "assistant" and not marked[-1].tool_calls:
            begun = marked.pop().content
        try:
            return self._template.render(marked, tools=tools, think=think) + begun
        except TemplateRefusal:
            _, merged = collate(marked)
            if len(merged) == len(marked):
                raise
            return self._template.render(merged, tools=tools, think=think) + begun

    def render_insert(self, prompt: str, suffix: str) -> str:
        raise InvalidRequest(
            "the model's template has no form for a suffix",
            hint="Send raw: true with the model's own fill-in-the-middle tokens, or use a model that can insert.",
        )


class GoChat:
    """Chat through a Go template, a TEMPLATE layer or a request's `template`.

    A template that mentions `.Messages` gets the whole conversation at once; an older one, of `.System`, `.Prompt`
    and `.Response`, is replayed turn by turn. One that mentions neither gets `{{ .Response }}` at its end.
    """

    def __init__(self, source: str, *, now: Callable[[], datetime] = datetime.now) -> None:
        self.source = source
        self._template = GoTemplate(source, now=now)
        names = {name.lower() for name in self._template.names()}
        self._takes_messages = "messages" in names
        self.can_insert = "suffix" in names
        if not names & {"messages", "response"}:
            self._template.append_field("Response")

    def render(
        self,
        messages: list[Message],
        *,
        tools: list[JSON] | None = None,
        think: Think = None,
        mark: Callable[[int], str] = image_mark,
    ) -> str:
        system, turns = collate(mark_images(messages, mark))
        if not self._takes_messages:
            return self._replay(turns, think)
        data = {"System": system, "Messages": go_data.messages(turns), "Tools": go_data.tools(tools), "Response": ""}
        return self._template.execute({**data, **go_data.thinking(think)})

    def render_insert(self, prompt: str, suffix: str) -> str:
        if not self.can_insert:
            raise InvalidRequest("the model's template does not mention .Suffix", hint="Use a model that can insert.")
        data = {"Prompt": prompt, "Suffix": suffix, "System": "", "Response": ""}
        return self._template.execute({**data, **go_data.thinking(None)})

    def _replay(self, turns: list[Message], think: Think) -> str:
        """One execution for each completed turn; the last one ends where the model's answer begins."""
        done: list[str] = []
        turn = _Turn()
        for message in turns:
            if (message.role == "system" and (turn.prompt or turn.response)) or (
                message.role == "user" and turn.response
            ):
                done.append(self._template.execute(turn.data(think)))
                turn = _Turn()
            turn.take(message)
        return "".join(done) + self._template.execute_until("Response", turn.data(think))


class _Turn:
    """What an older template sees of one exchange."""

    def __init__(self) -> None:
        self.system = self.prompt = self.response = ""

    def take(self, message: Message) -> None:
        match message.role:
            case "system":
                self.system = message.content
            case "user":
                self.prompt = message.content
            case "assistant":
                self.response = message.content
            case _:
                pass  # such a template has no place for tools

    def data(self, think: Think) -> dict[str, object]:
        turn = {"System": self.system, "Prompt": self.prompt, "Response": self.response}
        return {**turn, **go_data.thinking(think)}


def select_template(
    go_template: str | None,
    jinja: str | None,
    bos_token: str = "",
    eos_token: str = "",
    *,
    prefer_go: bool | None = None,
) -> ChatTemplate:
    """The template that speaks for a model: its TEMPLATE layer or the GGUF's Jinja (spec §8.1), else the bare prompt.

    Args:
        go_template: text of the TEMPLATE layer, if there is one.
        jinja: the GGUF's `tokenizer.chat_template`, if there is one.
        bos_token, eos_token: text of the special tokens, for Jinja.
        prefer_go: which of the two, where there are both; None takes the one that can do more, the Go template where
            that is a tie.

    Raises:
        TemplateError: it does not parse.
    """
    if jinja and (not go_template or prefer_go is False):
        return JinjaChat(jinja, bos_token, eos_token)
    if not go_template or not jinja or prefer_go:
        return GoChat(go_template or DEFAULT_TEMPLATE)
    return _abler(go_template, jinja, bos_token, eos_token)


def _abler(go_template: str, jinja: str, bos_token: str, eos_token: str) -> ChatTemplate:
    """Jinja where it knows strictly more of tools and thinking, or the same tools and only it shows their results."""
    go = GoChat(go_template)
    try:
        other = JinjaChat(jinja, bos_token, eos_token)
    except TemplateError:
        return go  # the TEMPLATE layer is there for just such a case
    can_go = {word for word in go_capabilities(go_template) if word != "insert"}
    can_jinja = set(jinja_capabilities(jinja))
    if can_go < can_jinja:
        return other if not _round_trip(go) or _round_trip(other) else go
    if can_go == can_jinja and "tools" in can_go:
        return other if _round_trip(other) and not _round_trip(go) else go
    return go


def _round_trip(chat: ChatTemplate) -> bool:
    """Whether a call and its result both come through the template."""
    call = ToolCall(ToolCallFunction(_CALLED, {"key": "value"}), id="call_1")
    turns = [
        Message("user", "?"),
        Message("assistant", tool_calls=[call]),
        Message("tool", _RESULT, tool_name=_CALLED, tool_call_id="call_1"),
    ]
    tool = {"type": "function", "function": {"name": _CALLED, "description": "", "parameters": {"type": "object"}}}
    try:
        text = chat.render(turns, tools=[tool], think=None)
    except TemplateError:
        return False
    return text.count(_CALLED) >= 2 and _RESULT in text


def render_generate(
    chat: ChatTemplate,
    prompt: str,
    *,
    system: str = "",
    suffix: str = "",
    template: str = "",
    images: list[str] | None = None,
    history: Sequence[Message] = (),
    think: Think = None,
    mark: Callable[[int], str] = image_mark,
) -> str:
    """The prompt of `/api/generate` when it is not raw (spec §1.3).

    Args:
        chat: the model's template.
        system: the request's system text, else the model's.
        suffix: text after the hole to fill; then only prompt and suffix count.
        template: the request's own Go template, used in place of the model's.
        history: the model's MESSAGE layers (leave out when the request carries a context).

    Raises:
        TemplateError, InvalidRequest: as `ChatTemplate`.
    """
    speaker = GoChat(template) if template else chat
    if suffix:
        return speaker.render_insert(prompt, suffix)
    return speaker.render(
        generate_messages(prompt, system=system, images=images, history=history), tools=None, think=think, mark=mark
    )


def generate_messages(
    prompt: str, *, system: str = "", images: list[str] | None = None, history: Sequence[Message] = ()
) -> list[Message]:
    """`/api/generate`'s prompt as a conversation: system, the model's own messages, the prompt as the user's."""
    first = [Message("system", system)] if system else []
    return [*first, *history, Message("user", prompt, images=images or None)]
