"""Paths in a prompt become attached files; whatever is no file stays text."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidRequest
from ollama_tui.cli import attachments
from ollama_tui.cli.attachments import attach_files


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("cat.png", "DOG.JPG", "a b.webp", "talk.wav", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("prompt", "rest", "names"),
    [
        ("What is in ./cat.png?", "What is in ?", ["./cat.png"]),
        ("DOG.JPG or cat.png", "or", ["DOG.JPG", "cat.png"]),
        ("see 'a b.webp' now", "see  now", ["a b.webp"]),
        ("see a\\ b.webp", "see", ["a b.webp"]),
        ("who speaks in talk.wav", "who speaks in", ["talk.wav"]),
        ("none.png stays, notes.txt too", "none.png stays, notes.txt too", []),
        ("a cat.pngx is no picture", "a cat.pngx is no picture", []),
        ("  spaces stay  ", "  spaces stay  ", []),
    ],
)
def test_paths(prompt: str, rest: str, names: list[str]) -> None:
    attached = attach_files(prompt)
    assert (attached.prompt, attached.names) == (rest, names)
    contents = [base64.b64decode(image).decode() for image in attached.images]
    assert contents == [name.removeprefix("./") for name in names]


def test_a_file_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "MAX_FILE", 3)
    with pytest.raises(InvalidRequest, match=r"cat.png has 7 bytes"):
        attach_files("cat.png")
