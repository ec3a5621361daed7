"""Request bodies are read as Go's JSON decoder reads them."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.errors import InvalidRequest
from ollama_engine.server.decode import decode
from ollama_engine.server.encode import encode
from ollama_engine.server.json_text import MAX_DEPTH, read_first_value
from ollama_engine.types import ChatRequest, GenerateRequest, Message, ToolCall, ToolCallFunction


def test_field_names_match_in_any_case_at_every_level() -> None:
    body = b'{"MODEL":"m","Messages":[{"Role":"USER","tool_CALLS":[{"Function":{"Name":"f","Arguments":{"Ab":1}}}]}]}'
    assert decode(body, ChatRequest) == ChatRequest(
        "m", [Message("user", tool_calls=[ToolCall(ToolCallFunction("f", {"Ab": 1}))])]
    )


def test_keys_of_maps_keep_their_case() -> None:
    body = b'{"model":"m","options":{"Temperature":1,"x":null},"format":{"Type":"object"}}'
    request = decode(body, GenerateRequest)
    assert (request.options, request.format) == ({"Temperature": 1, "x": None}, {"Type": "object"})


def test_only_the_first_value_is_read() -> None:
    assert decode(b' {"model":"m"} {"model":"n"} garbage', GenerateRequest).model == "m"


def test_null_leaves_a_field_unset_and_missing_is_zero() -> None:
    body = b'{"model":null,"stream":null,"keep_alive":null,"messages":[null,{"content":"x"}]}'
    assert decode(body, ChatRequest) == ChatRequest("", [Message(""), Message("", "x")])
    assert decode(b"null", GenerateRequest) == GenerateRequest("")


def test_an_alias_fills_only_what_is_empty() -> None:
    aliases = {"name": "model"}
    assert decode(b'{"Name":"a"}', GenerateRequest, aliases=aliases).model == "a"
    assert decode(b'{"name":"a","model":"b"}', GenerateRequest, aliases=aliases).model == "b"
    assert decode(b'{"name":"a","Model":""}', GenerateRequest, aliases=aliases).model == "a"


def test_images_are_base64_and_nothing_else() -> None:
    assert decode(b'{"model":"m","images":["aGk=","aG\\nk="]}', GenerateRequest).images == ["aGk=", "aG\nk="]
    for image in ("data:image/png;base64,aGk=", "a-b=", "abc", "a=bc", "===="):
        with pytest.raises(InvalidRequest, match="illegal base64 data at input byte"):
            decode(json.dumps({"model": "m", "images": [image]}).encode(), GenerateRequest)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "missing request body"),
        (b" \n\t", "missing request body"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"\xef\xbb\xbf{}", "invalid character '\\xfeff' looking for beginning of value"),
        (b"{", "unexpected EOF"),
        (b'{"model"', "unexpected EOF"),
        (b'{"model":"m', "unexpected EOF"),
        (b'{"model" "m"}', "invalid character '\"' after object key"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b'{"a":[1 2]}', "invalid character '2' after array element"),
        (b'{"a":"x\ny"}', r"invalid character '\n' in string literal"),
        (b'{"a":"\\x"}', "invalid character 'x' in string escape code"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b'{"a":-Infinity}', "invalid character 'I' in numeric literal"),
        (b'{"a":1e999}', "json: cannot unmarshal number 1e999 into Go value of type float64"),
        (b'"x"', "json: cannot unmarshal string into Go value of type api.ChatRequest"),
        (b"[]", "json: cannot unmarshal array into Go value of type api.ChatRequest"),
        (b'{"model":1}', "json: cannot unmarshal number into Go struct field ChatRequest.model of type string"),
        (
            b'{"messages":"x"}',
            "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message",
        ),
        (
            b'{"messages":[{"images":[1]}]}',
            "json: cannot unmarshal number into Go struct field ChatRequest.messages.images of type string",
        ),
        (
            b'{"options":[1]}',
            "json: cannot unmarshal array into Go struct field ChatRequest.options of type map[string]interface {}",
        ),
        (b'{"stream":"yes"}', "json: cannot unmarshal string into Go struct field ChatRequest.stream of type bool"),
        (b'{"keep_alive":true}', "Unsupported type: 'bool'"),
        (b'{"keep_alive":"10"}', 'time: missing unit in duration "10"'),
    ],
)
def test_what_is_wrong_is_said_in_gos_words(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        decode(body, ChatRequest)
    assert error.value.message == message
    assert error.value.status == 400


def test_depth_is_bounded() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read_first_value(deepest)
    for body in (b"[" + deepest + b"]", b'{"a":' * 100_000, b"[" * 100_000):
        with pytest.raises(InvalidRequest, match="exceeded max depth"):
            read_first_value(body)


def test_numbers_beyond_64_bits_become_floats() -> None:
    values = read_first_value(b"[9223372036854775807, 9223372036854775808, -9223372036854775808, 1%s]" % (b"0" * 100))
    assert values == [2**63 - 1, float(2**63), -(2**63), 1e100]
    assert [type(value) for value in values] == [int, float, int, float]
    with pytest.raises(InvalidRequest, match="cannot unmarshal number"):
        read_first_value(b"1" * 5000)


def test_text_that_is_no_unicode_is_mended() -> None:
    assert read_first_value(b'["\xff", "\\ud83d", "\\ud83d\\ude00"]') == ["\ufffd", "\ufffd", "\U0001f600"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(_JSON, st.booleans())
def test_what_encode_writes_is_read_again(value: Any, ascii_only: bool) -> None:
    assert read_first_value(encode(value)) == value
    assert read_first_value(json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")) == value


@given(st.binary())
def test_no_bytes_raise_anything_but_an_invalid_request(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        decode(body, ChatRequest)


@given(st.dictionaries(st.sampled_from(["model", "messages", "options", "keep_alive", "think", "stream"]), _JSON))
def test_no_json_raises_anything_but_an_invalid_request(body: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        request = decode(json.dumps(body).encode(), ChatRequest)
        assert isinstance(request.model, str)
        assert not isinstance(request.keep_alive, float) or not math.isnan(request.keep_alive)


def test_json_is_escaped_as_go_escapes_it() -> None:
    assert encode({"a": "<b>&\u2028\u2029é"}) == b'{"a":"\\u003cb\\u003e\\u0026\\u2028\\u2029\xc3\xa9"}'
