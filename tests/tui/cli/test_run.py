"""`run`: an answer to a prompt from the arguments or a pipe, on the model itself and on any server."""

from __future__ import annotations

import os
import pty
import re
import signal
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.support.command_line import SECONDS, CommandLine, silent_port
from tests.support.foreign_server import foreign_server
from tests.support.media_models import picture, text_model, vision_projector
from tests.tui.cli.conftest import ANSWER


def test_the_answer_is_printed_with_a_blank_line_after_it(models: CommandLine) -> None:
    result = models.run("run", "scripted", "What", "news?")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{ANSWER}\n\n", "")


def test_verbose_puts_timings_on_stderr(models: CommandLine) -> None:
    result = models.run("run", "scripted", "What news?", "--verbose")
    assert result.stdout == f"{ANSWER}\n\n"
    labels = [line.partition(":")[0] for line in result.stderr.splitlines()]
    assert labels[0] == "total duration"
    assert {"prompt eval count", "prompt eval rate", "eval count", "eval duration", "eval rate"} <= set(labels)


def test_an_interrupt_ends_the_answer_and_the_runner_with_status_130(models: CommandLine) -> None:
    with models.start("run", "looping", "Go on.") as process:
        assert process.stdout is not None
        assert process.stdout.read(40).startswith(b"round and round it goes")
        runners = psutil.Process(process.pid).children(recursive=True)
        assert runners
        process.send_signal(signal.SIGINT)
        _, narration = process.communicate(timeout=SECONDS)
        assert process.returncode == 130
        assert narration == b""
        gone, alive = psutil.wait_procs(runners, timeout=SECONDS)
        assert gone
        assert not alive


def test_a_reader_that_has_enough_ends_the_answer_quietly(models: CommandLine) -> None:
    with models.start("run", "looping", "Go on.") as process:
        assert process.stdout is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 141


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (["Say", "this"], b"", {"prompt": "Say this"}),
        (["Sum it up."], "Süß.\n".encode(), {"prompt": "Süß.\n Sum it up."}),
        ([], b"All from a pipe", {"prompt": "All from a pipe"}),
        (["x", "--format", "json"], b"", {"format": "json"}),
        (["x", "--format", '{"type": "object"}'], b"", {"format": {"type": "object"}}),
        (["--think", "x"], b"", {"think": True, "prompt": "x"}),
        (["--think=false", "x"], b"", {"think": False}),
        (["--think=high", "x"], b"", {"think": "high"}),
        (["--keepalive", "1h30m", "x"], b"", {"keep_alive": "1h30m"}),
        (["--system", "Be brief.", "x"], b"", {"system": "Be brief."}),
        (["--nowordwrap", "--", "--think"], b"", {"prompt": "--think"}),
    ],
)
def test_what_is_asked_reaches_the_server(
    arguments: list[str], stdin: bytes, expected: dict[str, Any], ollama: CommandLine
) -> None:
    with foreign_server({"response": "Ay."}) as server:
        result = ollama.at(server.host).run("run", "m", *arguments, stdin=stdin)
        assert (result.returncode, result.stdout) == (0, "Ay.\n\n"), result.stderr
        [(path, body)] = server.requests
    assert path == "/api/generate"
    assert body["model"] == "m"
    assert {key: body.get(key) for key in expected} == expected
    assert ("keep_alive" in body) == ("keep_alive" in expected)


def test_thinking_is_set_apart_and_can_be_hidden(ollama: CommandLine) -> None:
    with foreign_server({"thinking": "Hm. "}, {"thinking": "Yes."}, {"response": "Ay."}) as server:
        here = ollama.at(server.host)
        assert here.run("run", "m", "x").stdout == "Thinking...\nHm. Yes.\n...done thinking.\n\nAy.\n\n"
        assert here.run("run", "m", "--hidethinking", "x").stdout == "Ay.\n\n"


