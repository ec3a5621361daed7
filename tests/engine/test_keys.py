"""Keys on disk: hashed, in a file of one's own, whole at any time, heeded at once."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidRequest, NotFound, StoreError
from ollama_engine.keys import Keyring
from ollama_engine.settings import Settings


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "config" / "keys.json")


def test_a_key_is_found_by_what_was_shown_of_it_once(keyring: Keyring) -> None:
    laptop, token = keyring.create("laptop", "admin")
    phone, other = keyring.create("phone")
    assert len(token) >= 64
    assert token != other
    assert keyring.find(token) == laptop
    assert keyring.find(other) == phone
    assert (laptop.scope, phone.scope) == ("admin", "inference")
    for wrong in ("", token[:-1], token + "0", token.upper(), laptop.hash, laptop.id, "\udcff"):
        assert keyring.find(wrong) is None


def test_the_file_holds_hashes_and_is_its_owners_alone(keyring: Keyring) -> None:
    key, token = keyring.create("laptop")
    text = keyring.path.read_text()
    assert token not in text
    assert json.loads(text)["keys"][0]["hash"] == hashlib.sha256(token.encode()).hexdigest() == key.hash
    assert keyring.path.stat().st_mode & 0o777 == 0o600
    assert keyring.path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(keyring.path.parent) == ["keys.json"]


def test_a_change_by_another_process_is_heeded_at_once(keyring: Keyring) -> None:
    serving = Keyring(keyring.path)
    assert serving.known() == ()
    _, token = keyring.create("laptop")
    assert serving.find(token) is not None
    keyring.revoke("laptop")
    assert serving.find(token) is None
    _, token = keyring.create("laptop")
    assert serving.find(token) is not None
    keyring.path.unlink()
    assert serving.find(token) is None


def test_keys_are_revoked_by_name_or_id(keyring: Keyring) -> None:
    names = [keyring.create()[0] for _ in range(3)]
    assert [key.name for key in names] == ["key1", "key2", "key3"]
    assert keyring.revoke("key2") == names[1]
    assert keyring.revoke(names[2].id) == names[2]
    with pytest.raises(NotFound, match="there is no key 'key2'"):
        keyring.revoke("key2")
    assert keyring.known() == (names[0],)


@pytest.mark.parametrize("name", ["laptop", "\x1b[31m", "a\nb", " a", "x" * 65, "\u202e"])
def test_a_name_is_free_and_can_be_shown(keyring: Keyring, name: str) -> None:
    keyring.create("laptop")
    before = keyring.path.read_bytes()
    with pytest.raises(InvalidRequest) as error:
        keyring.create(name)
    assert error.value.hint
    assert keyring.path.read_bytes() == before


def test_two_processes_that_make_keys_lose_none(keyring: Keyring) -> None:
    code = f"from ollama_engine.keys import Keyring\nfor _ in range(20): Keyring({str(keyring.path)!r}).create()"
    code = code.replace("Keyring('", "Keyring(__import__('pathlib').Path('").replace("').create", "')).create")
    makers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [maker.wait(60) for maker in makers] == [0, 0]
    assert sorted(key.name for key in keyring.known()) == sorted(f"key{n}" for n in range(1, 41))


@pytest.mark.parametrize("content", [b"", b"{", b'{"keys": 7}', b"[" * 10_000, b"\xff", b'{"keys":[{"name":"a"}]}'])
def test_a_broken_file_lets_nobody_in_and_is_left_as_it_is(keyring: Keyring, content: bytes) -> None:
    keyring.path.parent.mkdir()
    keyring.path.write_bytes(content)
    for use in (keyring.known, lambda: keyring.find("x"), keyring.create, lambda: keyring.revoke("x")):
        with pytest.raises(StoreError, match=r"keys\.json"):
            use()
    assert keyring.path.read_bytes() == content


def test_a_file_that_others_may_write_is_not_trusted(keyring: Keyring) -> None:
    keyring.create("laptop")
    keyring.path.chmod(0o622)
    with pytest.raises(StoreError, match="can be written by other users"):
        Keyring(keyring.path).known()


def test_what_is_no_file_is_named(keyring: Keyring) -> None:
    keyring.path.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"keys\.json"):
        keyring.known()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write the keys in") as error:
        Keyring(tmp_path / "file" / "keys.json").create()
    assert "OLLAMA_KEYS_FILE" in error.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")
def test_root_makes_keys_for_a_service_that_can_read_them(keyring: Keyring) -> None:
    keyring.path.parent.mkdir()
    os.chown(keyring.path.parent, 12345, 23456)
    for _ in range(2):
        keyring.create()
        status = keyring.path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (12345, 23456, 0o600)


def test_a_link_to_the_file_stays_one(keyring: Keyring, tmp_path: Path) -> None:
    keyring.create("one")
    link = tmp_path / "link.json"
    link.symlink_to(keyring.path)
    Keyring(link).create("two")
    assert link.is_symlink()
    assert [key.name for key in keyring.known()] == ["one", "two"]


def test_the_settings_say_where_the_file_is(tmp_path: Path, home: Path) -> None:
    assert Keyring.of(Settings()).path == home / "config" / "ollama-tui" / "keys.json"
    assert Keyring.of(Settings(keys_file=tmp_path / "k")).path == tmp_path / "k"
    assert Keyring.of(Settings.resolve(environ={"OLLAMA_KEYS_FILE": "~/k"})).path == home / "k"
