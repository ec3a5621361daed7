"""`requests`, `cancel`, `pin` and `stop --force`, over a server that works."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

from tests.support.command_line import SECONDS, CommandLine

HEADER = "ID KIND MODEL STATE PROMPT OUTPUT SPEED SINCE CLIENT"


def rows(command_line: CommandLine) -> list[dict[str, object]]:
    result = command_line.run("requests", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def wait_for(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < deadline


def test_requests_are_listed_and_canceled_and_models_pinned_and_stopped(models: CommandLine) -> None:
    with models.serving() as server, server.start("run", "looping", "x") as run:
        wait_for(lambda: [row["state"] for row in rows(server)] == ["generating"])
        listed = server.run("requests").stdout
        assert listed.splitlines()[0].split() == HEADER.split()
        assert re.search(r"generating +\d+ +\d+ +[\d.]+ tokens/s +\S.* ago +127\.0\.0\.1 \(terminal\)$", listed, re.M)
        [id] = [str(row["id"]) for row in rows(server)]
        result = server.run("cancel", id)
        assert (result.returncode, result.stdout) == (0, f"canceled '{id}'\n")
        assert run.wait(SECONDS) == 0
        assert rows(server) == []
        again = server.run("cancel", id)
        assert (again.returncode, again.stdout) == (1, "")
        assert again.stderr.startswith(f"Error: there is no request '{id}'\n")

        assert server.run("pin", "looping").returncode == 0
        assert "Forever" in server.run("ps").stdout
        with server.start("run", "looping", "x") as other:
            wait_for(lambda: rows(server))
            assert server.run("stop", "--force", "looping").returncode == 0
            assert len(server.run("ps").stdout.splitlines()) == 1
            other.wait(SECONDS)


def test_without_a_server_there_is_nothing_to_list_or_to_cancel(ollama: CommandLine) -> None:
    assert ollama.run("requests").stdout.split() == HEADER.split()
    assert json.loads(ollama.run("requests", "--json").stdout) == []
    for arguments, why in ((("cancel", "x"), "nothing to cancel"), (("pin", "bard"), "nothing to pin")):
        result = ollama.run(*arguments)
        assert result.returncode == 1
        assert result.stderr.startswith("Error: no server is running at http://127.0.0.1:")
        assert why in result.stderr
