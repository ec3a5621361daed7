"""`config`: the view of all settings, and the file changed from the command line."""

from __future__ import annotations

import json

from tests.support.command_line import CommandLine


def test_every_setting_is_shown_with_its_source(ollama: CommandLine) -> None:
    result = ollama.with_env(OLLAMA_KEEP_ALIVE="10m").call("config")
    assert result.returncode == 0, result.stderr
    rows = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert rows["SETTING"].split() == ["SETTING", "VALUE", "FROM", "MEANING"]
    assert rows["keep_alive"].split()[1:3] == ["10m0s", "OLLAMA_KEEP_ALIVE"]
    assert rows["max_queue"].split()[1:3] == ["512", "default"]
    assert "config.toml, which is not there." in result.stderr
    assert "--host" in ollama.call("--host", "box:1", "config").stdout.splitlines()[1]


def test_the_flags_of_the_workstation_are_settings(ollama: CommandLine) -> None:
    call = ollama.with_env(OLLAMA_TUI_SSH="off").call("--theme", "nord", "--no-mouse", "--glyphs", "ascii", "config")
    rows = {line.split()[0]: line.split()[1:3] for line in call.stdout.splitlines()}
    assert (rows["theme"], rows["mouse"]) == (["nord", "--theme"], ["false", "--mouse"])
    assert (rows["glyphs"], rows["ssh"]) == (["ascii", "--glyphs"], ["off", "OLLAMA_TUI_SSH"])
    assert (rows["plain"], rows["keymap"]) == (["false", "default"], ["default", "default"])
    assert "'auto', 'on', 'off'" in ollama.call("--ssh", "perhaps").stderr


def test_a_key_is_set_shown_and_taken_out(ollama: CommandLine) -> None:
    path = ollama.call("config", "path").stdout.strip()
    assert ollama.call("config", "set", "keep_alive", "-1").stderr == f"Set keep_alive in {path}\n"
    assert ollama.call("config", "set", "registry.connections", "3").returncode == 0
    shown = json.loads(ollama.call("config", "--json").stdout)
    assert shown["file"] == path
    [setting] = [setting for setting in shown["settings"] if setting["key"] == "keep_alive"]
    assert setting == {
        "key": "keep_alive",
        "value": "-1",
        "default": "5m0s",
        "source": "config.toml",
        "kind": "duration",
        "choices": [],
        "variable": "OLLAMA_KEEP_ALIVE",
        "meaning": "how long an idle model stays in memory",
    }
    assert shown["tables"] == [{"key": "registry.connections", "value": "3"}]
    assert ollama.call("config", "unset", "keep_alive").returncode == 0
    assert ollama.call("config", "unset", "keep_alive").returncode == 1


def test_a_value_that_the_environment_hides_is_told_of(ollama: CommandLine) -> None:
    result = ollama.with_env(OLLAMA_MAX_QUEUE="5").call("config", "set", "max_queue", "7")
    assert result.stderr.endswith("OLLAMA_MAX_QUEUE is set in the environment, which goes before the file.\n")


def test_a_mistake_is_named_with_its_file_and_a_way_out(ollama: CommandLine) -> None:
    result = ollama.call("config", "set", "keepalive", "5m")
    assert (result.returncode, result.stdout) == (1, "")
    error, hint = result.stderr.splitlines()
    assert error.startswith("Error: unknown setting 'keepalive' in /")
    assert hint == "Did you mean 'keep_alive'?"
    assert ollama.call("config", "set", "registry.conections", "3").returncode == 1
    assert not (ollama.home / ".config" / "ollama-tui" / "config.toml").exists()
