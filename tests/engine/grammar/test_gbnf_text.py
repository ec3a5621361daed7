"""Grammars that callers write: what llama.cpp takes is taken, what it does not is refused by line and column."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_engine.errors import EngineError, InvalidRequest
from ollama_engine.grammar.format import JSON_GRAMMAR
from ollama_engine.grammar.gbnf_text import read_gbnf
from ollama_engine.grammar.json_schema import schema_to_gbnf
from ollama_engine.runner.client import Runner
from tests.engine.grammar.schemas import SCHEMAS
from tests.support.grammar_answers import answer, toy_runner

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = {
    "a list": 'root ::= item+\n# a comment\nitem ::= "- " [^\\r\\n\\x0b]+ "\\n"\n',
    "groups over lines": 'root ::= (\n  "a" # first\n  | "b"\n) end\nend ::= "!"? |\n  "."',
    "counts": 'root ::= "a"{2} "b"{1,} [c-e-]{0,3} .{,2}x\nx ::= "x"'.replace("{,2}", "{0,2}"),
    "escapes": 'root ::= "\\x41\\u00e9\\U0001F999\\t\\"\\\\" [\\]\\[\\-^]',
    "recursion on the right": 'root ::= "(" root ")" | "x"',
    "nothing at all": 'root ::= "" | "a"',
    "windows line ends": 'root ::= a\r\na ::= "a"\r\n',
}
BAD = {
    "": "it has no rule named root",
    'answer ::= "a"': "it has no rule named root",
    'root = "a"': "line 1, column 6: expected ::= after the rule name root",
    'my_root ::= "a"': "line 1, column 3",
    'root ::= "a': 'line 1, column 10: the text that begins here has no closing "',
    "root ::= [a": "line 1, column 10: the characters that begin here have no closing ]",
    'root ::= ("a"': r"line 1, column 14: expected \) at the end of the group",
    'root ::= "a" |\n "b"\n | "c"': "line 3, column 2: expected a rule name",
    'root ::= "\\q"': "line 1, column 11: an escape that is none of",
    'root ::= "\\U00110000"': "there is no such character",
    "root ::= *": "column 10: there is nothing before it to repeat",
    'root ::= "a"{2001}': "more than 2000 times",
    'root ::= ("a"? "c"){1500}': "more than 2000 times",
    'root ::= "a"{3,2}': "at most less often than at least",
    'root ::= "a"{x}': "expected a number",
    'root ::= "a" }': "expected the end of the line",
    "root ::= a\n\na ::= b c\nb ::= d": 'line 3, column 9: there is no rule named "c"',
    'root ::= root "a" | "b"': "left recursion, .*: root -> root",
    'root ::= a "x"\na ::= b root\nb ::= c\nc ::= "" | "y"': "left recursion, .*: root -> a -> root",
    'root ::= "a\x00"': "a character that cannot stand in a grammar",
    "root ::= " + "(" * 200: "more than 100 groups inside one another",
    "root ::= <tool": "expected a token",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner() -> AsyncIterator[Runner]:
    async with toy_runner() as runner:
        yield runner


@pytest.mark.parametrize("name", GOOD)
async def test_what_is_read_llama_cpp_takes_too(runner: Runner, name: str) -> None:
    assert read_gbnf(GOOD[name]).text == GOOD[name]
    await answer(runner, GOOD[name], seed=1, max_tokens=4)


@pytest.mark.parametrize("text", BAD)
async def test_what_is_wrong_is_said_with_its_place(text: str) -> None:
    with pytest.raises(InvalidRequest, match=BAD[text]):
        read_gbnf(text)


async def test_grammars_of_schemas_are_read() -> None:
    for schema in SCHEMAS.values():
        read_gbnf(schema_to_gbnf(schema))


async def test_a_head_comes_before_the_answer_also_of_a_grammar_that_refers_to_its_root(runner: Runner) -> None:
    assert (
        read_gbnf(GOOD["recursion on the right"]).after('"=> "')
        == 'root ::= "=> " answer\nanswer ::= "(" answer ")" | "x"'
    )
    taken = read_gbnf('root ::= answer\nanswer ::= "root" root-0 #root\nroot-0 ::= "0"').after('"=> "')
    assert (await answer(runner, taken, seed=1)).text == "=> root0"
    assert (await answer(runner, read_gbnf(JSON_GRAMMAR).after('"=> "'), seed=1)).text.startswith("=> {")


_PIECES = st.sampled_from(
    [
        "root", " ::= ", "a", "\n", " ", '"x"', '"', "[a-z]", "[^", "]", "(", ")", "|", "*", "+", "?", "{2}", "{1,}",
        "{0,2}", ".", "#c\n", "\\x41", "\\", "a ::= ", '"y"\n', "-", "<t>", "!", "é", "\r\n",
    ]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(text=st.lists(_PIECES, max_size=14).map(lambda parts: "root ::= " + "".join(parts)))
async def test_llama_cpp_takes_whatever_is_not_refused(runner: Runner, text: str) -> None:
    try:
        read_gbnf(text)
    except InvalidRequest:
        return
    if "<" in text:
        return  # a token of no vocabulary
    try:
        await answer(runner, text, seed=1, max_tokens=2)
    except EngineError as error:
        # It refuses some repetitions of what may be empty, as it likes.
        assert "not valid GBNF" in error.message  # noqa: PT017
        assert any(sign in text for sign in ("*", "+", "{1,}"))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.lists(_PIECES, max_size=30).map("".join))
async def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_gbnf(text)
    except InvalidRequest as error:
        assert "grammar" in error.message  # noqa: PT017
