"""`serve`, and the other commands on the server that it is."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request

from tests.support.command_line import SECONDS, CommandLine
from tests.tui.cli.conftest import ANSWER


def test_commands_work_on_the_server_that_answers(models: CommandLine) -> None:
    with models.serving() as served:
        assert "scripted:latest" in served.run("list").stdout
        assert served.run("ps").stdout.splitlines()[1:] == []
        assert served.run("run", "scripted", "What news?", "--keepalive", "1h").stdout == f"{ANSWER}\n\n"

        running = served.run("ps").stdout.splitlines()[1]
        assert running.startswith("scripted:latest    ")
        assert running.endswith(("    2048       59 minutes from now", "About an hour from now"))

        assert served.run("stop", "scripted").returncode == 0
        assert served.run("stop", "absent").stderr.startswith('Error: couldn\'t find model "absent" to stop\n')


def test_models_are_made_copied_and_removed_through_the_server(models: CommandLine) -> None:
    with models.serving() as served:
        assert served.run("create", "again", "-f", "-", stdin=b"FROM scripted.gguf\nSYSTEM Hi.\n").returncode == 0
        assert served.run("show", "--system", "again").stdout == "Hi.\n"
        assert served.run("cp", "again", "copied").stdout == "copied 'again' to 'copied'\n"
        assert served.run("rm", "again", "copied").stdout == "deleted 'again'\ndeleted 'copied'\n"


def test_the_serve_flag_serves_too_and_the_host_option_says_where(ollama: CommandLine) -> None:
    with ollama.start("--host", "127.0.0.1:0", "--serve") as server:
        assert server.stderr is not None
        url = server.stderr.readline().decode().split()[4]
        with urllib.request.urlopen(f"{url}/api/version", timeout=SECONDS) as answer:
            assert "version" in json.load(answer)
        server.send_signal(signal.SIGINT)
        assert server.wait(SECONDS) == 0


def test_a_port_in_use_is_one_clear_line(ollama: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        host = f"127.0.0.1:{other.getsockname()[1]}"
        result = ollama.at(host).run("serve")
    assert (result.returncode, result.stdout) == (1, "")
    error, *hint = result.stderr.splitlines()
    assert error.startswith("Error: ")
    assert host in error
    assert len(hint) <= 1
