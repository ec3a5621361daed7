"""Digests: `sha256:<64 hex>`, validated before any path is built of one (spec §14, CVE-2024-37032).

Every path into `blobs/` is made from a `Digest`, and a `Digest` can only be made of text that is one.
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from ollama_engine.errors import InvalidDigest

_PATTERN = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_HEX = re.compile(r"[0-9a-f]{64}")


class Digest(Struct, frozen=True, order=True):
    """A sha256, as 64 lower-case hex digits. InvalidDigest when it is not."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.fullmatch(self.hex):
            raise _invalid(self.hex)

    @property
    def file_name(self) -> str:
        """The blob's name below `blobs/`."""
        return f"sha256-{self.hex}"

    @property
    def legacy_file_name(self) -> str:
        """The blob's name in stores of Ollama before 0.1.38, which Ollama renames when it starts."""
        return f"sha256:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 digits, as progress lines show them."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


def parse(text: str) -> Digest:
    """The digest that `text` is: `sha256:` or `sha256-` and 64 hex digits of either case. InvalidDigest."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise _invalid(text)
    return Digest(match[1].lower())


def of_bytes(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


def of_file_name(name: str) -> Digest | None:
    """The digest of the blob that a file of this name in `blobs/` holds; None when it holds none."""
    match = _PATTERN.fullmatch(name)
    return Digest(match[1]) if match and _HEX.fullmatch(match[1]) else None


def _invalid(text: str) -> InvalidDigest:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return InvalidDigest(
        f"invalid digest format: {shown!a}",
        hint="A digest is sha256: followed by 64 hexadecimal digits.",
    )
