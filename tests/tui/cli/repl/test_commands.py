"""The commands behind a slash: Ollama's words, and what they do to the next request."""

from __future__ import annotations

import json

import pytest

from ollama_engine.errors import StoreError
from ollama_engine.types import CreateRequest, Message
from ollama_tui import usage
from ollama_tui.cli.repl.session import Session
from tests.support.scripted_engine import ScriptedEngine
from tests.tui.cli.repl.conversation import ShowingEngine, Talk

Out = pytest.CaptureFixture[str]


async def printed(talk: Talk, out: Out, *lines: str) -> str:
    await talk.say(*lines)
    return out.readouterr().out.removesuffix("\n")  # ctrl+d's


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("/set history", "Set 'history' mode.\n"),
        ("/set nohistory", "Set 'nohistory' mode.\n"),
        ("/set wordwrap", "Set 'wordwrap' mode.\n"),
        ("/set nowordwrap", "Set 'nowordwrap' mode.\n"),
        ("/set verbose", "Set 'verbose' mode.\n"),
        ("/set quiet", "Set 'quiet' mode.\n"),
        ("/set nothink", "Set 'nothink' mode.\n"),
        ("/set think", "Set 'think' mode.\n"),
        ("/set think high", "Set 'think' mode to 'high'.\n"),
        ("/set format json", "Set format to 'json' mode.\n"),
        ("/set noformat", "Disabled format.\n"),
        ("/set format", "Invalid or missing format. For 'json' mode use '/set format json'\n"),
        ("/set format yaml", "Invalid or missing format. For 'json' mode use '/set format json'\n"),
        ("/set parameter temperature 0.5", "Set parameter 'temperature' to '0.5'\n"),
        ("/set parameter stop a b", "Set parameter 'stop' to 'a, b'\n"),
        ("/set system Be  brief.", "Set system message.\n"),
        ('/set system """Be\nbrief."""', "Set system message.\n"),
        ("/set", usage.SET),
        ("/set system", usage.SET),
        ("/set parameter", usage.PARAMETERS),
        ("/set parameter seed", usage.PARAMETERS),
        ("/set colour red", "Unknown command '/set colour'. Type /? for help\n"),
        ("/show", usage.SHOW),
        ("/show me", "Unknown command '/show me'. Type /? for help\n"),
        ("/?", usage.commands(files=False)),
        ("/help", usage.commands(files=False)),
        ("/? set", usage.SET),
        ("/help show", usage.SHOW),
        ("/? shortcuts", usage.SHORTCUTS),
        ("/clear", "Cleared session context\n"),
        ("/load", "Usage:\n  /load <modelname>\n"),
        ("/save", "Usage:\n  /save <modelname>\n"),
        ("/load absent", "Loading model 'absent'\nCouldn't find model 'absent'\n"),
        ("/nonsense", "Unknown command '/nonsense'. Type /? for help\n"),
        ("/set parameter temperature hot", 'Couldn\'t set parameter: "invalid float value [hot]"\n'),
        ("/set parameter colour red", "Couldn't set parameter: \"unknown parameter 'colour'\"\n"),
        (
            "/set think deeply",
            'error: invalid think value: "deeply" (must be high, medium, low, max, true, or false)\n',
        ),
        ("/set parameter low_vram true", "warning: parameter low_vram is deprecated\n"),
    ],
)
async def test_a_command_says_what_it_did(line: str, text: str, capsys: Out) -> None:
    talk = Talk(ScriptedEngine())
    assert (await printed(talk, capsys, line)).startswith(text)
    assert not talk.asked


async def test_what_is_set_holds_for_the_next_message(capsys: Out) -> None:
    talk = Talk(ShowingEngine(), Session("bard", capabilities=frozenset({"thinking"})))
    await talk.say(
        "/set parameter num_ctx 1024",
        "/set parameter stop x y",
        "/set format json",
        "/set think low",
        '/set system """Two\nlines"""',
        "Hello?",
    )
    [request] = talk.asked
    assert request.options == {"num_ctx": 1024, "stop": ["x", "y"]}
    assert (request.format, request.think) == ("json", "low")
    assert [message.content for message in request.messages] == ["Two\nlines", "Hello?"]


async def test_a_json_schema_is_a_format_too(capsys: Out) -> None:
    talk = Talk(ScriptedEngine())
    await talk.say('/set format {"type": "object", "required": ["a"]}', "x")
    assert talk.asked[0].format == {"type": "object", "required": ["a"]}


