"""Messages and answers at the prompt: what is asked, what is printed, what is kept."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidRequest, RunnerDied
from ollama_engine.types import Message
from ollama_tui.cli.repl.session import Session
from tests.support.scripted_engine import ScriptedEngine, said
from tests.tui.cli.repl.conversation import Talk

Out = pytest.CaptureFixture[str]


async def test_an_answer_is_printed_and_goes_into_the_next_request(capsys: Out) -> None:
    talk = Talk(ScriptedEngine(["Good ", "morrow."]))
    await talk.say("Hello?", "And?")
    assert capsys.readouterr().out == "Good morrow.\n\nGood morrow.\n\n\n"
    assert [message.content for message in talk.asked[1].messages] == ["Hello?", "Good morrow.", "And?"]


async def test_blank_lines_ask_nothing_and_quotes_are_taken_off(capsys: Out) -> None:
    talk = Talk(ScriptedEngine())
    await talk.say("", "   ", '"""one\ntwo"""', '""""""', "pasted\nlines\n")
    assert [request.messages[-1].content for request in talk.asked] == ["one\ntwo", "pasted\nlines"]


async def test_a_pasted_text_that_begins_with_a_slash_is_no_command(capsys: Out) -> None:
    talk = Talk(ScriptedEngine())
    await talk.say("/set of lines\nthat were pasted")
    assert talk.asked[0].messages[-1].content == "/set of lines\nthat were pasted"


async def test_ctrl_c_at_an_empty_prompt_says_how_to_leave(capsys: Out) -> None:
    await Talk(ScriptedEngine()).say(None)
    assert capsys.readouterr().out == "\nUse Ctrl + d or /bye to exit.\n\n"


async def test_thinking_is_shown_kept_and_hidden_where_that_is_wanted(capsys: Out) -> None:
    engine = ScriptedEngine([said(thinking="Hm."), said("Ay.")])
    talk = Talk(engine)
    await talk.say("Well?")
    assert capsys.readouterr().out == "Thinking...\nHm.\n...done thinking.\n\nAy.\n\n\n"
    assert talk.session.messages[-1] == Message("assistant", "Ay.", thinking="Hm.")
    talk.session.hide_thinking = True
    await talk.say("Well?")
    assert capsys.readouterr().out == "Ay.\n\n\n"


async def test_verbose_tells_timings_and_a_cut_is_always_told_of(capsys: Out) -> None:
    talk = Talk(ScriptedEngine())
    talk.engine.last = {"dropped_messages": 2, "notices": ["a smaller context"]}
    await talk.say("Hello?", "/set verbose", "And?")
    told = capsys.readouterr().err
    assert told.count("Warning: the oldest 2 messages were left out") == 2
    assert told.count("Warning: a smaller context\n") == 2
    assert told.count("\neval count:           2 token(s)\n") == 1


async def test_an_error_is_told_of_and_the_conversation_goes_on_without_that_message(capsys: Out) -> None:
    engine = ScriptedEngine([InvalidRequest('"bard" does not support thinking', hint="Leave it out.")])
    talk = Talk(engine)
    await talk.say("Hello?")
    assert capsys.readouterr().err == 'Error: "bard" does not support thinking\nLeave it out.\n'
    assert talk.session.messages == []
    engine.pieces = ["Here ", RunnerDied("the runner ended")]
    await talk.say("Again?")
    captured = capsys.readouterr()
    assert captured.out.startswith("Here \n\n")
    assert captured.err == "Error: the runner ended\n"


async def test_ctrl_c_stops_the_answer_and_keeps_what_came(capsys: Out) -> None:
    engine = ScriptedEngine(["Once upon ", "a time"])
    engine.step = asyncio.Event()
    talk = Talk(engine)

    async def interrupt() -> None:
        await engine.waiting.wait()
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    interrupting = asyncio.ensure_future(interrupt())
    await talk.say("Tell me.")
    await interrupting
    assert signal.getsignal(signal.SIGINT) == before
    assert engine.closed_early.is_set()
    assert capsys.readouterr().out == "Once upon \n\n\n"
    assert [message.content for message in talk.session.messages] == ["Tell me.", "Once upon "]


async def test_an_answer_stopped_before_its_first_word_leaves_nothing(capsys: Out) -> None:
    engine = ScriptedEngine(["", "never"])
    engine.step = asyncio.Event()
    talk = Talk(engine)

    async def interrupt() -> None:
        await engine.waiting.wait()
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = asyncio.ensure_future(interrupt())
    await talk.say("Tell me.")
    await interrupting
    assert talk.session.messages == []


class TestFiles:
    @pytest.fixture
    def picture(self, tmp_path: Path) -> Path:
        path = tmp_path / "a cat.png"
        path.write_bytes(b"miaow")
        return path

    async def test_a_model_that_sees_is_sent_the_picture(self, picture: Path, capsys: Out) -> None:
        talk = Talk(ScriptedEngine(), Session("bard", capabilities=frozenset({"completion", "vision"})))
        await talk.say(
            f"'{picture}' what is it?", str(picture), f"What is in {str(picture).replace(' ', chr(92) + ' ')}"
        )
        images = [request.messages[-1].images for request in talk.asked]
        assert images == [[base64.b64encode(b"miaow").decode()]] * 3
        assert [request.messages[-1].content for request in talk.asked] == ["what is it?", "", "What is in"]
        assert capsys.readouterr().err == f"Added image '{picture}'\n" * 3

    async def test_a_model_that_does_not_gets_the_words(self, picture: Path, capsys: Out) -> None:
        talk = Talk(ScriptedEngine())
        await talk.say(f"{picture} what is it?")
        message = talk.asked[0].messages[-1]
        assert (message.content, message.images) == (f"{picture} what is it?", None)


async def test_messages_that_the_model_brings_are_shown_and_not_sent(capsys: Out) -> None:
    session = Session("bard", loaded=[Message("user", "Who?"), Message("assistant", "Me."), Message("system", "x")])
    talk = Talk(ScriptedEngine(), session)
    await talk.say("Hello?")
    assert capsys.readouterr().out.startswith(">>> Who?\nMe.\n\n")
    assert len(talk.asked[0].messages) == 1
