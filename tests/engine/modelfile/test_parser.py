from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_engine.errors import ModelfileError
from ollama_engine.modelfile.parser import Command, parse_modelfile
from ollama_engine.types import Message


def values(text: str | bytes) -> list[str]:
    return [command.args for command in parse_modelfile(text).commands]


def test_a_modelfile_is_its_instructions_in_order() -> None:
    modelfile = parse_modelfile(
        "# my model\n"
        "FROM llama3.2\n"
        "\n"
        "  parameter temperature 0.7\n"
        "PARAMETER\tstop\t<|end|>\n"
        'SYSTEM """You are\nMario."""\n'
        "MESSAGE user Hello there\n"
        "MESSAGE assistant It's-a me\n"
        "License MIT"
    )
    assert modelfile.commands == (
        Command("from", "llama3.2"),
        Command("parameter", "0.7", "temperature"),
        Command("parameter", "<|end|>", "stop"),
        Command("system", "You are\nMario."),
        Command("message", "Hello there", "user"),
        Command("message", "It's-a me", "assistant"),
        Command("license", "MIT"),
    )
    assert [command.line for command in modelfile.commands] == [2, 4, 5, 6, 8, 9, 10]
    assert modelfile.froms == ["llama3.2"]
    assert modelfile.parameters == [("temperature", "0.7"), ("stop", "<|end|>")]
    assert modelfile.messages == [Message("user", "Hello there"), Message("assistant", "It's-a me")]
    assert modelfile.licenses == ["MIT"]
    assert (modelfile.last("system"), modelfile.last("template")) == ("You are\nMario.", "")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("bare words", "bare words"),
        ("   trimmed \t ", "trimmed"),
        ('"quoted"', "quoted"),
        ('" kept "', " kept "),
        ('"two\nlines"', "two\nlines"),
        ('"""three\n"quoted" lines\n"""', 'three\n"quoted" lines\n'),
        ('""', ""),
        ('""""""', ""),
        (" ", ""),
        ('say "hi"', 'say "hi"'),
        ("it's 'single'", "it's 'single'"),
        (r'"no \"escapes\""', r"no \"escapes\""),
        ("a # is no comment here", "a # is no comment here"),
        ("tab\tkept", "tab\tkept"),
        ("bell\a and nul\0 dropped", "bell and nul dropped"),
        ('"a" and "b"', 'a" and "b'),
        ('"a" and\nmore"', 'a" and\nmore'),
        ('"""a\r\nb"""', "a\r\nb"),
        ("👨‍👩‍👧 et\u00a0demi", "👨‍👩‍👧 et\u00a0demi"),
        ('"""" a quote inside"""', '" a quote inside'),
        ('"""\n# not a comment\nFROM inside\n"""  ', "\n# not a comment\nFROM inside\n"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_value_runs_to_the_line_on_which_it_is_closed(written: str, value: str, end: str) -> None:
    assert values(f"SYSTEM {written}{end}FROM x") == [value, "x"]
    assert values(f"FROM x{end}SYSTEM {written}") == ["x", value]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "no FROM line", "FROM"),
        ("# only a comment", "no FROM line", "FROM"),
        ("SYSTEM hello", "no FROM line", "FROM"),
        ("FROM", "(line 1): unexpected EOF", "FROM needs a value"),
        ("FROM x\nSYSTEM\nLICENSE y", "(line 2): unexpected EOF", "SYSTEM needs a value"),
        ('FROM x\nSYSTEM "open', "(line 2): unexpected EOF", "never closed"),
        ('FROM x\n\nSYSTEM """open\n"\n""', "(line 3): unexpected EOF", '""" that opens'),
        ('FROM x\nSYSTEM """""', "(line 2): unexpected EOF", "never closed"),
        ("FROM x\nPARAMETER temperature", "(line 2): unexpected EOF", "PARAMETER temperature 0.7"),
        ("FROM x\nPARAMETER top-k 1", "(line 2): unexpected EOF", "PARAMETER temperature 0.7"),
        ("FROM x\nMESSAGE user", "(line 2): unexpected EOF", "MESSAGE user Hello"),
        (
            "FROM x\nMESSAGE User hi",
            '(line 2): message role must be one of "system", "user", or "assistant"',
            "MESSAGE user",
        ),
        (
            "FROM x\n\nTEMPLTE {{ .Prompt }}",
            '(line 3): command must be one of "from", "license", "template", "system", "adapter", "draft", '
            '"renderer", "parser", "parameter", "message", or "requires"',
            "Did you mean TEMPLATE?",
        ),
    ],
)
def test_what_does_not_parse_is_named_by_line_with_a_hint(text: str, message: str, hint: str) -> None:
    with pytest.raises(ModelfileError) as caught:
        parse_modelfile(text)
    assert caught.value.message == message
    assert hint in caught.value.hint


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    assert values("FROM x\nSYSTEM déjà vu ｜▁".encode(encoding)) == ["x", "déjà vu ｜▁"]
    assert values(b"\xfe\xff" + "FROM x".encode("utf-16-be")) == ["x"]
    assert values("\ufeffFROM x") == ["x"]


def test_bytes_that_are_no_text_are_named_by_line() -> None:
    with pytest.raises(ModelfileError, match=r"line 3.*UTF-8") as caught:
        parse_modelfile(b"FROM x\r\n\r\nLICENSE \xa9 1999")
    assert caught.value.line == 3


@given(st.binary(max_size=200) | st.text(max_size=200))
@example("FROM x\nSYSTEM \ud800")
@example(b"\xff\xfeF")
def test_any_input_is_a_modelfile_or_a_modelfile_error(source: str | bytes) -> None:
    _parse_or_refuse(source)


_pieces = [
    "FROM ",
    "SYSTEM ",
    "PARAMETER ",
    "MESSAGE ",
    "user ",
    "stop ",
    '"',
    '"""',
    "\n",
    "\r\n",
    "\r",
    " ",
    "#",
    "x",
]


@given(st.lists(st.sampled_from(_pieces), max_size=30).map("".join))
def test_any_heap_of_instructions_and_quotes_is_a_modelfile_or_a_modelfile_error(source: str) -> None:
    _parse_or_refuse(source)


def _parse_or_refuse(source: str | bytes) -> None:
    with contextlib.suppress(ModelfileError):
        modelfile = parse_modelfile(source)
        assert modelfile.froms
        assert all("\0" not in command.args for command in modelfile.commands)


def test_a_megabyte_of_quoted_lines_takes_no_time_to_speak_of() -> None:
    started = time.process_time()
    assert values('FROM x\nLICENSE """' + 'a "line"\n' * 100_000 + '"""')[1].count("\n") == 100_000
    assert time.process_time() - started < 3
