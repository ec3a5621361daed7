"""config.toml, changed a key at a time: what stands in it stays, what would be wrong is never written."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ollama_engine.config_file import check_file, key_parts, set_value, unset
from ollama_engine.errors import InvalidRequest, StoreError
from ollama_engine.registry import RegistryConfig
from ollama_engine.settings import Settings, read_table

HAND_WRITTEN = """\
# For the big machine.
max_queue = 3   # it is slow

[registry]
connections = 4  # one line
"""


def registry(table: Mapping[str, Any]) -> None:
    RegistryConfig.from_table(table)


TABLES = {"registry": registry}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "config.toml"
    path.parent.mkdir()
    path.write_text(HAND_WRITTEN)
    path.chmod(0o640)
    return path


def test_a_value_is_changed_and_everything_else_stays(file: Path) -> None:
    set_value(file, "max_queue", "9", TABLES)
    assert file.read_text() == HAND_WRITTEN.replace("= 3 ", "= 9 ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_new_key_stands_before_the_tables(file: Path) -> None:
    set_value(file, "keep_alive", "10m", TABLES)
    settings = Settings.resolve(environ={}, config_file=file)
    assert (settings.keep_alive, settings.max_queue) == (600, 3)
    assert "# it is slow" in file.read_text()
    assert "# one line" in file.read_text()


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.toml"
    set_value(path, "origins", "app://a,http://b", TABLES)
    assert path.read_text() == 'origins = ["app://a", "http://b"]\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["config.toml"]


def test_keys_of_tables_are_checked_by_their_owner(file: Path) -> None:
    set_value(file, "registry.bandwidth", "1000", TABLES)
    set_value(file, 'registry.hosts."a.example".token', "se cret", TABLES)
    config = RegistryConfig.from_table(read_table("registry", file))
    assert (config.bandwidth, config.connections, config.hosts["a.example"].token) == (1000, 4, "se cret")
    before = file.read_text()
    with pytest.raises(InvalidRequest, match="conections"):
        set_value(file, "registry.conections", "5", TABLES)
    with pytest.raises(InvalidRequest, match=r"there is no table \[regstry\]"):
        set_value(file, "regstry.connections", "5", TABLES)
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("max_quue", "3", "unknown setting 'max_quue'"),
        ("max_queue", "many", "bad value 'many'"),
        ("a b", "3", "is no key"),
        ("", "3", "is no key"),
        ("max_queue.x", "3", "there is no table"),
        ("registry.connections.x", "3", "is not a table"),
    ],
)
def test_what_would_be_wrong_is_not_written(key: str, value: str, told: str, file: Path) -> None:
    with pytest.raises(InvalidRequest, match=told):
        set_value(file, key, value, TABLES)
    assert file.read_text() == HAND_WRITTEN


def test_a_key_is_taken_out_with_nothing_else(file: Path) -> None:
    assert unset(file, "max_queue", TABLES)
    assert "max_queue" not in file.read_text()
    assert "connections = 4  # one line" in file.read_text()
    assert unset(file, "registry.connections", TABLES)
    assert not unset(file, "registry.connections", TABLES)
    assert not unset(file, "keep_alive.x", TABLES)


def test_a_key_that_is_wrong_can_be_taken_out(file: Path) -> None:
    file.write_text("max_quue = 1\nmax_queue = 2\n")
    assert unset(file, "max_quue", TABLES)
    assert file.read_text() == "max_queue = 2\n"


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "config.toml"
    link.symlink_to(file)
    set_value(link, "max_queue", "5", TABLES)
    assert link.is_symlink()
    assert "max_queue = 5" in file.read_text()


def test_a_file_that_does_not_parse_is_left_as_it_is(file: Path) -> None:
    file.write_text("max_queue = = 3\n")
    with pytest.raises(InvalidRequest, match=r"config\.toml"):
        set_value(file, "max_queue", "5", TABLES)
    assert file.read_text() == "max_queue = = 3\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreError, InvalidRequest), match=r"file/config\.toml"):
        set_value(tmp_path / "file" / "config.toml", "max_queue", "5", TABLES)


@pytest.mark.parametrize(
    ("text", "told"),
    [("max_quue = 3\n", "max_quue"), ("[registry]\nconections = 3\n", "conections"), ("[keyz]\na = 1\n", "keyz")],
)
def test_a_whole_file_is_checked_with_its_tables(text: str, told: str, file: Path) -> None:
    check_file(file, TABLES)
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=told):
        check_file(file, TABLES)


def test_dotted_keys_are_tomls() -> None:
    assert key_parts('registry.hosts."a.b:1".token') == ("registry", "hosts", "a.b:1", "token")
