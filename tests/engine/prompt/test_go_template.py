"""The Go template interpreter, held against what Go's own `text/template` printed, and against hostile templates."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_engine.errors import TemplateError
from ollama_engine.prompt.go_template import GoTemplate, JSONList, JSONMap, Record
from ollama_engine.prompt.go_template.executor import GoLimits
from ollama_engine.types import Message
from tests.engine.prompt.go_cases import DATA, FAILS, WORKS


@pytest.mark.parametrize(("template", "expected"), WORKS)
def test_it_prints_what_go_prints(template: str, expected: str) -> None:
    assert GoTemplate(template).execute(DATA) == expected


@pytest.mark.parametrize(("template", "message"), FAILS)
def test_what_go_refuses_is_an_error_that_names_its_place(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        GoTemplate(template).execute(DATA)
    assert caught.value.message == message


def test_an_error_names_line_and_column() -> None:
    with pytest.raises(TemplateError, match="line 3, column 6: function"):
        GoTemplate("a\nb\n  {{ nope }}")
    with pytest.raises(TemplateError, match="line 2, column 4: error calling index: index out of range: 9"):
        GoTemplate("{{ .s }}\n{{ index .l 9 }}").execute(DATA)


def test_ollamas_helpers_know_dates_json_and_typescript() -> None:
    clock = datetime(2026, 3, 1, 12)
    template = GoTemplate(
        "{{ currentDate }} {{ currentDate `%Y` }} {{ yesterdayDate }} {{ json .j }}", now=lambda: clock
    )
    assert template.execute({"j": {"b": "<&>", "a": [1.0, None]}}) == (
        '2026-03-01 2026-03-01 2026-02-28 {"a":[1,null],"b":"\\u003c\\u0026\\u003e"}'
    )


@pytest.mark.parametrize(
    ("prop", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "number"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "array"}, "any[]"),
        ({"type": "object"}, "Record<string, any>"),
        ({"anyOf": [{"type": "boolean"}, {"type": "number"}]}, "boolean | number"),
        ({"type": "strange"}, "any"),
        ({}, "any"),
        ("text", "any"),
    ],
)
def test_to_typescript_type(prop: object, expected: str) -> None:
    assert GoTemplate("{{ toTypeScriptType .p }}").execute({"p": prop}) == expected


def test_structs_are_records_dataclasses_and_wire_types_under_go_names() -> None:
    @dataclass
    class Point:
        x_pos: int
        y: int = 2

    data = {"r": Record("T", {"A": 1, "B": "b"}), "p": Point(1), "m": Message("user", "hi", tool_call_id="c")}
    template = GoTemplate(
        '{{ .r }} {{ printf "%+v" .r }} {{ .r.A }} {{ .p.XPos }}{{ .p.Y }} {{ .m.Content }} {{ .m.ToolCallID }}'
    )
    assert template.execute(data) == "{1 b} {A:1 B:b} 1 12 hi c"
    with pytest.raises(TemplateError, match="can't evaluate field C in type T"):
        GoTemplate("{{ .r.C }}").execute(data)
    with pytest.raises(TemplateError, match="can't evaluate field XPos2"):
        GoTemplate("{{ .p.XPos2 }}").execute(data)


def test_types_with_a_json_form_print_it() -> None:
    record = Record("Tool", {"Name": "f"}, json_form=JSONMap({"name": "f"}), prints_json=True)
    data = {"a": JSONMap({"b": 1, "a": [True]}), "l": JSONList([record])}
    assert GoTemplate("{{ .a }}|{{ .l }}|{{ range .l }}{{ . }}{{ .Name }}{{ end }}").execute(data) == (
        '{"b":1,"a":[true]}|[{"name":"f"}]|{"name":"f"}f'
    )
    assert GoTemplate('{{ range $k, $v := .a }}{{ $k }}{{ end }}{{ printf "%s" .a }}').execute(data) == (
        'ab{"b":1,"a":[true]}'
    )


def test_a_function_in_the_data_can_be_called() -> None:
    assert GoTemplate("{{ call .f 1 2 }}").execute({"f": lambda a, b: a + b}) == "3"


def test_names_are_all_fields_and_variables() -> None:
    template = GoTemplate('{{ define "a" }}{{ $.Deep.In }}{{ end }}{{ range $m := .Messages }}{{ ($m).Role }}{{ end }}')
    assert template.names() >= {"Messages", "Deep", "In", "Role", "$m"}


def test_a_template_can_be_cut_after_a_field() -> None:
    text = "{{ .Prompt }}<a>{{ if .Response }}[{{ .Response }}]</a>{{ else }}-{{ end }}tail"
    template = GoTemplate(text)
    assert template.execute_until("Response", {"Prompt": "p", "Response": "r"}) == "p<a>[r"
    assert template.execute_until("Response", {"Prompt": "p", "Response": ""}) == "p<a>-"
    assert template.execute({"Prompt": "p", "Response": "r"}) == "p<a>[r]</a>tail"


_FAST = GoLimits(seconds=0.3)

_BOMBS = {
    "a huge range": "{{ range 1000000000000 }}{{ end }}",
    "nested ranges": "{{ range 99999 }}{{ range 99999 }}{{ end }}{{ end }}",
    "doubling": '{{ $x := "ab" }}{{ range 99 }}{{ $x = print $x $x }}{{ end }}',
    "doubling with printf": '{{ $x := "ab" }}{{ range 99 }}{{ $x = printf "%[1]s%[1]s" $x }}{{ end }}',
    "a long printf": '{{ $x := printf "%1000000s" "" }}{{ range 9 }}{{ $x = printf "%[1]s%[1]s" $x }}{{ end }}'
    '{{ printf "%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s" $x }}',
    "lots of output": '{{ $x := printf "%1000000s" "" }}{{ range 999 }}{{ $x }}{{ end }}',
    "kept slices": '{{ $x := printf "%1000000s" "" }}{{ range 9999 }}{{ $y := slice $x 1 }}{{ end }}',
    "templates that call themselves": '{{ define "a" }}{{ template "a" }}{{ template "a" }}{{ end }}{{ template "a" }}',
    "parentheses": "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    "blocks": "{{ if 1 }}" * 5000 + "{{ end }}" * 5000,
    "else if": "{{ if 0 }}" + "{{ else if 0 }}" * 5000 + "{{ end }}",
    "a long number": "{{ " + "9" * 100000 + " }}",
    "a template of a megabyte": "x" * 1024 * 1024 + "x",
}


@pytest.mark.parametrize("text", _BOMBS.values(), ids=_BOMBS)
def test_no_template_runs_for_ever_or_fills_the_memory(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(TemplateError):
        GoTemplate(text, limits=_FAST).execute(DATA)
    assert time.monotonic() - started < 4


def test_data_nested_without_end_is_an_error() -> None:
    data: dict[str, object] = {}
    data["l"] = [data]
    for text in ("{{ . }}", "{{ json . }}", '{{ printf "%v" . }}', '{{ printf "%#v" . }}'):
        with pytest.raises(TemplateError, match="nested"):
            GoTemplate(text).execute(data)


# fmt: off
_WORDS = (
    "{{", "}}", "{{-", "-}}", "{{/*", "*/}}", "if", "else", "end", "range", "with", "define", "template", "block",
    "break", "continue", '"a"', "`b`", "'c'", ".", ".s", ".l", ".m", ".nil", "$", "$x", ":=", "=", ",", "|", "(",
    ")", "1", "-2", "3.5", "0x", "nil", "true", "print", "printf", "index", "slice", "len", "eq", "lt", "and", "or",
    "not", "json", "html", "js", "urlquery", "call", "currentDate", "toTypeScriptType", '"%d%s%v%q%x%5.2f%[2]*d"',
)
# fmt: on


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_WORDS) | st.text(max_size=3), max_size=20).map(" ".join))
def test_whatever_the_template_says_only_a_template_error_comes_out(text: str) -> None:
    with suppress(TemplateError):
        assert isinstance(GoTemplate(text, limits=_FAST).execute(DATA), str)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_WORDS[17:]), min_size=1, max_size=8).map(" ".join))
def test_whatever_an_action_says_only_a_template_error_comes_out(words: str) -> None:
    with suppress(TemplateError):
        assert isinstance(GoTemplate("{{ " + words + " }}", limits=_FAST).execute(DATA), str)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)
_FORM = st.lists(
    st.sampled_from(
        ["%", "v", "d", "s", "q", "x", "f", "g", "e", "c", "U", "T", "t", "+", "#", "-", "0", " ", "9", "*", ".", "[1]"]
    )
)


@settings(max_examples=300, deadline=None)
@given(_FORM.map("".join), _JSON)
def test_whatever_is_printed_only_a_template_error_comes_out(form: str, value: object) -> None:
    with suppress(TemplateError):
        text = GoTemplate("{{ printf .form .v .v }}{{ .v }}{{ json .v }}{{ html .v }}{{ js .v }}{{ urlquery .v }}")
        assert isinstance(text.execute({"form": form, "v": value}), str)
