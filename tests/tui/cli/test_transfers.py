"""`pull`, `push`, `prune`, and `run` of a model that is not here, against a real registry."""

from __future__ import annotations

import json
import os
import pty
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ollama_engine.store import manifest as media
from tests.support.command_line import SECONDS, CommandLine, silent_port
from tests.support.foreign_server import foreign_server
from tests.support.gguf_models import scripted_model
from tests.support.registry_server import RunningRegistry, running_registry, upload
from tests.tui.cli.conftest import ANSWER

MIB = 1 << 20


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running_registry(tmp_path_factory.mktemp("registry")) as server:
        weights = scripted_model(tmp_path_factory.mktemp("gguf") / "story.gguf", ANSWER).read_bytes()
        upload(server.url, "tests/story", "latest", [(media.MODEL, weights)])
        yield server


def test_pull_narrates_on_stderr_a_line_a_status(ollama: CommandLine, registry: RunningRegistry) -> None:
    name = f"{registry.host}/tests/story"
    result = ollama.run("pull", name, "--insecure")
    assert (result.returncode, result.stdout) == (0, "")
    told = result.stderr.splitlines()
    assert told[0] == "pulling manifest"
    assert told[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    assert len(told) == len(set(told))
    assert not {"\r", "\x1b"} & set(result.stderr)
    assert f"{name}:latest" in ollama.run("list").stdout


def test_pull_goes_through_the_server_that_answers(ollama: CommandLine, registry: RunningRegistry) -> None:
    with ollama.serving() as served:
        assert served.run("pull", f"{registry.host}/tests/story", "--insecure").stderr.endswith("\nsuccess\n")
        missing = served.run("pull", f"{registry.host}/tests/absent", "--insecure")
    assert missing.returncode == 1
    assert "Error: pull model manifest: file does not exist\n" in missing.stderr


def test_run_pulls_a_model_that_is_not_here(ollama: CommandLine, registry: RunningRegistry) -> None:
    result = ollama.run("run", "--insecure", f"{registry.host}/tests/story", "What news?")
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n\n")
    assert result.stderr.endswith("\nsuccess\n")


def test_run_says_both_when_a_model_is_neither_here_nor_there(ollama: CommandLine, registry: RunningRegistry) -> None:
    name = f"{registry.host}/tests/absent"
    result = ollama.run("run", "--insecure", name, "hi")
    assert (result.returncode, result.stdout) == (1, "")
    error = result.stderr.splitlines()[1]
    assert error.startswith(f"Error: model '{name}' not found here, and it could not be pulled: ")
    assert error.endswith("pull model manifest: file does not exist")


def test_create_names_the_model_that_it_cannot_build_on(ollama: CommandLine, registry: RunningRegistry) -> None:
    name = f"{registry.host}/tests/absent"
    configure(ollama.home, f'[registry.hosts."{registry.host}"]\ninsecure = true\n')
    (ollama.home / "Modelfile").write_text(f"FROM {name}\n")
    result = ollama.run("create", "x")
    assert result.returncode == 1
    assert f"Error: model '{name}' is not here, and it could not be pulled: pull model manifest" in result.stderr


def test_a_copy_under_a_registrys_name_can_be_pushed(ollama: CommandLine, registry: RunningRegistry) -> None:
    name = f"{registry.host}/tests/mine"
    assert ollama.run("cp", "bard", name).returncode == 0
    result = ollama.run("push", name, "--insecure")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.splitlines()[-2:] == ["pushing manifest", "success"]
    assert ollama.run("rm", name).returncode == 0
    assert ollama.run("pull", name, "--insecure").returncode == 0


def test_an_interrupted_pull_says_how_it_goes_on_and_then_does(ollama: CommandLine, registry: RunningRegistry) -> None:
    configure(ollama.home, "[registry]\nbandwidth = 8_000_000\n")
    upload(registry.url, "tests/large", "latest", [(media.MODEL, os.urandom(24 * MIB))])
    name = f"{registry.host}/tests/large"
    with ollama.start("pull", name, "--insecure") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"pulling manifest\n"
        assert process.stderr.readline().startswith(b"pulling ")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert f"'ollama-tui pull {name} --insecure' goes on from there" in told.decode()
    assert list((ollama.home / "models" / "blobs").glob("*-partial"))
    configure(ollama.home, "")
    assert ollama.run("pull", name, "--insecure").returncode == 0


def test_at_a_terminal_layers_count_in_place(ollama: CommandLine, registry: RunningRegistry) -> None:
    master, slave = pty.openpty()
    with ollama.start("pull", f"{registry.host}/tests/story", "--insecure", stderr=slave) as process:
        os.close(slave)
        assert process.wait(SECONDS) == 0
    told = os.read(master, 1 << 16).decode()
    os.close(master)
    assert "\r\x1b[K" in told
    assert "100% (" in told


def test_without_a_network_one_line_names_the_host(ollama: CommandLine) -> None:
    for arguments in (["pull", "registry.invalid/ns/model"], ["run", "registry.invalid/ns/model", "hi"]):
        result = ollama.run(*arguments)
        assert result.returncode == 1
        error, hint = result.stderr.splitlines()[-2:]
        assert error.startswith("Error: ")
        assert "registry.invalid" in error
        assert hint.startswith("Check the network")


def test_prune_lists_first_and_removes_when_told_to(ollama: CommandLine) -> None:
    ollama.run("list")
    blobs = ollama.home / "models" / "blobs"
    orphan, partial = blobs / f"sha256-{'a' * 64}", blobs / f"sha256-{'b' * 64}-partial"
    old = time.time() - 7200
    for path in (orphan, partial):
        path.write_bytes(b"x" * 5000)
        os.utime(path, (old, old))
    listed = ollama.run("prune")
    assert (listed.returncode, listed.stdout) == (0, f"sha256:{'a' * 64}\n")
    assert "--yes" in listed.stderr
    assert "--partials" in listed.stderr
    assert orphan.exists()
    assert ollama.run("prune", "--yes").returncode == 0
    assert not orphan.exists()
    assert partial.exists()
    ollama.run("prune", "--yes", "--partials")
    assert not partial.exists()
    assert ollama.run("prune", "--partials").stderr == "There is nothing to remove.\n"
    assert ollama.run("list").stdout.count("bard") == 1


def test_all_brings_up_to_date_what_has_an_update_and_lists_the_rest(
    ollama: CommandLine, registry: RunningRegistry
) -> None:
    there = f"{registry.host}/updates"
    for word in ("old", "same"):
        upload(registry.url, f"updates/{word}", "latest", [(media.MODEL, b"weights" * 1000)])
    pulled = ollama.run("pull", f"{there}/old", f"{there}/absent", f"{there}/same", "--insecure")
    assert pulled.returncode == 1
    assert f"Error: {there}/absent: pull model manifest: file does not exist" in pulled.stderr.splitlines()[-1]
    ollama.run("cp", "bard", f"{there}/made")
    with silent_port() as port:
        dead = f"127.0.0.1:{port}/me/far:latest"
        ollama.run("cp", "bard", dead)
        ollama.run("rm", "bard")
        upload(registry.url, "updates/old", "latest", [(media.MODEL, b"better weights")])
        configure(ollama.home, f'[registry.hosts."{registry.host}"]\ninsecure = true\n')
        blobs = set((ollama.home / "models" / "blobs").iterdir())
        listed = ollama.run("list", "--updates")
        assert listed.returncode == 0
        assert {
            line.split("    ")[0].strip(): line.split("    ")[-1].strip() for line in listed.stdout.splitlines()
        } == {
            "NAME": "UPDATE",
            f"{there}/old:latest": "available",
            f"{there}/same:latest": "up to date",
            f"{there}/made:latest": "not in its registry",
            dead: "could not ask",
        }
        assert listed.stderr.startswith(f"{dead}: ")
        assert set((ollama.home / "models" / "blobs").iterdir()) == blobs
        result = ollama.run("pull", "--all")
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        f"{there}/made:latest: not in its registry",
        f"{there}/old:latest: updated",
        f"{there}/same:latest: up to date",
    ]
    assert result.stderr.splitlines()[-1].startswith(f"Error: {dead}: ")
    ollama.run("rm", dead)
    again = ollama.run("pull", "--all")
    assert again.returncode == 0
    assert f"{there}/old:latest: up to date" in again.stdout


