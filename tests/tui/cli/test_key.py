"""`key`: made, listed and revoked at the command line; and what `serve` asks and says where a key is needed."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ollama_engine.keys import Keyring
from ollama_engine.settings import HostAddress, Settings
from ollama_tui.cli import main
from ollama_tui.cli.serving import announce
from ollama_tui.cli.serving_options import with_options
from tests.support.command_line import SECONDS, CommandLine

TOKEN = re.compile(r"otk_[0-9a-f]{64}")


@pytest.fixture
def key(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs `ollama-tui key ...` here, which has to do it; what it printed."""

    def run(*arguments: str) -> str:
        assert main(["key", *arguments]) == 0
        return capsys.readouterr().out

    return run


def test_a_key_is_made_shown_once_listed_and_revoked(
    key: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert TOKEN.fullmatch(key("new", "--name", "laptop", "--scope", "admin").strip())
    scripted = json.loads(key("new", "--json"))
    assert TOKEN.fullmatch(scripted["key"])
    assert (scripted["name"], scripted["scope"]) == ("key1", "inference")
    header, *rows = key("list").splitlines()
    assert header.split() == ["NAME", "ID", "SCOPE", "CREATED"]
    assert [row.split()[0] for row in rows] == ["laptop", "key1"]
    listed = json.loads(key("ls", "--json"))
    assert [entry["scope"] for entry in listed] == ["admin", "inference"]
    assert TOKEN.search(json.dumps(listed)) is None
    assert key("revoke", "laptop", scripted["id"]) == "revoked 'laptop'\nrevoked 'key1'\n"
    assert main(["key", "revoke", "laptop"]) == 1
    assert capsys.readouterr().err.splitlines()[0] == "Error: there is no key 'laptop'"


def test_keys_are_this_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", "elsewhere", "key", "list"]) == 1
    assert "takes no --host" in capsys.readouterr().err


class Told:
    """What a server said when it began."""

    def __init__(self, process: subprocess.Popen[bytes], lines: int) -> None:
        assert process.stderr is not None
        self.text = "".join(process.stderr.readline().decode() for _ in range(lines))
        self.url = self.text.split()[4]
        self.token = found[0] if (found := TOKEN.search(self.text)) else ""


@contextmanager
def serving(ollama: CommandLine, *arguments: str, lines: int) -> Iterator[Told]:
    with ollama.start(*arguments) as process:
        yield Told(process, lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_a_server_that_others_can_reach_makes_a_key_and_shows_it_once(ollama: CommandLine) -> None:
    with serving(ollama.at("0.0.0.0:0"), "--serve", lines=9) as told:
        assert f"  OLLAMA_API_KEY={told.token}\n" in told.text
        assert f"  Authorization: Bearer {told.token}\n" in told.text
        assert re.search(r"^  OLLAMA_HOST=http://\S+:\d+$", told.text, re.MULTILINE)
        with urllib.request.urlopen(f"{told.url}/api/tags", timeout=SECONDS) as answer:
            assert answer.status == 200  # on this machine, without a key
    assert told.token not in (ollama.home / ".config" / "ollama-tui" / "keys.json").read_text()


def told(capsys: pytest.CaptureFixture[str], address: HostAddress, **options: bool) -> str:
    """What a server that has begun at an address says."""
    given = {"allow_anonymous": None, "require_key": None, "tls_cert": None, "tls_key": None, **options}
    announce(address, with_options(Settings(), **given))  # pyright: ignore[reportArgumentType]
    return capsys.readouterr().err


def test_a_server_that_nobody_else_can_reach_says_nothing_of_keys(capsys: pytest.CaptureFixture[str]) -> None:
    for options in ({}, {"allow_anonymous": True}):
        assert len(told(capsys, HostAddress(host="127.0.0.1"), **options).splitlines()) == 1
    assert not Keyring.of(Settings()).path.exists()


def test_that_anybody_may_ask_is_said_in_so_many_words(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, HostAddress(host="0.0.0.0"), allow_anonymous=True)
    assert "No key is asked for: whoever reaches this address may use, change and remove the models." in text
    assert not Keyring.of(Settings()).path.exists()


def test_once_there_is_a_key_none_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    Keyring.of(Settings()).create()
    for options in ({}, {"require_key": True}):
        text = told(capsys, HostAddress(host="0.0.0.0"), **options)
        assert "1 key is known" in text
        assert TOKEN.search(text) is None


def test_a_key_is_sent_by_commands_and_asked_for_in_a_line(ollama: CommandLine) -> None:
    with serving(ollama.at("127.0.0.1:0"), "--serve", "--require-key", lines=9) as told:
        stranger = ollama.at(told.url)
        refused = stranger.run("list")
        assert (refused.returncode, refused.stdout) == (1, "")
        error, hint = refused.stderr.splitlines()
        assert error == "Error: unauthorized: this server asks for a key"
        assert "OLLAMA_API_KEY" in hint
        assert "bard:latest" in stranger.with_env(OLLAMA_API_KEY=told.token).run("list").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--allow-anonymous",), "--allow-anonymous belongs to --serve"),
        (("--tls-cert", "x", "list"), "--tls-cert belongs to --serve"),
        (("--serve", "--allow-anonymous", "--require-key"), "are opposites"),
        (("serve", "--tls-cert", "absent.pem"), "cannot read absent.pem"),
        (("serve", "--tls-key", "x.pem"), "a TLS key without a certificate was given"),
    ],
)
def test_options_that_do_not_go_together_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.setattr("logging.basicConfig", lambda **options: None)
    assert main(arguments) == 1
    assert words in capsys.readouterr().err
