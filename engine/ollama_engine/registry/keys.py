"""The ed25519 key that says to Ollama's registry who we are: `~/.ollama/id_ed25519`, as OpenSSH writes keys."""

from __future__ import annotations

import base64
import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ollama_engine.errors import StoreError
from ollama_engine.store.files import open_regular, storing

MAX_KEY_FILE = 16 << 10


class Identity:
    """A private key and what is shown of it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        self.line = line.decode()
        """The public key as a line of authorized_keys."""
        self.public_key = self.line.split(" ")[1]
        """Its middle part: the key in SSH's wire format, base64."""

    def sign(self, data: bytes) -> str:
        """The signature, base64."""
        return base64.b64encode(self._key.sign(data)).decode()


def load_or_create(path: Path) -> Identity:
    """The key in `path`, made (mode 0600, with a `.pub` beside it) where there is none. StoreError."""
    with storing("read", path):
        try:
            return _load(path)
        except FileNotFoundError:
            pass
    with storing("write", path):
        _create(path)
    with storing("read", path):
        return _load(path)  # not what we made, if another process was first


def _load(path: Path) -> Identity:
    with open(open_regular(path), "rb") as file:
        data = file.read(MAX_KEY_FILE)
    try:
        key = serialization.load_ssh_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StoreError(f"cannot use the key in {path}: {error}", hint="Move it away: a new one is made.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(f"the key in {path} is not an ed25519 key", hint="Move it away: a new one is made.")
    return Identity(key)


def _create(path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}.tmp")
    _write_new(temporary, private, 0o600)
    try:
        os.link(temporary, path)  # unlike a rename it never replaces a key that is there
    except FileExistsError:
        return
    finally:
        temporary.unlink()
    with suppress(FileExistsError):
        _write_new(path.with_name(path.name + ".pub"), f"{Identity(key).line}\n".encode(), 0o644)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)
