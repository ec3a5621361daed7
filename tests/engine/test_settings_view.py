"""The view of all settings: values as they may be written, where each comes from, and the page of docs made from it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.errors import InvalidRequest
from ollama_engine.settings import HostAddress, Settings, parse_setting
from ollama_engine.settings_view import HIDDEN, SettingView, settings_view, tables_view, to_toml
from tests.support.settings_page import PAGE, page


def view(key: str, environ: dict[str, str] | None = None, file: Path | None = None, **overrides: Any) -> SettingView:
    views = settings_view(environ or {}, file or Path("/nowhere"), **overrides)
    return next(view for view in views if view.key == key)


def test_a_setting_is_told_with_where_its_value_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('keep_alive = "1h"\nmax_queue = 7\n')
    found = view("keep_alive", {}, file)
    assert (found.value, found.default, found.source, found.kind) == ("1h0m0s", "5m0s", "config.toml", "duration")
    assert found.variable == "OLLAMA_KEEP_ALIVE"
    assert found.meaning
    assert view("keep_alive", {"OLLAMA_KEEP_ALIVE": "-1"}, file).value == "-1"
    assert view("max_queue", {"OLLAMA_MAX_QUEUE": "9"}, file).source == "environment"
    assert view("num_parallel", {}, file).source == "default"
    flagged = view("host", {"OLLAMA_HOST": "box:1"}, host=HostAddress.parse("https://gpu:2"))
    assert (flagged.value, flagged.source) == ("https://gpu:2", "command line")


def test_every_value_that_is_shown_reads_back_as_it_is() -> None:
    environ = {
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_LOAD_TIMEOUT": "0",
        "OLLAMA_ORIGINS": "app://a, http://b",
        "OLLAMA_FLASH_ATTENTION": "0",
    }
    resolved = Settings.resolve(environ=environ, config_file=Path("/nowhere"))
    for setting in settings_view(environ, Path("/nowhere")):
        if setting.value:
            again = parse_setting(setting.key, setting.value, "test")
            again = again.expanduser() if isinstance(again, Path) else again
            assert again == getattr(resolved, setting.key), setting


@pytest.mark.parametrize(
    ("key", "text", "written"),
    [
        ("max_queue", "8", 8),
        ("debug", "true", True),
        ("flash_attention", "off", "off"),
        ("use_mmap", "0", False),
        ("origins", "a, b", ["a", "b"]),
        ("keep_alive", "10m", "10m"),
        ("host", ":8080", ":8080"),
    ],
)
def test_a_value_is_written_in_the_type_that_it_has(key: str, text: str, written: object) -> None:
    assert to_toml(key, text) == written


@pytest.mark.parametrize(("key", "text"), [("max_queue", "many"), ("debug", "perhaps"), ("keep_alive", "soon")])
def test_a_value_of_another_type_is_refused(key: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"bad value '{text}' for setting '{key}'"):
        to_toml(key, text)


def test_tables_are_told_by_dotted_keys_and_keep_their_secrets(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[registry]\nconnections = 3\n[registry.hosts."a.example"]\npassword = "x"\nca_file = "/ca"\n')
    assert {entry.key: entry.value for entry in tables_view(file)} == {
        "registry.connections": "3",
        'registry.hosts."a.example".password': HIDDEN,
        'registry.hosts."a.example".ca_file': "/ca",
    }


def test_every_setting_has_a_variable_and_a_meaning_of_its_own() -> None:
    variables = [setting.metadata["env"] for setting in fields(Settings)]
    assert len(set(variables)) == len(variables)
    assert all(setting.metadata["meaning"] for setting in fields(Settings))


def test_the_page_of_the_docs_has_every_setting_as_it_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.support.settings_page"
