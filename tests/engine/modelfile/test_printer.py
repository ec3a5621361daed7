from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_engine.errors import ModelfileError
from ollama_engine.modelfile.parser import INSTRUCTIONS, ROLES, Command, Modelfile, parse_modelfile
from ollama_engine.modelfile.printer import UNWRITABLE, print_modelfile, quote


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain words", "plain words"),
        ('say "hi"', 'say "hi"'),
        ("two\nlines", '"two\nlines"'),
        (" blank ", '" blank "'),
        ('two\n"quoted" lines', '"""two\n"quoted" lines"""'),
        ("", '""'),
        ('"in quotes"', '""""in quotes""""'),
        ('one""" two', 'one""" two'),
        ('one"""\ntwo', None),
        ("\ttab", '"\ttab"'),
    ],
)
def test_a_value_is_quoted_only_where_it_must_be(value: str, written: str | None) -> None:
    if written is None:
        with pytest.raises(ModelfileError, match="cannot be written"):
            quote(value)
        return
    assert quote(value) == written


# What the grammar can carry: no control characters, and no line but the last that ends in three quotes.
_text = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from('\n\t"#'), max_size=40).filter(
    lambda value: not any(line.rstrip().endswith('"""') for line in value.split("\n")[:-1])
)
_command = (
    st.builds(Command, st.sampled_from([n for n in INSTRUCTIONS if n not in ("parameter", "message")]), _text)
    | st.builds(Command, st.just("parameter"), _text, st.from_regex(r"[A-Za-z0-9_]+", fullmatch=True))
    | st.builds(Command, st.just("message"), _text, st.sampled_from(ROLES))
)


@given(st.lists(_command, max_size=6))
@example([Command("system", '"')])
@example([Command("system", '""')])
@example([Command("system", '"""')])
@example([Command("system", '""""""')])
@example([Command("template", '{{ if eq .Role "user" }}\n{{ .Content }}"""')])
@example([Command("parameter", "\r", "stop")])
def test_what_is_printed_parses_to_the_same_instructions(commands: list[Command]) -> None:
    modelfile = Modelfile((Command("from", "x"), *commands))
    assert parse_modelfile(print_modelfile(modelfile, header=["FROM y", ""])) == modelfile


@given(st.text(max_size=40))
def test_a_value_is_either_written_exactly_or_refused(value: str) -> None:
    modelfile = Modelfile((Command("from", "x"), Command("system", value)))
    try:
        printed = print_modelfile(modelfile)
    except ModelfileError:
        assert UNWRITABLE in print_modelfile(modelfile, strict=False)
    else:
        assert parse_modelfile(printed) == modelfile


def test_a_value_with_control_characters_is_refused_or_announced() -> None:
    modelfile = Modelfile((Command("from", "x"), Command("system", "\x1b[31mred")))
    with pytest.raises(ModelfileError, match="cannot be written"):
        print_modelfile(modelfile)
    printed = print_modelfile(modelfile, strict=False)
    assert UNWRITABLE in printed
    assert parse_modelfile(printed).last("system") == "[31mred"
