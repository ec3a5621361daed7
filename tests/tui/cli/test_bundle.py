"""`save` and `load`: through pipes, files and a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.command_line import COMMAND, SECONDS, CommandLine
from tests.support.terminal import Terminal


def other_home(ollama: CommandLine, tmp_path: Path) -> CommandLine:
    home = tmp_path / "elsewhere"
    home.mkdir()
    return CommandLine(home, ollama.host)


def test_a_model_goes_to_another_machine_in_a_pipe(ollama: CommandLine, tmp_path: Path) -> None:
    other = other_home(ollama, tmp_path)
    assert ollama.run("cp", "bard", "me/story").returncode == 0
    with ollama.start("save", "bard", "me/story") as saving:
        loading = subprocess.run(
            [*COMMAND, "load"],
            env=other.environment,
            stdin=saving.stdout,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        assert saving.wait(SECONDS) == 0
    assert loading.returncode == 0
    assert loading.stdout.decode() == "Loaded bard:latest\nLoaded me/story:latest\n"
    assert not {b"\r", b"\x1b"} & {bytes([byte]) for byte in loading.stderr}
    ids = [line.split()[1] for line in (ollama.run("list").stdout + other.run("list").stdout).splitlines()]
    assert len(set(ids)) == 2  # the heading and one
    assert other.run("show", "me/story").returncode == 0


def test_a_file_is_written_as_a_whole_or_not_at_all(ollama: CommandLine) -> None:
    ollama.run("list")
    saved = ollama.run("save", "bard", "-o", "bard.tar")
    assert (saved.returncode, saved.stdout) == (0, "")
    assert saved.stderr.splitlines() == ["saving bard:latest", "success"]
    assert tarfile.is_tarfile(ollama.home / "bard.tar")
    before = (ollama.home / "bard.tar").read_bytes()
    (blob,) = (path for path in (ollama.home / "models" / "blobs").iterdir() if path.stat().st_size > 1 << 20)
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    failed = ollama.run("save", "bard", "-o", "bard.tar")
    assert failed.returncode == 1
    assert "is not what its name says" in failed.stderr
    assert (ollama.home / "bard.tar").read_bytes() == before
    assert not list(ollama.home.glob(".saving-*"))


def test_loading_says_what_became_of_models_that_are_here(ollama: CommandLine) -> None:
    ollama.run("list")
    assert ollama.run("save", "bard", "-o", "bard.tar").returncode == 0
    assert ollama.run("load", "-i", "bard.tar").stdout == "bard:latest is here already\n"
    assert ollama.run("load", "-i", "bard.tar", "--name", "x").stdout == "Loaded x:latest\n"
    (ollama.home / "Modelfile").write_text("FROM bard\nSYSTEM Be brief.\n")
    assert ollama.run("create", "x").returncode == 0
    kept = ollama.run("load", "-i", "bard.tar", "--name", "x", "--keep")
    assert kept.stdout == "Kept the x:latest that is here; the bundle has another\n"
    replaced = ollama.run("load", "-i", "bard.tar", "--name", "x")
    assert replaced.stdout == "Loaded x:latest, in place of another model of that name\n"


def test_errors_are_one_line_and_leave_nothing(ollama: CommandLine) -> None:
    ollama.run("list")
    ollama.run("save", "bard", "-o", "bard.tar")
    ollama.run("rm", "bard")
    data = (ollama.home / "bard.tar").read_bytes()
    for arguments, stdin, message in (
        (["load"], data[:-5000], "cut off"),
        (["load"], b"", "no bytes came"),
        (["load"], b"x" * 5000, "no tar file"),
        (["load", "-i", "absent.tar"], b"", "absent.tar: No such file"),
        (["load", "-i", "."], b"", "Is a directory"),
        (["load", "-i", "bard.tar", "--name", "a b"], b"", "cannot be called so"),
        (["save", "absent"], b"", "model 'absent' not found"),
        (["save", "bard", "-o", "no/such/folder.tar"], b"", "not found"),
        (["save", "../bard"], b"", "invalid model name"),
    ):
        result = ollama.run(*arguments, stdin=stdin)
        assert result.returncode == 1, arguments
        assert result.stdout == ""
        (error,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
        assert message in error
        assert "Traceback" not in result.stderr
    assert not list((ollama.home / "models" / "blobs").iterdir())
    assert ollama.run("load", "-i", "bard.tar").returncode == 0


def test_a_tar_is_neither_written_to_a_terminal_nor_read_from_one(ollama: CommandLine) -> None:
    for arguments in (["save", "bard"], ["load"]):
        with Terminal([*COMMAND, *arguments], ollama.environment) as terminal:
            assert terminal.wait_closed() == 1
            assert "a terminal: give -" in terminal.text


def test_interrupted_it_leaves_nothing(ollama: CommandLine) -> None:
    ollama.run("list")
    assert ollama.run("save", "bard", "-o", "bard.tar").returncode == 0
    ollama.run("rm", "bard")
    process = subprocess.Popen(
        [*COMMAND, "load"],
        env=ollama.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write((ollama.home / "bard.tar").read_bytes()[:-1_000_000])
    process.stdin.flush()
    assert process.stderr.readline().startswith(b"loading ")
    process.send_signal(signal.SIGINT)
    process.stdin.close()
    assert process.wait(SECONDS) == 130
    process.stdout.close()  # type: ignore[union-attr]
    process.stderr.close()
    assert not list((ollama.home / "models" / "blobs").iterdir())


def test_they_work_on_this_machines_store_only(ollama: CommandLine) -> None:
    for verb in (["save", "bard"], ["load"]):
        result = ollama.run("--host", "elsewhere:1", *verb)
        assert result.returncode == 1
        assert "takes no --host" in result.stderr


@pytest.mark.parametrize(("columns", "lines"), [(20, 24), (30, 24), (40, 24), (80, 24), (80, 4)])
def test_progress_keeps_to_its_lines_on_a_real_terminal(
    ollama: CommandLine, tmp_path: Path, columns: int, lines: int
) -> None:
    other = other_home(ollama, tmp_path)
    ollama.run("cp", "bard", "ann/poet")
    assert ollama.run("save", "bard", "-o", "bard.tar").returncode == 0
    command = [*COMMAND, "load", "-i", str(ollama.home / "bard.tar")]
    with Terminal(command, other.environment, columns=columns, lines=lines) as terminal:
        assert terminal.wait_closed() == 0
        shown = [line for line in terminal.text.splitlines() if line]
    layers = [line for line in shown if "% (" in line]
    assert layers, shown
    assert all("100% (" in line for line in layers), shown
    assert len(shown) == len(set(shown)), shown
    assert all(len(line) <= columns for line in shown)
    if lines > len(shown):
        assert ("[====" in "".join(layers)) == (columns >= 80)


def test_a_dumb_terminal_is_told_as_a_pipe_is(ollama: CommandLine) -> None:
    ollama.run("list")
    master, slave = pty.openpty()
    with ollama.with_env(TERM="dumb").start("save", "bard", "-o", "bard.tar", stderr=slave) as process:
        os.close(slave)
        assert process.wait(SECONDS) == 0
    told = os.read(master, 1 << 16)
    os.close(master)
    assert b"\x1b" not in told
    assert told.endswith(b"success\r\n")
