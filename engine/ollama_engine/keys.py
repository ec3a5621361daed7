"""The keys of a server: who may use it from elsewhere, and for what. `ollama-tui key` writes them, `server` reads them.

One file of JSON (mode 0600, replaced as a whole) holds the sha256 of each key and never the key. A plain hash is right
here, where passwords need scrypt: a key is 256 random bits that nobody chose, so that there is nothing to guess
through, and a slow hash would only let strangers keep the server busy.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import platformdirs
from msgspec import Struct

from ollama_engine.errors import InvalidRequest, NotFound, StoreError
from ollama_engine.settings import APP, Settings

Scope = Literal["inference", "admin"]
"""What a key is good for: to use the models that are there, or everything."""

MAX_KEYS = 10_000
_PREFIX = "otk_"
_MAX_FILE = 4 << 20
_NAME = re.compile(r"[\w.@+-]([\w.@+ -]{0,62}[\w.@+-])?")


class Key(Struct, frozen=True):
    """A key as it is kept: `hash` is the sha256 of the whole key in hex, `created` an RFC 3339 time."""

    name: str
    scope: Scope
    hash: str
    created: str

    @property
    def id(self) -> str:
        """Eight digits of the hash, to name a key by."""
        return self.hash[:8]


class _File(Struct):
    version: int = 1
    keys: list[Key] = []


class Keyring:
    """The keys in one file, which others may change at any time.

    Every method reads the file where it has changed since; there need not be one.

    Raises:
        StoreError: the file cannot be read or written, is broken, or anybody could write to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Keyring:
        """The keys of a server with these settings."""
        return cls(settings.keys_file or Path(platformdirs.user_config_dir(APP)) / "keys.json")

    def known(self) -> tuple[Key, ...]:
        """All keys, oldest first."""
        status = self._status()
        seen = None if status is None else (status.st_ino, status.st_mtime_ns, status.st_size)
        if seen is None or seen != self._seen:
            self._keys, self._seen = self._read() if seen else (), seen
        return self._keys

    def find(self, token: str) -> Key | None:
        """The key that `token` is. How long this takes says nothing of how near a wrong one came."""
        hashed = _hash(token)
        found = None
        for key in self.known():
            if hmac.compare_digest(key.hash, hashed):
                found = key
        return found

    def create(self, name: str = "", scope: Scope = "inference") -> tuple[Key, str]:
        """Make a key; returns it with its token, which nobody can tell afterwards.

        Raises:
            InvalidRequest: the name is taken, or none that can be shown on a line.
        """
        with self._changing() as keys:
            taken = {key.name for key in keys}
            name = name or next(f"key{n}" for n in range(1, MAX_KEYS + 2) if f"key{n}" not in taken)
            if not _NAME.fullmatch(name):
                raise InvalidRequest(
                    f"{name!r} cannot be the name of a key", hint="Up to 64 letters, digits, blanks and any of -_.@+"
                )
            if name in taken:
                raise InvalidRequest(f"there is a key '{name}' already", hint="Revoke it, or choose another name.")
            if len(keys) >= MAX_KEYS:
                raise InvalidRequest(f"there are {MAX_KEYS} keys already", hint="Revoke some.")
            token = _PREFIX + secrets.token_hex(32)
            key = Key(name, scope, _hash(token), datetime.now(UTC).isoformat(timespec="seconds"))
            keys.append(key)
        return key, token

    def revoke(self, which: str) -> Key:
        """Forget a key, by its name or id. NotFound."""
        with self._changing() as keys:
            key = next((key for key in keys if key.name == which), None)
            key = key or next((key for key in keys if key.id == which), None)
            if key is None:
                raise NotFound(f"there is no key '{which}'", hint="'ollama-tui key list' shows which there are.")
            keys.remove(key)
        return key

    def _status(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed("read", error) from error

    def _read(self) -> tuple[Key, ...]:
        try:
            with open(os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                status = os.fstat(file.fileno())
                data = file.read(_MAX_FILE + 1) if stat.S_ISREG(status.st_mode) else b""
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._failed("read", error) from error
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise StoreError(
                f"the keys in {self.path} can be written by other users", hint="chmod go-w the file.", path=self.path
            )
        try:
            return tuple(msgspec.json.decode(data, type=_File).keys)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise StoreError(
                f"the keys in {self.path} cannot be read: {error}",
                hint="Restore the file, or remove it and make new keys.",
                path=self.path,
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys to change; written at the end of the block. Others who want to change them wait."""
        # A link, as secrets are often mounted, stays one.
        path = Path(os.path.realpath(self.path))
        with self._writing():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self._writing():
                fcntl.flock(folder, fcntl.LOCK_EX)
            self._seen = None
            keys = list(self.known())
            yield keys
            with self._writing():
                _replace(path, msgspec.json.format(msgspec.json.encode(_File(keys=keys)), indent=1) + b"\n")
                with suppress(OSError):  # some network file systems cannot sync a folder
                    os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failed("write", error) from error

    def _failed(self, doing: str, error: OSError) -> StoreError:
        return StoreError(
            f"cannot {doing} the keys in {self.path}: {error.strerror or error}",
            hint="OLLAMA_KEYS_FILE names another file for them.",
            path=self.path,
        )


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", errors="surrogateescape")).hexdigest()


def _replace(path: Path, data: bytes) -> None:
    """Put `data` at `path`, as a whole. Root leaves a file whose it is: its owner's server has to read it."""
    owner = os.stat(path if path.exists() else path.parent)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}.tmp")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
