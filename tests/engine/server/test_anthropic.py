"""`/v1/messages` against a scripted engine: what reaches the engine, and what its chunks become."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx
import pytest

from ollama_engine.errors import Busy, EngineError, RunnerDied
from ollama_engine.server import streaming
from ollama_engine.server.anthropic.errors import anthropic_error
from ollama_engine.types import ChatRequest, Message, ModelInfo, ToolCall, ToolCallFunction
from tests.engine.server.sse import events
from tests.support.live_server import live_server
from tests.support.scripted_engine import ScriptedEngine, said

PIXEL = "iVBORw0KGgo="
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
NATIVE_TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": TOOL["input_schema"]},
}
CALL = ToolCall(ToolCallFunction("look", {"at": "café"}), id="call_abc")
CACHED = {"prompt_eval_count": 10, "cached_tokens": 7, "eval_count": 4}
USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 7, "output_tokens": 4}


async def ask(http: httpx.AsyncClient, path: str = "", **fields: Any) -> httpx.Response:
    body = {"model": "bard", "max_tokens": 9, "messages": [{"role": "user", "content": "xyz"}], **fields}
    return await http.post(f"/v1/messages{path}", json=body)


def asked(engine: ScriptedEngine) -> ChatRequest:
    request = engine.asked[-1]
    assert isinstance(request, ChatRequest)
    return request


def can_think(engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def show(name: str, *, verbose: bool = False) -> ModelInfo:
        return ModelInfo(capabilities=["completion", "thinking"])

    monkeypatch.setattr(engine, "show", show)


async def test_a_whole_answer(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [said(thinking="I look."), "Hello", said(tool_calls=[CALL])]
    engine.last = CACHED
    answer = await ask(http, tools=[TOOL])
    assert answer.status_code == 200
    whole = answer.json()
    assert re.fullmatch("msg_[0-9a-f]{24}", whole.pop("id"))
    assert whole == {
        "type": "message",
        "role": "assistant",
        "model": "bard",
        "content": [
            {"type": "thinking", "thinking": "I look.", "signature": ""},
            {"type": "text", "text": "Hello"},
            {"type": "tool_use", "id": "call_abc", "name": "look", "input": {"at": "café"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": USAGE,
    }


async def test_a_streamed_answer(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [said(thinking="I "), said(thinking="look."), said("He"), said("llo", tool_calls=[CALL, CALL])]
    engine.last = CACHED
    answer = await ask(http, tools=[TOOL], stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    told = events(answer.text)
    assert all(name == data["type"] for name, data in told)
    start = told[0][1]["message"]
    assert (start["content"], start["stop_reason"], start["usage"]["input_tokens"]) == ([], None, 3)
    assert [name for name, _ in told] == [
        *("message_start", "ping"),
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop") * 2,
        *("message_delta", "message_stop"),
    ]
    opened = [data for name, data in told if name == "content_block_start"]
    assert [data["index"] for data in opened] == [0, 1, 2, 3]
    assert [data["content_block"]["type"] for data in opened] == ["thinking", "text", "tool_use", "tool_use"]
    assert opened[2]["content_block"]["input"] == {}
    deltas = [data["delta"] for name, data in told if name == "content_block_delta"]
    assert [delta["type"] for delta in deltas] == ["thinking_delta"] * 2 + ["text_delta"] * 2 + ["input_json_delta"] * 2
    assert json.loads(deltas[-1]["partial_json"]) == {"at": "café"}
    assert told[-2][1]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert told[-2][1]["usage"] == USAGE


@pytest.mark.parametrize(
    ("last", "reason", "stop"),
    [
        ({}, "end_turn", None),
        ({"done_reason": "length"}, "max_tokens", None),
        ({"done_reason": "repetition"}, "max_tokens", None),
        ({"stop_sequence": "END"}, "stop_sequence", "END"),
        ({"stop_sequence": "<|im_end|>"}, "end_turn", None),
    ],
)
async def test_why_it_stopped(
    http: httpx.AsyncClient, engine: ScriptedEngine, last: dict[str, Any], reason: str, stop: str | None
) -> None:
    engine.last = last
    whole = (await ask(http, stop_sequences=["END"])).json()
    assert (whole["stop_reason"], whole["stop_sequence"]) == (reason, stop)
    told = dict(events((await ask(http, stop_sequences=["END"], stream=True)).text))
    assert told["message_delta"]["delta"] == {"stop_reason": reason, "stop_sequence": stop}


async def test_a_document_of_plain_text_is_text(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "A café."}
    question = {"type": "text", "text": "What is it?"}
    document = {"type": "document", "source": source}
    assert (await ask(http, messages=[{"role": "user", "content": [document, question]}])).status_code == 200
    assert asked(engine).messages[-1].content == "A café.\n\nWhat is it?"
    source["type"] = "url"
    assert (await ask(http, messages=[{"role": "user", "content": [document, question]}])).status_code == 400


async def test_keys_reach_the_engine(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    await ask(
        http,
        system=[{"type": "text", "text": "Be"}, {"type": "text", "text": "brief.", "cache_control": {}}],
        temperature=0.2,
        top_p=0.5,
        top_k=3,
        stop_sequences=["END"],
        options={"num_ctx": 64, "top_k": 9},
        keep_alive=5,
        tools=[TOOL],
        metadata={"user_id": "x"},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
    )
    request = asked(engine)
    assert request.messages == [Message("system", "Be\n\nbrief."), Message("user", "xyz")]
    assert request.options == {
        "num_ctx": 64,
        "top_k": 3,
        "temperature": 0.2,
        "top_p": 0.5,
        "num_predict": 9,
        "stop": ["END"],
    }
    assert (request.keep_alive, request.tools, request.format) == (5, [NATIVE_TOOL], {"type": "object"})


@pytest.mark.parametrize(
    ("choice", "native", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto", False),
        ({"type": "any"}, "required", None),
        ({"type": "none"}, "none", None),
        ({"type": "tool", "name": "look"}, {"type": "function", "function": {"name": "look"}}, None),
    ],
)
async def test_tool_choice(
    http: httpx.AsyncClient, engine: ScriptedEngine, choice: object, native: object, parallel: bool | None
) -> None:
    assert (await ask(http, tools=[TOOL], tool_choice=choice)).status_code == 200
    assert (asked(engine).tool_choice, asked(engine).parallel_tool_calls) == (native, parallel)


@pytest.mark.parametrize(
    ("fields", "think"),
    [
        ({}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, "high"),
        ({"output_config": {"effort": "max"}}, "max"),
    ],
)
async def test_thinking(
    http: httpx.AsyncClient,
    engine: ScriptedEngine,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    think: object,
) -> None:
    assert (await ask(http, **fields)).status_code == 200
    assert asked(engine).think in (None, False)  # this model cannot, and is not asked to
    can_think(engine, monkeypatch)
    await ask(http, **fields)
    assert asked(engine).think == think


async def test_blocks(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    answer = await ask(
        http,
        system="Be brief.",
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "What"}, image, {"type": "text", "text": "is it?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "it"}},
                    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Well?"},
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a cat"}, image]},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "gone"}]},
        ],
    )
    assert answer.status_code == 200
    call = ToolCall(ToolCallFunction("look", {"at": "it"}), id="t1")
    assert asked(engine).messages == [
        Message("system", "Be brief."),
        Message("user", "What\n\nis it?", images=[PIXEL]),
        Message("assistant", "I look.", thinking="hm", tool_calls=[call]),
        Message("tool", "a cat", images=[PIXEL], tool_name="look", tool_call_id="t1"),
        Message("user", "Well?"),
        Message("tool", "gone", tool_name="look", tool_call_id="t1"),
    ]


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"model": ""}, 400, "model is required"),
        ({"max_tokens": None}, 400, "max_tokens is required and must be positive"),
        ({"max_tokens": -1}, 400, "max_tokens is required and must be positive"),
        ({"messages": []}, 400, "messages is required"),
        ({"messages": "x"}, 400, "json: cannot unmarshal"),
        ({"messages": [{"content": "x"}]}, 400, "a message has no role"),
        ({"messages": [{"role": "user"}]}, 400, "the content of a message is neither"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, 400, "a content block has no type"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_use", "name": "f"}]}]}, 400, "a tool_use block"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, 400, "a tool_result block"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]},
            400,
            "invalid image source",
        ),
        ({"system": 3}, 400, "system is neither text"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, 403, "ollama cloud is disabled"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, 400, "tools of type 'bash_20250124'"),
        ({"tool_choice": {"type": "tool", "name": "smell"}}, 400, "tool_choice names 'smell'"),
        ({"tool_choice": {"type": "some"}}, 400, "invalid tool_choice"),
        ({"thinking": {"type": "deep"}}, 400, "invalid thinking"),
        ({"model": "nope"}, 404, "model 'nope' not found"),
    ],
)
async def test_what_is_wrong(http: httpx.AsyncClient, fields: dict[str, Any], status: int, message: str) -> None:
    answer = await ask(http, **fields)
    assert answer.status_code == status
    body = answer.json()
    kind = {400: "invalid_request_error", 403: "permission_error", 404: "not_found_error"}[status]
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["error"]["message"].startswith(message)
    assert re.fullmatch("req_[0-9a-f]{24}", body["request_id"])


async def test_a_busy_server_is_overloaded(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [Busy("server busy", retry_after=2)]
    answer = await ask(http, stream=True)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["error"] == {"type": "overloaded_error", "message": "server busy"}


async def test_an_error_in_a_stream_is_an_event(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = ["one", RunnerDied("it died", hint="Ask again.")]
    name, data = events((await ask(http, stream=True)).text)[-1]
    assert (name, data["type"]) == ("error", "error")
    assert data["error"] == {"type": "api_error", "message": "it died. Ask again."}


async def test_tokens_are_counted_without_generating(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    answer = await ask(http, "/count_tokens", system="abcd", tools=[TOOL], max_tokens=None)
    assert (answer.status_code, answer.json()) == (200, {"input_tokens": 7})
    assert engine.asked == []
    assert engine.counted[0].tools == [NATIVE_TOOL]
    answer = await ask(http, "/count_tokens", model="nope")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


async def test_an_engine_that_cannot_count_still_answers(
    http: httpx.AsyncClient, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def count_tokens(request: ChatRequest) -> int:
        raise EngineError("no such endpoint")

    monkeypatch.setattr(engine, "count_tokens", count_tokens)
    told = events((await ask(http, stream=True)).text)
    assert told[0][1]["message"]["usage"]["input_tokens"] == 0
    assert told[-1][0] == "message_stop"


async def test_pings_while_the_next_piece_is_long_in_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ScriptedEngine(["one", "two"])
    engine.step = asyncio.Event()
    monkeypatch.setattr(streaming, "BEAT_SECONDS", 0.01)
    async with live_server(engine) as address, httpx.AsyncClient(base_url=address.url) as http:
        body = {"model": "bard", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "stream": True}
        text, pings = "", 0
        async with http.stream("POST", "/v1/messages", json=body) as answer:
            async for part in answer.aiter_text():
                text += part
                pings = text.count("event: ping")
                if pings > 3:
                    engine.step.set()
    names = [name for name, _ in events(text)]
    assert names[-1] == "message_stop"
    assert "ping" in names[names.index("content_block_delta") :]


def test_the_way_out_is_a_sentence_of_its_own() -> None:
    assert anthropic_error(EngineError("no such thing", hint="Name one.")).error.message == "no such thing. Name one."
    assert anthropic_error(EngineError("It ended.", hint="Try again.")).error.message == "It ended. Try again."
    assert anthropic_error(EngineError("no such thing")).error.message == "no such thing"
