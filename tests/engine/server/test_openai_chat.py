"""`/v1/chat/completions` against a scripted engine: what reaches the engine, and what its chunks become."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ollama_engine.errors import Busy, LoadFailed, RunnerDied
from ollama_engine.types import (
    ChatChunk,
    ChatRequest,
    DebugInfo,
    Logprob,
    Message,
    TokenLogprob,
    ToolCall,
    ToolCallFunction,
)
from tests.engine.server.sse import chunks
from tests.support.scripted_engine import CREATED_AT, ScriptedEngine, said

PIXEL = "iVBORw0KGgo="
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
OTHER = {"type": "function", "function": {"name": "listen", "parameters": {"type": "object", "properties": {}}}}
CALL = ToolCall(ToolCallFunction("look", {"at": "<the> café"}), id="call_abc")


async def ask(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    body = {"model": "bard", "messages": [{"role": "user", "content": "x"}], **fields}
    return await http.post("/v1/chat/completions", json=body)


def asked(engine: ScriptedEngine) -> ChatRequest:
    request = engine.asked[-1]
    assert isinstance(request, ChatRequest)
    return request


async def test_a_whole_answer(http: httpx.AsyncClient) -> None:
    answer = await ask(http)
    assert answer.status_code == 200
    whole = answer.json()
    assert whole.pop("id").startswith("chatcmpl-")
    assert whole.pop("created") > 1_700_000_000
    assert whole == {
        "object": "chat.completion",
        "model": "bard",
        "system_fingerprint": "fp_ollama",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello world"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


async def test_a_streamed_answer(http: httpx.AsyncClient) -> None:
    answer = await ask(http, stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    parts = chunks(answer.text)
    assert [part["choices"][0]["delta"] for part in parts] == [
        {"role": "assistant", "content": "Hello"},
        {"content": " world"},
        {},
    ]
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None, None, "stop"]
    assert len({(part["id"], part["created"]) for part in parts}) == 1
    assert {part["object"] for part in parts} == {"chat.completion.chunk"}
    assert not any("usage" in part for part in parts)


async def test_usage_comes_last_and_alone_where_asked_for(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces, engine.last = [said(thinking="hm", tokens=4), "Hello"], {"cached_tokens": 2, "eval_count": 5}
    last = chunks((await ask(http, stream=True, stream_options={"include_usage": True})).text)[-1]
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}
    assert last["usage"]["completion_tokens_details"] == {"reasoning_tokens": 4}
    assert last["usage"]["total_tokens"] == 8


async def test_thinking_and_calls_have_fields_of_their_own(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [said(thinking="I look."), said("So", thinking="."), said(tool_calls=[CALL])]
    choice = (await ask(http, tools=[TOOL])).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert (choice["message"]["content"], choice["message"]["reasoning"]) == ("So", "I look..")
    [call] = choice["message"]["tool_calls"]
    assert (call["id"], call["type"], call["function"]["name"]) == ("call_abc", "function", "look")
    assert json.loads(call["function"]["arguments"]) == {"at": "<the> café"}
    deltas = [part["choices"][0] for part in chunks((await ask(http, tools=[TOOL], stream=True)).text)]
    assert [delta["delta"].get("reasoning") for delta in deltas] == ["I look.", ".", None, None, None]
    assert [delta["delta"].get("content") for delta in deltas] == ["", "", "So", "", None]
    assert deltas[3]["delta"]["tool_calls"] == [{**call, "index": 0}]
    assert deltas[-1]["finish_reason"] == "tool_calls"


async def test_calls_of_a_stream_count_on_and_always_have_an_id(
    http: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    engine.pieces = [said(tool_calls=[ToolCall(ToolCallFunction("look"))]) for _ in range(2)]
    parts = chunks((await ask(http, stream=True)).text)
    calls = [call for part in parts for call in part["choices"][0]["delta"].get("tool_calls", [])]
    assert [call["index"] for call in calls] == [0, 1]
    assert len({call["id"] for call in calls}) == 2
    assert all(len(call["id"]) == len("call_") + 8 for call in calls)


@pytest.mark.parametrize(("reason", "wire"), [("stop", "stop"), ("length", "length"), ("repetition", "length")])
async def test_why_it_ended(http: httpx.AsyncClient, engine: ScriptedEngine, reason: str, wire: str) -> None:
    engine.last = {"done_reason": reason}
    assert (await ask(http)).json()["choices"][0]["finish_reason"] == wire
    assert chunks((await ask(http, stream=True)).text)[-1]["choices"][0]["finish_reason"] == wire


async def test_log_probabilities(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    other = TokenLogprob(token="Ho", logprob=-2.0, bytes=[72, 111])
    entry = Logprob(token="Hi", logprob=-0.5, bytes=[72, 105], top_logprobs=[other])
    engine.pieces = [said("Hi", thinking="hm", logprobs=[entry])]
    whole = (await ask(http, logprobs=True, top_logprobs=1)).json()["choices"][0]["logprobs"]
    assert whole["content"] == [
        {
            "token": "Hi",
            "logprob": -0.5,
            "bytes": [72, 105],
            "top_logprobs": [{"token": "Ho", "logprob": -2.0, "bytes": [72, 111]}],
        }
    ]
    assert (asked(engine).logprobs, asked(engine).top_logprobs) == (True, 1)
    engine.pieces = [said("Hi", thinking="hm", logprobs=[entry])]
    parts = chunks((await ask(http, logprobs=True, stream=True)).text)
    told = [entry for part in parts for entry in part["choices"][0].get("logprobs", {}).get("content", [])]
    assert [entry["token"] for entry in told] == ["Hi"]


async def test_every_sampling_key_reaches_the_options(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    await ask(
        http,
        temperature=0.3,
        top_p=0.8,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        seed=7,
        stop="END",
        logit_bias={"5": -100},
        min_p=0.05,
        top_k=12,
        max_tokens=5,
        max_completion_tokens=9,
        options={"num_ctx": 512, "top_k": 1},
        keep_alive="1m",
        parallel_tool_calls=False,
    )
    assert asked(engine).options == {
        "num_ctx": 512,
        "top_k": 12,
        "temperature": 0.3,
        "top_p": 0.8,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "seed": 7,
        "logit_bias": {"5": -100.0},
        "min_p": 0.05,
        "num_predict": 9,
        "stop": ["END"],
    }
    assert (asked(engine).keep_alive, asked(engine).parallel_tool_calls) == ("1m", False)
    await ask(http, stop=["a", 3, "b"], max_tokens=4)
    assert asked(engine).options == {"stop": ["a", "b"], "num_predict": 4}


async def test_what_is_absent_is_the_models_own(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    await ask(http, temperature=None, user="ann", metadata={"a": "b"}, store=True)
    assert asked(engine).options is None


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("minimal", "low"), ("high", "high"), ("xhigh", "max"), ("", None), (None, None)],
)
async def test_reasoning_effort(http: httpx.AsyncClient, engine: ScriptedEngine, effort: str, think: object) -> None:
    await ask(http, reasoning_effort=effort)
    assert asked(engine).think == think
    await ask(http, reasoning={"effort": effort}, reasoning_effort="low" if effort is not None else None)
    assert asked(engine).think == think


async def test_response_format(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    for wanted, sent in [
        ({"type": "text"}, None),
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}}, schema),
    ]:
        assert (await ask(http, response_format=wanted)).status_code == 200
        assert asked(engine).format == sent
    assert (await ask(http, response_format={"type": "json_schema"})).status_code == 400
    assert (await ask(http, response_format={"type": "xml"})).status_code == 400


async def test_tool_choice(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    named = {"type": "function", "function": {"name": "look"}}
    for choice in ("none", "auto", "required", named):
        assert (await ask(http, tools=[TOOL, OTHER], tool_choice=choice)).status_code == 200
        assert (asked(engine).tool_choice, asked(engine).tools) == (choice, [TOOL, OTHER])
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    assert (await ask(http, tools=[TOOL, OTHER], tool_choice=allowed)).status_code == 200
    assert (asked(engine).tool_choice, asked(engine).tools) == ("required", [TOOL])
    for wrong in ("maybe", {"type": "function", "function": {"name": "smell"}}, 3):
        assert (await ask(http, tools=[TOOL], tool_choice=wrong)).status_code == 400


async def test_n_answers_run_side_by_side_with_seeds_of_their_own(
    http: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    whole = (await ask(http, n=3, seed=5)).json()
    assert [choice["index"] for choice in whole["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in whole["choices"]} == {"Hello world"}
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (3, 6)
    seeds = [request.options["seed"] for request in engine.asked if isinstance(request, ChatRequest)]  # pyright: ignore
    assert sorted(seeds) == [5, 6, 7]
    parts = chunks((await ask(http, n=3, stream=True)).text)
    for index in range(3):
        own = [part["choices"][0] for part in parts if part["choices"][0]["index"] == index]
        assert "".join(choice["delta"].get("content", "") for choice in own) == "Hello world"
        assert [choice["delta"].get("role") for choice in own] == ["assistant", None, None]
        assert own[-1]["finish_reason"] == "stop"
    assert (await ask(http, n=0)).status_code == 400
    assert (await ask(http, n=200)).status_code == 400


async def test_one_of_n_that_fails_ends_them_all(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [LoadFailed("no room")]
    answer = await ask(http, n=3)
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "no room")


async def test_messages(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    answer = await ask(
        http,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                    {"type": "text", "text": "this?"},
                    {"type": "image_url", "image_url": f"data:;base64,{PIXEL}"},
                    {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning": "hm",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "é"}'}},
                    {"id": "c2", "type": "function", "function": {"name": "listen", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "nothing"}]},
            {"role": "tool", "tool_call_id": "c1", "name": "see", "content": "a cat"},
        ],
    )
    assert answer.status_code == 200
    calls = [
        ToolCall(ToolCallFunction("look", {"at": "é"}), id="c1"),
        ToolCall(ToolCallFunction("listen", {}), id="c2"),
    ]
    assert asked(engine).messages == [
        Message("system", "Be brief."),
        Message("user", "What is\n\nthis?", images=[PIXEL, PIXEL, "UklG"]),
        Message("assistant", "", thinking="hm", tool_calls=calls),
        Message("tool", "nothing", tool_name="listen", tool_call_id="c2"),
        Message("tool", "a cat", tool_name="see", tool_call_id="c1"),
    ]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"role": "user", "content": None}, "invalid message content type: <nil>"),
        ({"role": "user", "content": 3}, "invalid message content type: float64"),
        ({"role": "user", "content": [{"type": "video"}]}, "invalid message format"),
        ({"content": "x"}, "invalid message format"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
            "image URLs are not currently supported, please use base64 encoded data instead",
        ),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}, "invalid image input"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:;base64,a?"}}]},
            "illegal base64 data at input byte 1",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]},
            "invalid tool call arguments",
        ),
        ({"role": "assistant", "tool_calls": [{"function": {}}]}, "invalid message format"),
    ],
)
async def test_broken_messages(http: httpx.AsyncClient, message: object, error: str) -> None:
    answer = await ask(http, messages=[message])
    assert answer.status_code == 400
    assert (answer.json()["error"]["type"], answer.json()["error"]["message"]) == ("invalid_request_error", error)


async def test_errors_have_openais_shape_and_ollamas_status(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    answer = await ask(http, model="nope")
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": "model 'nope' not found",
        "type": "not_found_error",
        "param": None,
        "code": None,
    }
    assert (await ask(http, model="")).json()["error"]["message"] == "model is required"
    assert (await ask(http, messages=[])).json()["error"]["message"] == "[] is too short - 'messages'"
    assert (await ask(http, messages="x")).json()["error"]["type"] == "invalid_request_error"
    assert (await ask(http, reasoning_effort="vast")).status_code == 400
    engine.pieces = [Busy("server busy", retry_after=3)]
    answer = await ask(http)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json()["error"]["type"] == "api_error"
    engine.pieces = [RuntimeError("secret")]
    answer = await ask(http, stream=True)
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "internal server error")


async def test_an_error_in_a_stream_is_an_event_and_the_stream_ends(
    http: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    engine.pieces = ["one", RunnerDied("it died", hint="Ask again.")]
    *_, last = chunks((await ask(http, stream=True)).text)
    assert last == {
        "error": {"message": "it died", "type": "api_error", "param": None, "code": None, "hint": "Ask again."}
    }


async def test_rendering_only(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    info = DebugInfo("the prompt")
    engine.pieces = [
        ChatChunk(model="bard", created_at=CREATED_AT, message=Message("assistant"), done=False, debug_info=info)
    ]
    engine.last = {"debug_info": info}
    answer = await ask(http, _debug_render_only=True)
    assert asked(engine).debug_render_only
    assert answer.json()["_debug_info"] == {"rendered_template": "the prompt"}


async def test_other_pages_and_hosts_are_refused_here_too(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings"):
            answer = await http.post(path, json={"model": "bard"}, headers=headers)
            assert (answer.status_code, answer.content) == (403, b"")
    assert engine.asked == []
