"""Renders a template with sentinel texts and cuts out what it writes for the assistant; `markers.py` reads that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ollama_engine.errors import EngineError
from ollama_engine.prompt.render import ChatTemplate
from ollama_engine.types import JSON, Message, Think, ToolCall, ToolCallFunction

ASK, AGAIN = "ask7q1probe", "again7q2probe"
CONTENT, REASON, RESULT = "content7q3probe", "reason7q4probe", "result7q5probe"
NAMES = ("alpha7q6probe", "beta7q7probe")
TEXT_KEY, TEXT, NUMBER_KEY, NUMBER = "akey7q8probe", "text7q9probe", "bkey7q0probe", 7319
ARGUMENTS: JSON = {TEXT_KEY: TEXT, NUMBER_KEY: NUMBER}

_USER, _AGAIN = Message("user", ASK), Message("user", AGAIN)


def _tool(name: str) -> JSON:
    properties = {
        key: {"type": kind, "description": "d"} for key, kind in ((TEXT_KEY, "string"), (NUMBER_KEY, "integer"))
    }
    parameters = {"type": "object", "properties": properties, "required": [TEXT_KEY, NUMBER_KEY]}
    return {"type": "function", "function": {"name": name, "description": "d", "parameters": parameters}}


TOOLS = [_tool(name) for name in NAMES]


def _calls(count: int) -> list[ToolCall]:
    # Nine letters and digits: the one form of an id that every template takes.
    names = NAMES[:count]
    return [
        ToolCall(ToolCallFunction(name, dict(ARGUMENTS), index), id=f"probe000{index}")
        for index, name in enumerate(names)
    ]


@dataclass(frozen=True)
class Probe:
    """What a template writes after the user's question, in the cases that tell about its markers.

    A text is None where the template refuses the conversation or leaves the sentinel out.
    """

    template: ChatTemplate

    def prompt(self, think: Think) -> str | None:
        """From the question to where the answer begins."""
        return self._after_question([], think=think, tools=False)

    @cached_property
    def content(self) -> str | None:
        """From the question to the next one, with plain content answered in between."""
        text = self._after_question([Message("assistant", CONTENT), _AGAIN], think=None, tools=False)
        return text.partition(AGAIN)[0] if text and CONTENT in text else None

    def calls(self, count: int) -> str | None:
        """From the question on, with `count` tool calls answered."""
        call = Message("assistant", tool_calls=_calls(count))
        results = [
            Message("tool", RESULT, tool_name=each.function.name, tool_call_id=each.id) for each in _calls(count)
        ]
        for turns in ([call], [call, *results], [call, *results, _AGAIN]):
            for think in (None, True):
                text = self._after_question(turns, think=think, tools=True)
                if text and all(name in text.partition(RESULT)[0] for name in NAMES[:count]):
                    return text.partition(RESULT)[0]
        return None

    @cached_property
    def reason_then_call(self) -> str | None:
        """From the question on, with reasoning and a tool call answered."""
        call = Message("assistant", thinking=REASON, tool_calls=_calls(1))
        result = Message("tool", RESULT, tool_name=NAMES[0], tool_call_id="probe0000")
        return self._with_reason([[call], [call, result]], NAMES[0])

    @cached_property
    def reason_then_content(self) -> str | None:
        """From the question on, with reasoning and content answered."""
        said = Message("assistant", CONTENT, thinking=REASON)
        return self._with_reason([[said], [said, Message("tool", RESULT)], [said, _AGAIN]], CONTENT)

    def _with_reason(self, conversations: list[list[Message]], then: str) -> str | None:
        for turns in conversations:
            for tools in (True, False):
                text = self._after_question(turns, think=True, tools=tools)
                if text and REASON in text and then in text.partition(REASON)[2]:
                    return text
        return None

    def _after_question(self, turns: list[Message], *, think: Think, tools: bool) -> str | None:
        try:
            text = self.template.render([_USER, *turns], tools=TOOLS if tools else None, think=think)
        except EngineError:
            return None  # the template does not take such a conversation, which says that it has no such marker
        _, found, after = text.rpartition(ASK)
        return after if found else None
