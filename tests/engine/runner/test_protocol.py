"""Frames survive the way, and what is no frame is refused."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.runner.protocol import (
    HEADER_BYTES,
    MAX_FRAME,
    Buffer,
    Cancel,
    Command,
    Detokenize,
    Done,
    Embed,
    Failed,
    Generate,
    GetStats,
    Loaded,
    LoadProgress,
    LoadSpec,
    MeasureMedia,
    MediaSizes,
    Piece,
    Report,
    Sampling,
    SpecialTokens,
    Stats,
    Step,
    Text,
    Tokenize,
    Tokens,
    Vectors,
    decode_command,
    decode_report,
    encode,
    frame_length,
)
from ollama_engine.runner.session import Channel

COMMANDS: list[Command] = [
    LoadSpec(
        ["/models/a", "/models/b"],
        4096,
        4,
        256,
        64,
        12,
        1,
        ["CUDA0"],
        "row",
        [3.0, 1.0],
        2,
        False,
        True,
        "isolate",
        3,
        5,
        "q8_0",
        "f16",
        False,
        True,
        kv_unified=False,
    ),
    LoadSpec(["/models/ä"], 512),
    Generate(
        7, [1, 2, 3], 5, 128, ["é", "\n"], Sampling(temperature=0.5, seed=-1, grammar='root ::= "x"'), 2, False, True
    ),
    Generate(1, [0]),
    LoadSpec(["/models/b"], 512, 64, 512, pooling="mean"),
    Embed(8, [[1, 2], [3]], 256, False),
    Cancel(2**40),
    Tokenize(1, "\x00 text 🌍", False, False),
    MeasureMedia(9, [b"\x89PNG", b""]),
    Detokenize(2, [0, 128_000]),
    GetStats(3),
]
REPORTS: list[Report] = [
    LoadProgress(0.25),
    Loaded(512, 4096, 4, 1024, 6, "llama", [Buffer("CPU", "KV", 1 << 40)], True, SpecialTokens(1, 2, 3)),
    Step([Piece(1, "é", 2), Piece(2, "", 1)], [Done(1, "stop", 3, 2, 10, 4, 20, [1, 2, 3])]),
    Step([], []),
    Vectors(8, [1, 0], bytes(16)),
    Tokens(1, []),
    MediaSizes(9, [16, 375]),
    Text(1, "🌍"),
    Stats(1, 2048, 12, 4, 1, 0, 12.5),
    Failed(1, "why", "invalid"),
    Failed(0, "why"),
]


def body(frame: bytes) -> bytes:
    length = frame_length(frame[:HEADER_BYTES])
    assert length == len(frame) - HEADER_BYTES
    return frame[HEADER_BYTES:]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda frame: type(frame).__name__)
def test_every_command_arrives_as_it_was_sent(command: Command) -> None:
    assert decode_command(body(encode(command))) == command


@pytest.mark.parametrize("report", REPORTS, ids=lambda frame: type(frame).__name__)
def test_every_report_arrives_as_it_was_sent(report: Report) -> None:
    assert decode_report(body(encode(report))) == report


def test_every_kind_of_frame_is_tried_here() -> None:
    assert {type(frame) for frame in COMMANDS} == set(Command.__args__)
    assert {type(frame) for frame in REPORTS} == set(Report.__args__) - {Done}


def test_a_frame_that_is_too_long_is_refused_on_both_ends() -> None:
    with pytest.raises(ValueError, match="bytes"):
        frame_length(struct.pack("<I", MAX_FRAME + 1))
    with pytest.raises(ValueError, match="bytes"):
        encode(Tokenize(1, "x" * MAX_FRAME))
    assert frame_length(struct.pack("<I", MAX_FRAME)) == MAX_FRAME


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_text_that_is_no_unicode_cannot_be_a_frame(text: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encode(Tokenize(1, text))


def test_a_number_beyond_the_wire_cannot_be_a_frame() -> None:
    with pytest.raises(ValueError, match="int"):
        encode(Generate(1, [2**80]))


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xc1",
        b"GET / HTTP/1.1",
        msgspec.msgpack.encode({"type": "no such frame"}),
        msgspec.msgpack.encode({"type": "cancel"}),
        msgspec.msgpack.encode({"type": "cancel", "id": "one"}),
        msgspec.msgpack.encode([1, 2, 3]),
        encode(Step([], []))[HEADER_BYTES:],
    ],
    ids=["empty", "reserved", "text", "unknown", "incomplete", "wrong type", "list", "report"],
)
def test_what_is_no_command_is_refused(garbage: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_command(garbage)


@given(st.binary(max_size=200))
def test_random_bytes_are_a_command_or_are_refused(data: bytes) -> None:
    for decode in (decode_command, decode_report):
        result: Any = None
        try:
            result = decode(data)
        except msgspec.DecodeError:
            continue
        assert isinstance(result, msgspec.Struct)


def test_the_channel_ends_with_the_socket_even_inside_a_frame() -> None:
    for sent in (b"", b"\x05\x00", encode(Cancel(1))[:-1]):
        ours, theirs = socket.socketpair()
        channel = Channel(theirs)
        with ours:
            ours.sendall(encode(Cancel(1)) + sent)
        assert channel.receive() == Cancel(1)
        assert channel.receive() is None
        theirs.close()
