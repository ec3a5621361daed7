"""`ps` and `devices`: Ollama's columns, everything with --wide, and JSON; of a server with a model in memory."""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from ollama_tui.cli.devices import HEADER as DEVICES_HEADER
from ollama_tui.cli.ps import HEADER, WIDE_HEADER
from tests.support.command_line import SECONDS, CommandLine
from tests.support.foreign_server import foreign_server


@pytest.fixture(scope="module")
def served(models: CommandLine) -> Iterator[CommandLine]:
    """A server with `scripted` in memory."""
    with models.serving() as served:
        assert served.run("run", "scripted", "What news?", "--keepalive", "1h").returncode == 0
        yield served


def cells(line: str) -> list[str]:
    return re.split(r" {4,}", line)


def test_ps_has_ollamas_columns_and_no_others(served: CommandLine) -> None:
    header, line = served.run("ps").stdout.splitlines()
    assert tuple(cells(header)) == HEADER
    name, digest, size, processor, context, until = cells(line)
    assert (name, processor, context) == ("scripted:latest", "100% CPU", "2048")
    assert re.fullmatch(r"[0-9a-f]{12}", digest)
    assert re.fullmatch(r"[\d.]+ [KMG]B", size)
    assert until in ("59 minutes from now", "About an hour from now")


def test_ps_wide_adds_what_is_measured(served: CommandLine) -> None:
    header, line = served.run("ps", "--wide").stdout.splitlines()
    assert tuple(cells(header)) == WIDE_HEADER
    told = dict(zip(WIDE_HEADER, cells(line), strict=True))
    assert told["STATE"] == "idle"
    assert re.fullmatch(r"0/\d+", told["SLOTS"])
    used, total = map(int, told["USED"].split("/"))
    assert 0 < used < total
    assert re.fullmatch(r"CPU [\d.]+ [KMG]B", told["DEVICES"])
    for figure in ("RSS", "WEIGHTS", "KV", "COMPUTE", *(["PSS"] if sys.platform == "linux" else [])):
        assert re.fullmatch(r"[\d.]+ [KMG]B", told[figure]), figure
    assert int(told["PID"]) > 0


def test_ps_as_json_is_what_the_api_says(served: CommandLine) -> None:
    [model] = json.loads(served.run("ps", "--json").stdout)
    with urllib.request.urlopen(f"http://{served.host.removeprefix('http://')}/api/ps", timeout=SECONDS) as answer:
        [told] = json.load(answer)["models"]
    assert model["name"] == "scripted:latest"
    assert model.keys() == told.keys()
    # Ollama's fields come first and are whole; ours stand behind them.
    assert list(told)[:8] == [
        "name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length",
    ]  # fmt: skip
    assert {field: type(model[field]) for field in ("rss", "context_used", "devices", "expires_in")} == {
        "rss": int, "context_used": int, "devices": list, "expires_in": float,
    }  # fmt: skip
    assert model["pid"] == told["pid"]
    assert json.loads(served.run("ps", "--json", "another").stdout) == []


def test_devices_are_a_table_or_json_of_the_server_or_of_this_machine(served: CommandLine, ollama: CommandLine) -> None:
    for command_line in (served, ollama):
        header, line = command_line.run("devices").stdout.splitlines()[:2]
        assert tuple(cells(header)) == DEVICES_HEADER
        name, kind, memory, free, busy, *_ = cells(line)
        assert (name, kind) == ("CPU", "cpu")
        assert re.fullmatch(r"[\d.]+ [MGT]B", memory)
        assert re.fullmatch(r"[\d.]+ [MGT]B", free)
        assert re.fullmatch(r"\d+%", busy)
        cpu = json.loads(command_line.run("devices", "--json").stdout)[0]
        assert (cpu["name"], cpu["kind"]) == ("CPU", "cpu")
        assert 0 < cpu["free"] < cpu["total"]


def test_ollamas_own_server_measures_nothing_and_says_no_devices(ollama: CommandLine) -> None:
    with foreign_server() as server:
        asking = ollama.at(server.host)
        header, line = asking.run("ps", "--wide").stdout.splitlines()
        devices = asking.run("devices")
    told = dict(zip(cells(header), cells(line), strict=True))
    assert [told[column] for column in HEADER] == [
        "llama3.2:3b", "a80c4f17acd5", "3.4 GB", "100% GPU", "4096", "Forever",
    ]  # fmt: skip
    assert {told[column] for column in WIDE_HEADER[len(HEADER) :]} == {"-"}
    assert (devices.returncode, devices.stdout) == (1, "")
    assert devices.stderr.startswith(f"Error: the server at http://{server.host} does not tell its devices\n")
