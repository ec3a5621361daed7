"""Runs the real `ollama-tui` command in processes of its own, with a home, a store and an address of the test's."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

COMMAND = [sys.executable, "-m", "ollama_tui"]
SECONDS = 60


@dataclass(frozen=True)
class CommandLine:
    """`run("list")` runs `ollama-tui list` to its end; `start` leaves it running."""

    home: Path
    host: str
    """What OLLAMA_HOST is; empty leaves it unset."""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
        host = {"OLLAMA_HOST": self.host} if self.host else {}
        return {
            **kept,
            "HOME": str(self.home),
            "OLLAMA_MODELS": str(self.home / "models"),
            "PYTHONUTF8": "1",
            **host,
            **self.extra,
        }

    def at(self, host: str) -> CommandLine:
        return replace(self, host=host)

    def with_env(self, **extra: str) -> CommandLine:
        return replace(self, extra={**self.extra, **extra})

    def run(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        return subprocess.CompletedProcess(
            result.args, result.returncode, result.stdout.decode(), result.stderr.decode()
        )

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As `run`, in this process and many times quicker; for commands that neither import much nor read stdin."""
        from ollama_tui.cli import main

        out, err = io.BytesIO(), io.BytesIO()
        streams = io.TextIOWrapper(out, "utf-8", write_through=True), io.TextIOWrapper(err, "utf-8", write_through=True)
        before, folder = dict(os.environ), os.getcwd()
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.home)
        try:
            with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
                status = main(arguments)
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)
        return subprocess.CompletedProcess([*arguments], status, out.getvalue().decode(), err.getvalue().decode())

    @contextmanager
    def start(self, *arguments: str, stderr: IO[bytes] | int = subprocess.PIPE) -> Iterator[subprocess.Popen[bytes]]:
        """The command as it runs, its stdout a pipe. What is left at the end of the block is killed."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    @contextmanager
    def serving(self) -> Iterator[CommandLine]:
        """`ollama-tui serve` on a port that the system chose; yields the command line that has it as OLLAMA_HOST.

        It is stopped with SIGTERM and must end with exit status 0.
        """
        with self.at("127.0.0.1:0").start("serve") as server:
            assert server.stderr is not None
            told = server.stderr.readline().decode()
            assert told.startswith("Serving "), told
            yield self.at(told.split()[4])
            server.send_signal(signal.SIGTERM)
            assert server.wait(SECONDS) == 0


@contextmanager
def silent_port() -> Iterator[int]:
    """A loopback port where nobody answers, and nobody can begin to within the block."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
