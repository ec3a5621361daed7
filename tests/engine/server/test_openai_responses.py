"""`/v1/responses` against a scripted engine: what reaches the engine, and what its chunks become."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ollama_engine.errors import RunnerDied
from ollama_engine.server.openai.responses.memory import Remembered, ResponseMemory
from ollama_engine.types import ChatRequest, Logprob, Message, ToolCall, ToolCallFunction
from tests.engine.server.sse import events
from tests.support.scripted_engine import ScriptedEngine, said

PIXEL = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {}}
TOOL = {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA, "strict": True}
NATIVE_TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}
CALL = ToolCall(ToolCallFunction("look", {"at": "café"}), id="call_abc")


async def ask(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await http.post("/v1/responses", json={"model": "bard", "input": "x", **fields})


def asked(engine: ScriptedEngine) -> ChatRequest:
    request = engine.asked[-1]
    assert isinstance(request, ChatRequest)
    return request


async def test_a_whole_answer(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [said(thinking="I "), said(thinking="look.", tokens=2), "Hel", "lo", said(tool_calls=[CALL])]
    engine.last = {"prompt_eval_count": 10, "cached_tokens": 7, "eval_count": 4}
    answer = (await ask(http, tools=[TOOL], metadata={"a": "b"}, temperature=0.5)).json()
    assert answer["id"].startswith("resp_")
    assert (answer["object"], answer["status"], answer["incomplete_details"]) == ("response", "completed", None)
    assert answer["completed_at"] >= answer["created_at"] > 1_700_000_000
    reasoning, message, call = answer["output"]
    assert reasoning["id"].startswith("rs_")
    assert reasoning["summary"] == [{"type": "summary_text", "text": "I look."}]
    assert reasoning["encrypted_content"] == "I look."
    assert (message["role"], message["status"]) == ("assistant", "completed")
    assert message["content"] == [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]
    assert (call["call_id"], call["name"], call["status"]) == ("call_abc", "look", "completed")
    assert json.loads(call["arguments"]) == {"at": "café"}
    assert answer["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 7},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 14,
    }
    assert (answer["temperature"], answer["top_p"], answer["tool_choice"]) == (0.5, 1.0, "auto")
    assert (answer["metadata"], answer["tools"], answer["store"]) == ({"a": "b"}, [TOOL], True)


async def test_the_events_of_a_stream_come_in_order(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = [said(thinking="I "), said(thinking="look."), "Hel", "lo", said(tool_calls=[CALL, CALL])]
    answer = await ask(http, stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    told = events(answer.text)
    call = [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert [name.removeprefix("response.") for name, _ in told] == [
        "created",
        "in_progress",
        *("output_item.added", "reasoning_summary_part.added"),
        *("reasoning_summary_text.delta", "reasoning_summary_text.delta", "reasoning_summary_text.done"),
        *("reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
        *call,
        *call,
        "completed",
    ]
    assert all(name == data["type"] for name, data in told)
    assert [data["sequence_number"] for _, data in told] == list(range(len(told)))
    assert told[0][1]["response"]["status"] == "in_progress"
    assert told[0][1]["response"]["output"] == []
    added = [data for name, data in told if name == "response.output_item.added"]
    done = [data for name, data in told if name == "response.output_item.done"]
    assert [data["output_index"] for data in added] == [data["output_index"] for data in done] == [0, 1, 2, 3]
    assert [data["item"]["id"] for data in added] == [data["item"]["id"] for data in done]
    assert (added[0]["item"]["summary"], added[1]["item"]["content"], added[2]["item"]["arguments"]) == ([], [], "")
    assert [data["item"] for data in done] == told[-1][1]["response"]["output"]
    texts = [data for name, data in told if name == "response.output_text.delta"]
    assert [data["delta"] for data in texts] == ["Hel", "lo"]
    assert {data["item_id"] for data in texts} == {added[1]["item"]["id"]}
    assert told[-1][1]["response"]["usage"]["total_tokens"] == 5


@pytest.mark.parametrize("reason", ["length", "repetition"])
async def test_an_answer_cut_short_is_incomplete(http: httpx.AsyncClient, engine: ScriptedEngine, reason: str) -> None:
    engine.last = {"done_reason": reason}
    answer = (await ask(http)).json()
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert answer["completed_at"] is None
    assert answer["output"][0]["status"] == "incomplete"
    name, data = events((await ask(http, stream=True)).text)[-1]
    assert (name, data["response"]["status"]) == ("response.incomplete", "incomplete")


async def test_a_failure_in_a_stream_is_told(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    engine.pieces = ["one", RunnerDied("it died")]
    told = events((await ask(http, stream=True)).text)
    (error, what), (failed, data) = told[-2:]
    assert (error, what["message"], what["code"]) == ("error", "it died", "server_error")
    assert (failed, data["response"]["status"]) == ("response.failed", "failed")
    assert data["response"]["error"] == {"code": "server_error", "message": "it died"}
    answer = await http.get(f"/v1/responses/{data['response']['id']}")
    assert answer.status_code == 404
    engine.pieces = [RunnerDied("it died")]
    answer = await ask(http)
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "it died")


async def test_log_probabilities(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    entry = Logprob(token="Hi", logprob=-0.5, bytes=[72, 105])
    engine.pieces = [said("Hi", logprobs=[entry])]
    answer = (await ask(http, include=["message.output_text.logprobs"])).json()
    told = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    assert answer["output"][0]["content"][0]["logprobs"] == [told]
    assert asked(engine).logprobs


async def test_keys_reach_the_engine(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    await ask(
        http,
        instructions="Be brief.",
        max_output_tokens=9,
        temperature=0.2,
        top_p=0.3,
        top_k=4,
        seed=1,
        stop=["END"],
        options={"num_ctx": 64},
        keep_alive=5,
        reasoning={"effort": "low"},
        text={"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
        tools=[TOOL, {"type": "namespace", "name": "ns", "tools": [TOOL]}],
        tool_choice={"type": "function", "name": "ns.look"},
        parallel_tool_calls=False,
        truncation="disabled",
    )
    request = asked(engine)
    assert request.messages == [Message("system", "Be brief."), Message("user", "x")]
    assert request.options == {
        "num_ctx": 64,
        "temperature": 0.2,
        "top_p": 0.3,
        "top_k": 4,
        "seed": 1,
        "num_predict": 9,
        "stop": ["END"],
    }
    assert (request.keep_alive, request.think, request.format) == (5, "low", SCHEMA)
    spaced = {"type": "function", "function": {**NATIVE_TOOL["function"], "name": "ns.look"}}  # pyright: ignore
    assert request.tools == [NATIVE_TOOL, spaced]
    assert request.tool_choice == {"type": "function", "function": {"name": "ns.look"}}
    assert (request.parallel_tool_calls, request.truncate) == (False, False)
    await ask(http)
    assert (asked(engine).options, asked(engine).truncate, asked(engine).tool_choice) == (None, None, None)


async def test_items(http: httpx.AsyncClient, engine: ScriptedEngine) -> None:
    answer = await ask(
        http,
        input=[
            {"role": "developer", "content": "Be brief."},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
                    {"type": "input_text", "text": "is it?"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": "it"}'},
            {"type": "function_call", "call_id": "c2", "name": "listen", "arguments": "{}"},
            {"type": "web_search_call", "id": "w1", "status": "completed"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "nothing"}]},
            {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
            {"type": "reasoning", "summary": [], "encrypted_content": "aha"},
            {"role": "assistant", "content": "A cat."},
            {"role": "assistant", "content": "Truly."},
            {"role": "user", "content": "Look again."},
            {"type": "function_call", "call_id": "c3", "name": "look", "arguments": "{}"},
        ],
    )
    assert answer.status_code == 200
    calls = [
        ToolCall(ToolCallFunction("look", {"at": "it"}), id="c1"),
        ToolCall(ToolCallFunction("listen"), id="c2"),
    ]
    assert asked(engine).messages == [
        Message("system", "Be brief."),
        Message("user", "What\n\nis it?", images=[PIXEL]),
        Message("assistant", "I look.", thinking="hm", tool_calls=calls),
        Message("tool", "nothing", tool_name="listen", tool_call_id="c2"),
        Message("tool", "a cat", tool_name="look", tool_call_id="c1"),
        Message("assistant", "A cat.", thinking="aha"),
        Message("assistant", "Truly."),
        Message("user", "Look again."),
        Message("assistant", tool_calls=[ToolCall(ToolCallFunction("look"), id="c3")]),
    ]


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"model": ""}, 400, "model is required"),
        ({"input": None}, 400, "input is required"),
        ({"input": []}, 400, "input is required"),
        ({"input": ["x"]}, 400, "input[0]: not an input item"),
        ({"input": [{"type": "dream"}]}, 400, 'input[0]: unknown input item type: "dream"'),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            400,
            "file inputs are not currently supported",
        ),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{"}]}, 400, "invalid tool call arguments"),
        ({"tools": [{"type": "web_search"}]}, 403, "ollama cloud is disabled: web search is unavailable"),
        ({"tools": [{"type": "file_search"}]}, 400, "tools of type 'file_search' are not supported"),
        ({"tool_choice": "maybe"}, 400, "invalid tool_choice"),
        ({"conversation": "conv_1"}, 400, "conversations are not kept here"),
        ({"previous_response_id": "resp_no"}, 400, "Previous response with id 'resp_no' not found."),
        ({"model": "nope"}, 404, "model 'nope' not found"),
    ],
)
async def test_what_is_wrong(http: httpx.AsyncClient, fields: dict[str, Any], status: int, message: str) -> None:
    answer = await ask(http, **fields)
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_conversation_goes_on_from_an_earlier_response(
    http: httpx.AsyncClient, engine: ScriptedEngine, stream: bool
) -> None:
    async def turn(**fields: Any) -> dict[str, Any]:
        answer = await ask(http, stream=stream, **fields)
        return events(answer.text)[-1][1]["response"] if stream else answer.json()

    engine.pieces = [said(thinking="hm"), said("I look.", tool_calls=[CALL])]
    first = await turn(input="What?", instructions="Be brief.")
    engine.pieces = ["A cat."]
    output = [{"type": "function_call_output", "call_id": "call_abc", "output": "cat"}]
    second = await turn(input=output, previous_response_id=first["id"])
    assert second["previous_response_id"] == first["id"]
    conversation = [
        Message("user", "What?"),
        Message("assistant", "I look.", thinking="hm", tool_calls=[CALL]),
        Message("tool", "cat", tool_name="look", tool_call_id="call_abc"),
    ]
    assert asked(engine).messages == conversation
    await turn(input="Sure?", previous_response_id=second["id"], instructions="Now be long.")
    assert asked(engine).messages == [
        Message("system", "Now be long."),
        *conversation,
        Message("assistant", "A cat."),
        Message("user", "Sure?"),
    ]


async def test_responses_are_remembered_unless_told_otherwise(http: httpx.AsyncClient) -> None:
    kept, dropped = (await ask(http)).json(), (await ask(http, store=False)).json()
    assert (await http.get(f"/v1/responses/{kept['id']}")).json() == kept
    assert (await http.get(f"/v1/responses/{dropped['id']}")).status_code == 404
    gone = await http.delete(f"/v1/responses/{kept['id']}")
    assert gone.json() == {"id": kept["id"], "object": "response", "deleted": True}
    for method in ("GET", "DELETE"):
        answer = await http.request(method, f"/v1/responses/{kept['id']}")
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


def test_memory_forgets_what_was_used_longest_ago() -> None:
    memory = ResponseMemory(max_responses=2)
    entry = Remembered({}, [Message("user", "x")])
    for name in "ab":
        memory.keep(name, entry)
    assert memory.get("a")
    memory.keep("c", entry)
    assert [bool(memory.get(name)) for name in "abc"] == [True, False, True]


def test_memory_is_bounded_in_bytes() -> None:
    memory = ResponseMemory(max_bytes=10_000)
    large = Remembered({}, [Message("user", "x", images=["y" * 6_000])])
    for name in "ab":
        memory.keep(name, large)
    assert [bool(memory.get(name)) for name in "ab"] == [False, True]
    assert memory.forget("b")
    assert not memory.forget("b")
    memory.keep("c", large)
    assert memory.get("c")
