"""A digest is sha256 and 64 hex digits, or no path is ever built of it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.errors import InvalidDigest
from ollama_engine.store import Store
from ollama_engine.store.digests import Digest, of_bytes, of_file_name, parse

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize("text", [f"sha256:{HEX}", f"sha256-{HEX}", f"sha256:{HEX.upper()}"])
def test_colon_dash_and_either_case_mean_the_same_digest(text: str) -> None:
    digest = parse(text)
    assert str(digest) == f"sha256:{HEX}"
    assert digest.file_name == f"sha256-{HEX}"
    assert digest.short == HEX[:12]


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        "sha256:",
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX}\n",
        f"sha256_{HEX}",
        f"SHA256:{HEX}",
        f"sha512:{HEX}",
        "sha256:../../../../etc/passwd",
        f"sha256:{HEX[:-3]}/..",
        f"sha256:{'g' * 64}",
        f"sha256:{'٠' * 64}",
    ],
)
def test_anything_else_is_refused_before_there_is_a_path(text: str, store: Store) -> None:
    with pytest.raises(InvalidDigest, match="invalid digest format"):
        parse(text)
    with pytest.raises(InvalidDigest):
        store.blobs.path(text)
    with pytest.raises(InvalidDigest):
        store.blobs.write(text, [b""])


@given(st.text())
def test_no_text_gives_anything_but_a_digest_or_invalid_digest(text: str) -> None:
    for build in (parse, Digest):
        with pytest.raises(InvalidDigest):
            build(text)


@given(st.binary())
def test_the_digest_of_bytes_survives_its_text_and_its_file_name(data: bytes) -> None:
    digest = of_bytes(data)
    assert digest.hex == hashlib.sha256(data).hexdigest()
    assert parse(str(digest)) == of_file_name(digest.file_name) == of_file_name(digest.legacy_file_name) == digest


@pytest.mark.parametrize("name", [f"sha256-{HEX}-partial", f"sha256-{HEX}-partial-0", "sha256-123", ".DS_Store"])
def test_other_files_in_the_blobs_folder_are_no_blobs(name: str) -> None:
    assert of_file_name(name) is None