def test_a_server_of_ollamas_own_is_said_to_look_for_no_updates(ollama: CommandLine) -> None:
    with foreign_server() as server:
        result = ollama.at(server.host).run("pull", "--all")
    assert result.returncode == 1
    assert f"Error: the server at http://{server.host} does not look for updates" in result.stderr


def configure(home: Path, text: str) -> None:
    path = home / ".config" / "ollama-tui" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# --- links, and what an earlier program left


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[str]:
    """A plain web server over `files/`: no ranges, Last-Modified. Its URL."""
    folder = tmp_path / "files"
    folder.mkdir()
    scripted_model(folder / "Herald-1B-Q4_0.gguf", ANSWER)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pull_makes_a_model_of_a_link(ollama: CommandLine, file_server: str) -> None:
    link = f"{file_server}/Herald-1B-Q4_0.gguf"
    refused = ollama.run("pull", link)
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (1, "Error: insecure protocol http")
    result = ollama.run("pull", link, "--insecure")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.splitlines()[:2] == ["pulling manifest", "pulling Herald-1B-Q4_0.gguf"]
    assert result.stderr.endswith("\nsuccess\n")
    assert ollama.run("run", "herald-1b:Q4_0", "What news?").stdout == f"{ANSWER}\n\n"


def test_a_server_goes_on_with_the_pulls_that_an_earlier_program_left(
    ollama: CommandLine, registry: RunningRegistry
) -> None:
    name = f"{registry.host}/tests/story"
    folder = ollama.home / "models" / ".ollama-tui.pulls"
    folder.mkdir(parents=True)
    (folder / "left.json").write_text(json.dumps({"name": f"https://{name}:latest", "insecure": True}))
    with ollama.serving() as served:
        deadline = time.monotonic() + SECONDS
        while f"{name}:latest" not in served.run("list").stdout:
            assert time.monotonic() < deadline, "nobody went on with the pull"