def test_a_grammar_from_a_file_is_kept(models: CommandLine) -> None:
    (models.home / "yes.gbnf").write_text('root ::= "yes" | "no"\n')
    result = models.run("run", "scripted", "Well?", "--grammar", "yes.gbnf")
    assert result.returncode == 0, result.stderr
    assert result.stdout in ("yes\n\n", "no\n\n")
    (models.home / "bad.gbnf").write_text('root ::= "yes\n')
    result = models.run("run", "scripted", "Well?", "--grammar", "bad.gbnf")
    assert (result.returncode, result.stdout) == (1, "")
    assert "line 1, column 10" in result.stderr


def test_a_prompt_that_was_cut_to_the_context_is_told_of(models: CommandLine) -> None:
    result = models.run("run", "scripted", stdin=b"word " * 1000)
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n\n")
    assert re.fullmatch(
        r"Warning: \d{4} tokens were cut out of the prompt, which is longer than the context\.\n", result.stderr
    )


@pytest.mark.parametrize(
    "options",
    [("--format", "yaml"), ("--format", "[1]"), ("--think=deeply",), ("--keepalive", "soon"), ("--grammar", "no.gbnf")],
)
def test_an_option_that_is_wrong_exits_1_before_anything_runs(options: tuple[str, ...], ollama: CommandLine) -> None:
    result = ollama.run("run", "bard", "x", *options)
    assert (result.returncode, result.stdout) == (1, "")
    assert options[0].partition("=")[0] in result.stderr


def test_bard_is_called_a_toy_at_a_terminal_and_only_there(ollama: CommandLine) -> None:
    assert ollama.run("show", "bard").stderr == ""
    controller, terminal = pty.openpty()
    try:
        with ollama.start("show", "bard", stderr=terminal) as process:
            assert process.wait(SECONDS) == 0
        assert b"bard is a toy" in os.read(controller, 1000)
    finally:
        os.close(controller)
        os.close(terminal)


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """`eyes` sees, `blind` is the same without; both answer at temperature 0. In the home: cat.png and a dog.webp."""
    home = tmp_path_factory.mktemp("eyes")
    text_model(home / "text.gguf")
    vision_projector(home / "projector.gguf")
    (home / "cat.png").write_bytes(picture(1))
    (home / "the dog.webp").write_bytes(picture(2, format="WEBP"))
    parameters = "PARAMETER temperature 0\nPARAMETER num_predict 12\n"
    with silent_port() as port:
        command_line = CommandLine(home, f"127.0.0.1:{port}")
        for name, projector in (("eyes", "FROM projector.gguf\n"), ("blind", "")):
            (home / "Modelfile").write_text(f"FROM text.gguf\n{projector}{parameters}")
            created = command_line.run("create", name)
            assert created.returncode == 0, created.stderr
        yield command_line


class TestImages:
    def test_a_picture_named_in_the_prompt_is_shown_to_the_model(self, eyes: CommandLine) -> None:
        seen = eyes.run("run", "eyes", "What is in ./cat.png?", "--verbose")
        assert seen.returncode == 0, seen.stderr
        assert seen.stderr.startswith("Added image './cat.png'\n")
        unseen = eyes.run("run", "eyes", "What is in ?", "--verbose")
        assert seen.stdout != unseen.stdout
        assert _prompt_tokens(seen.stderr) == _prompt_tokens(unseen.stderr) + 16

    def test_two_pictures_and_one_that_is_not_there(self, eyes: CommandLine) -> None:
        result = eyes.run("run", "eyes", "Compare cat.png with 'the dog.webp' and none.jpg", "--verbose")
        assert result.returncode == 0, result.stderr
        assert result.stderr.startswith("Added image 'cat.png'\nAdded image 'the dog.webp'\n")
        plain = eyes.run("run", "eyes", "Compare  with  and none.jpg", "--verbose")
        assert _prompt_tokens(result.stderr) == _prompt_tokens(plain.stderr) + 32

    def test_a_model_that_does_not_see_says_so(self, eyes: CommandLine) -> None:
        result = eyes.run("run", "blind", "What is in ./cat.png?")
        assert result.returncode != 0
        assert "blind:latest does not support vision" in result.stderr
        assert "Traceback" not in result.stderr


def _prompt_tokens(narration: str) -> int:
    found = re.search(r"prompt eval count:\s+(\d+)", narration)
    assert found, narration
    return int(found[1])