async def test_modes_are_kept_where_they_belong(capsys: Out) -> None:
    talk = Talk(ScriptedEngine())
    await talk.say("/set nohistory", "/set history", "/set nowordwrap", "/set verbose")
    assert talk.history == [False, True]
    assert not talk.session.word_wrap
    assert talk.session.verbose


async def test_thinking_asked_of_a_model_that_does_not_is_warned_of(capsys: Out) -> None:
    await Talk(ScriptedEngine()).say("/set think")
    assert capsys.readouterr().err == 'warning: model "bard" does not support thinking output\n'


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("license", "Free as air\n"),
        ("modelfile", "FROM x\n"),
        ("template", "{{ .Prompt }}\n"),
        ("system", "Be kind.\n\n"),
        ("parameters", "Model defined parameters:\n  seed 3\n  top_k 4\n\n"),
    ],
)
async def test_show_prints_a_part_of_the_model(part: str, text: str, capsys: Out) -> None:
    fields = {
        "license": "Free as air",
        "modelfile": "FROM x",
        "template": "{{ .Prompt }}",
        "system": "Be kind.",
        "parameters": "seed 3\ntop_k 4",
    }
    assert await printed(Talk(ShowingEngine(**fields)), capsys, f"/show {part}") == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("license", "No license was specified for this model.\n"),
        ("template", "No prompt template was specified for this model.\n"),
        ("system", "No system message was specified for this model.\n"),
        (
            "parameters",
            "Model defined parameters:\n  No additional parameters were specified for this model.\n\n",
        ),
    ],
)
async def test_show_says_what_a_model_has_not(part: str, text: str, capsys: Out) -> None:
    assert await printed(Talk(ShowingEngine()), capsys, f"/show {part}") == text


async def test_show_tells_what_was_set_here(capsys: Out) -> None:
    talk = Talk(ShowingEngine(system="Be kind."))
    await talk.say("/set parameter seed 3", "/set parameter stop a b", "/set system Be brief.")
    capsys.readouterr()
    await talk.say("/show parameters", "/show system", "/show info")
    text = capsys.readouterr().out
    named = "User defined parameters:\n  seed                           3\n  stop                           a\n"
    assert named in text
    assert "\nBe brief.\n" in text
    assert "  Capabilities\n    completion\n" in text


async def test_list_has_the_columns_of_the_command(capsys: Out) -> None:
    text = await printed(Talk(ScriptedEngine()), capsys, "/list")
    assert text.splitlines()[0].split() == ["NAME", "ID", "SIZE", "MODIFIED"]
    assert "bard:latest" in text


async def test_load_begins_a_conversation_with_another_model(capsys: Out) -> None:
    engine = ShowingEngine(messages=[Message("user", "Who?"), Message("assistant", "Me.")])
    engine.names.append("other:latest")
    talk = Talk(engine)
    text = await printed(talk, capsys, "Hello?", "/load other", "And you?")
    assert "Loading model 'other'\n>>> Who?\nMe.\n\n" in text
    last = talk.asked[-1]
    assert (last.model, [message.content for message in last.messages]) == ("other", ["And you?"])


async def test_a_model_that_is_missing_leaves_everything_as_it_is(capsys: Out) -> None:
    talk = Talk(ScriptedEngine())
    await talk.say("Hello?", "/load absent", "And?")
    assert talk.asked[-1].model == "bard"
    assert len(talk.asked[-1].messages) == 3


async def test_save_makes_a_model_of_the_session(capsys: Out) -> None:
    talk = Talk(ScriptedEngine(["Ay."]))
    text = await printed(talk, capsys, "Hello?", "/save kept")
    assert text.endswith("Created new model 'kept'\n")
    request = next(request for request in talk.engine.asked if isinstance(request, CreateRequest))
    assert (request.model, request.from_) == ("kept", "bard")
    assert json.dumps([message.content for message in request.messages or ()]) == '["Hello?", "Ay."]'


async def test_a_save_that_fails_is_told_of_and_the_conversation_goes_on(capsys: Out) -> None:
    engine = ScriptedEngine()
    talk = Talk(engine)
    engine.pieces = [StoreError("the disk is full", hint="Make room.")]
    await talk.say("/save kept")
    assert capsys.readouterr().err == "Error: the disk is full\nMake room.\n"


async def test_bye_ends_it(capsys: Out) -> None:
    talk = Talk(ScriptedEngine())
    await talk.say("/bye", "Hello?")
    assert not talk.asked
