"""A model's Jinja chat template (GGUF `tokenizer.chat_template`), rendered as Hugging Face's tokenizers render it.

`render.py` calls it. Rendering is synchronous, takes microseconds to milliseconds for real templates, and ends by
itself within `JinjaLimits` for any other; a caller on an event loop runs it in a worker thread.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from functools import cached_property
from typing import Any, NoReturn

from jinja2.exceptions import TemplateSyntaxError, UndefinedError

from ollama_engine.errors import TemplateError
from ollama_engine.prompt.call_ids import short_ids
from ollama_engine.prompt.jinja_budget import JinjaLimits
from ollama_engine.prompt.jinja_sandbox import ChatEnvironment, tojson
from ollama_engine.types import Message, Think

_PROBE = "content-probe-5c1e"
_SOURCE_LIMIT = 1024 * 1024
_HINT = "The template comes from the model file; a TEMPLATE line in a Modelfile replaces it."


class _Refused(Exception):
    """The template itself called `raise_exception`."""


class TemplateRefusal(TemplateError):
    """The template's own `raise_exception`; the message carries the template's words."""


class JinjaTemplate:
    """A compiled chat template.

    Args:
        source: the Jinja text.
        bos_token, eos_token: text of the special tokens, given to the template under these names.
        limits: bounds of each rendering.
        now: the clock behind `strftime_now`.

    Raises:
        TemplateError: the text does not parse; the message names the line.
    """

    def __init__(
        self,
        source: str,
        bos_token: str = "",
        eos_token: str = "",
        *,
        limits: JinjaLimits | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        if len(source) > _SOURCE_LIMIT:
            raise TemplateError(
                f"chat template has {len(source):,} characters; the limit is {_SOURCE_LIMIT:,}", hint=_HINT
            )
        self.source = source
        self._now = now
        self._environment = ChatEnvironment(limits or JinjaLimits())
        self._special = {"bos_token": bos_token, "eos_token": eos_token}
        self._environment.globals |= {"raise_exception": _refuse, "strftime_now": self._strftime}
        try:
            self._template = self._environment.from_string(source)
        except TemplateSyntaxError as error:
            raise TemplateError(f"chat template line {error.lineno}: {error.message}", hint=_HINT) from error
        except RecursionError as error:
            raise TemplateError("chat template is nested too deeply", hint=_HINT) from error
        except Exception as error:  # whatever a stranger's text does to the compiler is its fault
            raise TemplateError(f"chat template does not compile: {_said(error)}", hint=_HINT) from error

    def render(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        think: Think = None,
        **extra: Any,
    ) -> str:
        """The prompt text of a conversation.

        A template that refuses system messages gets them once more merged into the first user message; one that
        cannot join tool arguments as an object gets them as JSON text; one that refuses the ids of tool calls gets them
        in nine letters and digits; content is given as text or as text parts,
        whichever the template reads, and as null beside calls where they do not show otherwise. `think` becomes
        `enable_thinking` and `thinking`, a level also `reasoning_effort`; `extra` names win over all.

        Raises:
            TemplateRefusal: the template itself refuses, in its own words.
            TemplateError: it fails, or does not end within its limits; names the line.
        """
        variables = {
            **self._special,
            "documents": None,
            "datetime": self._now().strftime("%b %d %Y %H:%M:%S"),
            "add_generation_prompt": add_generation_prompt,
            **_thinking(think),
            **extra,
        }
        turns = [as_template_message(message) for message in messages]
        turns = [_in_form(turn, parts=self._wants_parts) for turn in turns]
        if any(_is_bare_call(turn) for turn in turns) and self._wants_null_beside_calls:
            turns = [{**turn, "content": None} if _is_bare_call(turn) else turn for turn in turns]
        return self._first_that_renders(turns, [dict(tool) for tool in tools or ()], variables)

    def _first_that_renders(
        self, turns: list[dict[str, Any]], tools: list[dict[str, Any]], variables: dict[str, Any]
    ) -> str:
        first: TemplateError | None = None
        for candidate, more in _candidates(turns, tools):
            try:
                return self._run(deepcopy({**more, **variables, "messages": candidate}))
            except TemplateError as error:
                first = first or error
                if not isinstance(error.__cause__, (_Refused, TypeError, UndefinedError)):
                    break
        assert first is not None  # _candidates always gives the messages as they are
        raise first

    @cached_property
    def _wants_null_beside_calls(self) -> bool:
        """Whether calls show only where the turn's content is null, as in DeepSeek R1's templates: beside an empty
        text they would be lost."""
        shown: list[bool] = []
        for content in ("", None):
            call = {"id": "abcdefghi", "type": "function", "function": {"name": _PROBE, "arguments": {}}}
            turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": content, "tool_calls": [call]}]
            try:
                text = self._first_that_renders(turns, [], {**self._special, "add_generation_prompt": False})
            except TemplateError:
                text = ""  # the real render says why
            shown.append(_PROBE in text)
        return shown == [False, True]

    @cached_property
    def _wants_parts(self) -> bool:
        """Whether the template reads content parts only: a plain string does not come through, a text part does."""
        shown: list[bool] = []
        for content in (_PROBE, [{"type": "text", "text": _PROBE}]):
            try:
                turn = {"role": "user", "content": content}
                text = self._run({**self._special, "tools": None, "messages": [turn], "add_generation_prompt": True})
            except TemplateError:
                text = ""  # a template that cannot take this form does not show it; the real render says why
            shown.append(_PROBE in text)
        return shown == [False, True]

    def _run(self, variables: dict[str, Any]) -> str:
        budget = self._environment.begin()
        pieces: list[str] = []
        size = 0
        try:
            for piece in self._template.generate(**variables):
                size += len(piece)
                budget.output(size)
                pieces.append(piece)
        except Exception as error:  # noqa: BLE001  # templates are programs of strangers: any exception may come out
            self._fail(error)
        return "".join(pieces)

    def _fail(self, error: Exception) -> NoReturn:
        line = _line(error)
        if isinstance(error, TemplateError):
            raise error
        if isinstance(error, _Refused):
            raise TemplateRefusal(f"the model's chat template refuses: {error}", hint=_HINT) from error
        if isinstance(error, RecursionError):
            raise TemplateError(f"chat template{line}: it calls itself too deeply", hint=_HINT) from error
        raise TemplateError(f"chat template{line}: {_said(error)}", hint=_HINT) from error

    def _strftime(self, pattern: str) -> str:
        if len(pattern) > 1000 or any(len(run) > 2 for run in _digit_runs(pattern)):
            raise TemplateError("chat template stopped: strftime_now with a pattern out of all reason")
        return self._now().strftime(pattern)


def as_template_message(message: Message | Mapping[str, Any]) -> dict[str, Any]:
    """A message under the names that chat templates read (Hugging Face's, which are OpenAI's).

    Reasoning is given both as `reasoning_content` and `thinking`; tool arguments as an object. Mappings pass as they
    are, so content parts (`[{"type": "text", ...}, {"type": "image"}]`) reach the template.
    """
    if not isinstance(message, Message):
        return dict(message)
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        turn |= {"reasoning_content": message.thinking, "thinking": message.thinking}
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_name:
        turn |= {"name": message.tool_name, "tool_name": message.tool_name}
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def merge_system(turns: list[dict[str, Any]], *, into_user: bool) -> list[dict[str, Any]]:
    """All system messages as one: in front, or as the beginning of the first user message."""
    texts = [text_of(turn.get("content")) for turn in turns if turn.get("role") == "system"]
    rest = [turn for turn in turns if turn.get("role") != "system"]
    system = "\n\n".join(text for text in texts if text)
    if not into_user:
        return [{"role": "system", "content": system}, *rest]
    for index, turn in enumerate(rest):
        if turn.get("role") == "user":
            content = turn.get("content")
            if isinstance(content, list):
                joined: Any = [{"type": "text", "text": system}, *content]
            else:
                joined = "\n\n".join(text for text in (system, content) if text)
            return [*rest[:index], {**turn, "content": joined}, *rest[index + 1 :]]
    return [{"role": "user", "content": system}, *rest]


def text_of(content: Any) -> str:
    """The text of a message's content, of its text parts where it has parts."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def _candidates(
    turns: list[dict[str, Any]], tools: list[dict[str, Any]]
) -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Messages and tool variables as they are, then in the forms that templates with less to offer can take."""
    forms = [turns]
    if any(turn.get("role") == "system" for turn in turns):
        forms += [merge_system(turns, into_user=False), merge_system(turns, into_user=True)]
    if any(turn.get("tool_calls") for turn in turns):
        forms += [[_text_arguments(turn) for turn in form] for form in forms]
    if any(turn.get("tool_calls") or turn.get("role") == "tool" for turn in turns):
        forms += [short_ids(form) for form in forms]
    forms = [form for index, form in enumerate(forms) if form not in forms[:index]]
    usual: dict[str, Any] = {"tools": tools or None}
    # Templates of the first tool-calling models loop over tools unasked, or know them under an older name.
    older: dict[str, Any] = {"tools": tools, "functions": tojson(tools, indent=4)}
    return [(form, usual) for form in forms] + [(form, older) for form in forms]


def _in_form(turn: dict[str, Any], *, parts: bool) -> dict[str, Any]:
    """Content as the template reads it: text for most, text parts where it reads nothing else."""
    content = turn.get("content")
    if parts and isinstance(content, str):
        return {**turn, "content": [{"type": "text", "text": content}]}
    if not parts and isinstance(content, list) and all(_is_text(part) for part in content):
        return {**turn, "content": text_of(content)}
    return turn


def _is_bare_call(turn: dict[str, Any]) -> bool:
    return bool(turn.get("tool_calls")) and not turn.get("content")


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text"


def _text_arguments(turn: dict[str, Any]) -> dict[str, Any]:
    calls = turn.get("tool_calls")
    if not calls:
        return turn
    return {**turn, "tool_calls": [_text_call(call) for call in calls]}


def _text_call(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    if not isinstance(function, dict) or isinstance(function.get("arguments"), str):
        return call
    return {**call, "function": {**function, "arguments": tojson(function.get("arguments"))}}


def _thinking(think: Think) -> dict[str, Any]:
    if think is None:
        return {}
    if isinstance(think, str):
        return {"enable_thinking": True, "thinking": True, "reasoning_effort": think}
    return {"enable_thinking": think, "thinking": think}


def _refuse(message: Any) -> NoReturn:
    raise _Refused(str(message))


def _digit_runs(text: str) -> list[str]:
    return "".join(char if char.isdigit() else " " for char in text).split()


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _line(error: Exception) -> str:
    """` line N` of the template where the error arose, or nothing where it cannot be known."""
    numbers = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename in ("<template>", "<unknown>")
    ]
    return f" line {numbers[-1]}" if numbers else ""
