"""One response in the making: chunks in, events out, and the object that they add up to (spec §2.6).

Better than Ollama: an answer cut short is `incomplete` and says why, and a failure is told as one.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Literal

import msgspec

from ollama_engine.errors import EngineError
from ollama_engine.server.events import EVENTS_TYPE, event
from ollama_engine.server.openai.messages import call_id
from ollama_engine.server.openai.usage import Usage
from ollama_engine.types import JSON, ChatChunk, Logprob, Message, ToolCall

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class ResponseAnswer:
    """Takes the chunks of a chat. As a wire it passes on the events that `take` made of them.

    Args:
        echo: keys of the request that the response repeats.
    """

    content_type = EVENTS_TYPE
    beat = b""

    def __init__(self, echo: JSON) -> None:
        self.id = f"resp_{secrets.token_hex(16)}"
        self._echo = echo
        self._created = int(time.time())
        self._status: Status = "in_progress"
        self._reason = ""
        self._error: JSON | None = None
        self._output: list[JSON] = []
        self._usage = Usage()
        self._number = 0
        self._begun = False
        self._open = ""
        """The type of the last item while it grows: `reasoning`, `message` or nothing."""

    # -- the wire ----------------------------------------------------------------------------------------------

    def piece(self, piece: bytes, /) -> bytes:
        return piece

    def end(self) -> bytes:
        return b""

    def failure(self, error: EngineError) -> bytes:
        """An `error` event, and the response that failed."""
        self._status = "failed"
        self._error = {"code": "server_error", "message": error.message}
        told = self._event("error", code="server_error", message=error.message, param=None)
        return told + self._event("response.failed", response=self.response())

    # -- the answer --------------------------------------------------------------------------------------------

    def take(self, chunk: ChatChunk) -> bytes:
        """The events that `chunk` stands for."""
        self._usage.add(chunk)
        said = chunk.message
        parts = [] if self._begun else [self._begin()]
        if said.thinking:
            parts.append(self._think(said.thinking))
        if said.content or chunk.logprobs:
            parts.append(self._say(said.content, chunk.logprobs or []))
        parts += [self._call(call) for call in said.tool_calls or ()]
        if chunk.done:
            parts.append(self._finish(chunk))
        return b"".join(parts)

    def response(self) -> JSON:
        """The response as it stands."""
        done = self._status in ("completed", "incomplete")
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "completed_at": int(time.time()) if self._status == "completed" else None,
            "status": self._status,
            "error": self._error,
            "incomplete_details": {"reason": self._reason} if self._reason else None,
            **self._echo,
            "output": self._output,
            "service_tier": "default",
            "usage": self._usage.responses() if done else None,
        }

    def said(self) -> Message:
        """The answer as a turn of the conversation."""
        message = Message("assistant")
        calls: list[ToolCall] = []
        for item in self._output:
            match item["type"]:
                case "reasoning":
                    message.thinking += item["encrypted_content"]
                case "message":
                    message.content += item["content"][0]["text"]
                case "function_call":
                    calls.append(
                        msgspec.convert(
                            {
                                "function": {
                                    "name": item["name"],
                                    "arguments": msgspec.json.decode(item["arguments"]),
                                },
                                "id": item["call_id"],
                            },
                            ToolCall,
                        )
                    )
        message.tool_calls = calls or None
        return message

    # -- events ------------------------------------------------------------------------------------------------

    def _event(self, kind: str, **fields: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return event(data, kind)

    def _begin(self) -> bytes:
        self._begun = True
        return b"".join(
            self._event(kind, response=self.response()) for kind in ("response.created", "response.in_progress")
        )

    def _item(self, kind: str, **fields: Any) -> bytes:
        """An event about the last item."""
        return self._event(kind, item_id=self._output[-1]["id"], output_index=len(self._output) - 1, **fields)

    def _add(self, item: JSON) -> bytes:
        closing = self._close()
        self._output.append(item)
        added = {**item, "content": []} if item["type"] == "message" else item
        added = {**item, "summary": []} if item["type"] == "reasoning" else added
        return closing + self._event("response.output_item.added", output_index=len(self._output) - 1, item=added)

    def _done(self, status: str = "completed") -> bytes:
        item = self._output[-1]
        item["status"] = status
        return self._event("response.output_item.done", output_index=len(self._output) - 1, item=item)

    def _think(self, text: str) -> bytes:
        opening = b""
        if self._open != "reasoning":
            part = {"type": "summary_text", "text": ""}
            opening = self._add(
                {
                    "id": f"rs_{secrets.token_hex(12)}",
                    "type": "reasoning",
                    "status": "in_progress",
                    "summary": [part],
                    "encrypted_content": "",
                }
            )
            opening += self._item("response.reasoning_summary_part.added", summary_index=0, part=part)
            self._open = "reasoning"
        item = self._output[-1]
        item["summary"][0]["text"] += text
        item["encrypted_content"] += text
        return opening + self._item("response.reasoning_summary_text.delta", summary_index=0, delta=text)

    def _say(self, text: str, logprobs: list[Logprob]) -> bytes:
        opening = b""
        if self._open != "message":
            part: JSON = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            opening = self._add(
                {
                    "id": f"msg_{secrets.token_hex(12)}",
                    "type": "message",
                    "status": "in_progress",
                    "role": "assistant",
                    "content": [part],
                }
            )
            opening += self._item("response.content_part.added", content_index=0, part=part)
            self._open = "message"
        part = self._output[-1]["content"][0]
        told = [_logprob(entry) for entry in logprobs]
        part["text"] += text
        part["logprobs"] += told
        return opening + self._item("response.output_text.delta", content_index=0, delta=text, logprobs=told)

    def _call(self, call: ToolCall) -> bytes:
        arguments = msgspec.json.encode(call.function.arguments).decode()
        item: JSON = {
            "id": f"fc_{secrets.token_hex(12)}",
            "type": "function_call",
            "status": "in_progress",
            "call_id": call_id(call),
            "name": call.function.name,
            "arguments": "",
        }
        parts = [self._add(item), self._item("response.function_call_arguments.delta", delta=arguments)]
        item["arguments"] = arguments
        parts.append(self._item("response.function_call_arguments.done", name=call.function.name, arguments=arguments))
        parts.append(self._done())
        return b"".join(parts)

    def _close(self, status: str = "completed") -> bytes:
        """End the item that still grows."""
        open_item, self._open = self._open, ""
        if open_item == "reasoning":
            part = self._output[-1]["summary"][0]
            return b"".join(
                (
                    self._item("response.reasoning_summary_text.done", summary_index=0, text=part["text"]),
                    self._item("response.reasoning_summary_part.done", summary_index=0, part=part),
                    self._done(status),
                )
            )
        if open_item == "message":
            part = self._output[-1]["content"][0]
            done = {"text": part["text"], "logprobs": part["logprobs"]}
            return b"".join(
                (
                    self._item("response.output_text.done", content_index=0, **done),
                    self._item("response.content_part.done", content_index=0, part=part),
                    self._done(status),
                )
            )
        return b""

    def _finish(self, chunk: ChatChunk) -> bytes:
        if chunk.done_reason in ("length", "repetition"):
            self._reason = "max_output_tokens"
            closing = self._close("incomplete")
            self._status = "incomplete"
        else:
            closing = self._close()
            self._status = "completed"
        return closing + self._event(f"response.{self._status}", response=self.response())


def _logprob(entry: Logprob) -> JSON:
    top = [{"token": each.token, "logprob": each.logprob, "bytes": each.bytes} for each in entry.top_logprobs or ()]
    return {"token": entry.token, "logprob": entry.logprob, "bytes": entry.bytes, "top_logprobs": top}
