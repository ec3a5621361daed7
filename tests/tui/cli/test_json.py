"""`--json` of the commands that list: one value, one shape a command, as docs/cli.md tells."""

from __future__ import annotations

import json
from typing import Any

from tests.support.command_line import CommandLine


def value(ollama: CommandLine, *arguments: str) -> Any:
    result = ollama.call(*arguments, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_list_has_what_api_tags_has(ollama: CommandLine) -> None:
    [bard] = value(ollama, "list")
    assert bard["name"] == "bard:latest"
    assert bard["size"] > 4_000_000
    assert len(bard["digest"]) == 64
    assert bard["details"]["family"] == "llama"
    assert value(ollama, "list", "none") == []


def test_show_has_what_api_show_has(ollama: CommandLine) -> None:
    shown = value(ollama, "show", "bard")
    assert shown["details"]["format"] == "gguf"
    assert shown["capabilities"] == ["completion"]
    assert "general.architecture" in shown["model_info"]
    assert ollama.call("show", "bard", "--json", "--license").returncode == 1


def test_search_has_the_catalog_and_whether_a_model_fits(ollama: CommandLine) -> None:
    found = value(ollama, "search", "code")
    assert found
    assert {"name", "parameters", "download", "context", "capabilities", "licence", "note", "memory", "fits"} <= set(
        found[0]
    )
    nothing = ollama.call("search", "no-such-model", "--json")
    assert (nothing.returncode, json.loads(nothing.stdout)) == (1, [])


def test_devices_has_them_all(ollama: CommandLine) -> None:
    assert value(ollama, "devices")[0]["name"] == "CPU"


def test_prune_has_what_would_go_and_what_went(ollama: CommandLine) -> None:
    ollama.call("list")
    left = ollama.home / "models" / "blobs" / ".writing-0123456789abcdef.tmp"
    left.write_bytes(b"x" * 4096)
    expected = {"removed": [left.name], "freed": 4096, "dry_run": True, "unreadable": []}
    assert value(ollama, "prune") == expected
    assert left.exists()
    assert value(ollama, "prune", "--yes") == {**expected, "dry_run": False}
    assert not left.exists()
