"""What people type: the curl lines of Ollama's documentation, and the two lines of Python that read tokens a second."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from ollama_engine.settings import HostAddress
from tests.clients.conftest import TEXT

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


async def curl(server: HostAddress, path: str, *arguments: str, **data: Any) -> tuple[int, list[Any]]:
    """The status and the JSON values of an answer."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    body = ["-d", json.dumps(data)] if data else []
    process = await asyncio.create_subprocess_exec(
        program, "-sS", "--max-time", "30", "-w", "\n%{http_code}", f"{server.url}{path}", *arguments, *body,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    *lines, status = out.decode().splitlines()
    return int(status), [json.loads(line) for line in lines if line.strip()]


async def test_generate_and_chat(server: HostAddress, story: str) -> None:
    # As in the documentation: no Content-Type but curl's own, which is a form's.
    status, parts = await curl(server, "/api/generate", model=story, prompt="Why is the sky blue?")
    assert (status, "".join(part["response"] for part in parts), parts[-1]["done"]) == (200, TEXT, True)
    status, [whole] = await curl(server, "/api/generate", model=story, prompt="Why?", stream=False)
    assert (status, whole["response"]) == (200, TEXT)
    message = {"role": "user", "content": "why is the sky blue?"}
    status, parts = await curl(server, "/api/chat", model=story, messages=[message])
    assert "".join(part["message"]["content"] for part in parts) == TEXT
    status, [loaded] = await curl(server, "/api/generate", model=story)
    assert (status, loaded["done_reason"]) == (200, "load")
    status, [unloaded] = await curl(server, "/api/chat", model=story, messages=[], keep_alive=0)
    assert (status, unloaded["done_reason"]) == (200, "unload")


async def test_tools_formats_and_vectors(server: HostAddress, caller: str, bert: str) -> None:
    message = {"role": "user", "content": "What is the weather in Paris?"}
    _, [answer] = await curl(server, "/api/chat", model=caller, messages=[message], stream=False, tools=[WEATHER])
    assert answer["message"]["tool_calls"][0]["function"]["arguments"] == {"city": "Paris"}
    _, [answer] = await curl(
        server,
        "/api/generate",
        model="bard",
        prompt="x",
        stream=False,
        format="json",
        options={"num_predict": 200, "seed": 1},
    )
    assert answer["response"].lstrip()[:1] in "{["
    _, [answer] = await curl(
        server, "/api/embed", model=bert, input=["Why is the sky blue?", "Why is the grass green?"]
    )
    assert [len(vector) for vector in answer["embeddings"]] == [64, 64]


async def test_models(server: HostAddress, story: str) -> None:
    assert await curl(server, "/api/show", model=story, verbose=True)
    assert (await curl(server, "/api/copy", source=story, destination="backup"))[0] == 200
    status, [tags] = await curl(server, "/api/tags")
    assert {model["name"] for model in tags["models"]} == {"bard:latest", "backup:latest", "story:latest"}
    assert (await curl(server, "/api/delete", "-X", "DELETE", model="backup"))[0] == 200
    status, [error] = await curl(server, "/api/delete", "-X", "DELETE", model="backup")
    assert (status, error["error"]) == (404, "model 'backup' not found")
    status, _ = await curl(server, f"/api/blobs/sha256:{'0' * 64}", "-I", "-o", "/dev/null")
    assert status == 404


async def test_the_other_dialects(server: HostAddress, story: str) -> None:
    content = {"role": "user", "content": "Hello!"}
    header = ("-H", "Content-Type: application/json", "-H", "Authorization: Bearer ollama")
    _, [answer] = await curl(server, "/v1/chat/completions", *header, model=story, messages=[content])
    assert answer["choices"][0]["message"]["content"] == TEXT
    header = ("-H", "x-api-key: ollama", "-H", "anthropic-version: 2023-06-01")
    _, [answer] = await curl(server, "/v1/messages", *header, model=story, max_tokens=99, messages=[content])
    assert answer["content"] == [{"type": "text", "text": TEXT}]


SPEED = """
import json, sys, urllib.request
answer = json.load(urllib.request.urlopen(sys.argv[1] + "/api/generate", json.dumps({"model": "story", "prompt": "x", "stream": False}).encode()))
print(answer["eval_count"] / answer["eval_duration"] * 1e9)
"""  # noqa: E501 - as people write it


async def test_two_lines_of_python_read_tokens_a_second(server: HostAddress, story: str) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SPEED, server.url, stdout=subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert 1 < float(out) < 1e6
