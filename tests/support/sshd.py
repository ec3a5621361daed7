"""An OpenSSH server of the test's own on loopback: keys and configuration in a folder, a port that the system chose.

    with Sshd(folder) as sshd, sshd.terminal(command, env) as terminal:
        terminal.wait_for("Library")

It lets in whoever runs the tests, by a key made for the test. The test listens, and hands each connection to an
`sshd -i`, so that nothing can take the port meanwhile.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.support.terminal import Terminal

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
"""Where it is, which no user's PATH tells; None where there is none. It must be called by its whole path."""

_CONFIG = """
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
PidFile none
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
PrintLastLog no
"""


def missing() -> str:
    """Why there can be no server here; empty where there can."""
    lacking = [name for name, path in (("sshd", SSHD), ("ssh", shutil.which("ssh"))) if path is None]
    return f"needs {' and '.join(lacking)}" if lacking else ""


class Sshd:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "sshd.log"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept, name="sshd-listener")
        self._connections: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for key in ("host_key", "user_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / key)]
            subprocess.run(command, check=True)
        (self._folder / "sshd_config").write_text(_CONFIG.format(folder=self._folder))
        host_key = (self._folder / "host_key.pub").read_text()
        (self._folder / "known_hosts").write_text(f"[127.0.0.1]:{self._listener.getsockname()[1]} {host_key}")
        if os.geteuid() == 0:  # the folder that the service makes when it starts
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._accepting.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        left = self.processes()
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for connection in self._connections:
            connection.wait()

    def terminal(
        self, command: Sequence[str], env: Mapping[str, str], *, columns: int = 80, lines: int = 24, term: str
    ) -> Terminal:
        """`command` at the other end of the line; of `env` it gets what the tests set: home, folders, settings."""
        kept = ("HOME", "LANG", "PYTHON", "XDG_", "OLLAMA_")
        given = [f"{name}={value}" for name, value in env.items() if name.startswith(kept)]
        return Terminal(
            [*self._client(), "exec " + shlex.join(["env", *given, *command])],
            env,
            columns=columns,
            lines=lines,
            term=term,
        )

    def processes(self) -> list[psutil.Process]:
        """The servers of all connections that were made, and what they have started, as far as it lives."""
        found: list[psutil.Process] = []
        for connection in self._connections:
            with suppress(psutil.NoSuchProcess):
                server = psutil.Process(connection.pid)
                found += [server, *server.children(recursive=True)]
        return found

    @property
    def log(self) -> str:
        return self._log.read_text()

    def _client(self) -> list[str]:
        options = {
            "BatchMode": "yes",
            "EscapeChar": "none",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "LogLevel": "ERROR",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self._folder / "known_hosts"),
        }
        port = str(self._listener.getsockname()[1])
        said = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        key = str(self._folder / "user_key")
        return ["ssh", "-tt", "-F", "/dev/null", "-i", key, "-p", port, *said, f"{getpass.getuser()}@127.0.0.1"]

    def _accept(self) -> None:
        assert SSHD is not None
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the end
                return
            with connection, self._log.open("ab") as log:
                command = [SSHD, "-i", "-e", "-f", str(self._folder / "sshd_config")]
                line = connection.fileno()
                self._connections.append(subprocess.Popen(command, stdin=line, stdout=line, stderr=log))
