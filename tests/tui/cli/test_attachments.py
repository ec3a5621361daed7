"""Paths in a prompt become attached files; whatever is no file stays text."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidRequest
from ollama_tui import attachments
from ollama_tui.attachments import attach_files, begins_with_file


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("cat.png", "DOG.JPG", "a b.webp", "talk.wav", "song.mp3", "dance.gif", "notes.txt"):
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
        ("hear song.mp3, see dance.gif", "hear , see", ["song.mp3", "dance.gif"]),
        ("./a b.webp and ./cat.png", "and", ["./a b.webp", "./cat.png"]),
        ("from ./none to ./a b.webp", "from ./none to", ["./a b.webp"]),
        ('"./a b.webp"', "", ["./a b.webp"]),
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


@pytest.mark.parametrize(
    ("written", "rest"),
    [
        ("'{path}' ", ""),
        ('"{path}"', ""),
        ("{escaped} what is it?", "what is it?"),
        ("{path} what is it?", "what is it?"),
        ("file://{percent} what is it?", "what is it?"),
        ("file://localhost{percent}", ""),
    ],
)
def test_a_file_that_is_dragged_here(written: str, rest: str, here: Path) -> None:
    """As GNOME's terminal, kitty, iTerm, a browser and others write it."""
    path = here / "a b.webp"
    escaped, percent = str(path).replace(" ", "\\ "), str(path).replace(" ", "%20")
    prompt = written.format(path=path, escaped=escaped, percent=percent)
    attached = attach_files(prompt)
    assert (attached.prompt, attached.names) == (rest, [str(path)])
    assert begins_with_file(prompt)


def test_another_machines_file_and_a_path_that_is_none_stay_text() -> None:
    for prompt in ("file://host/cat.png", f"/{'x' * 5000}.png", "~nobody-such/cat.png", "/set cat.pn"):
        assert attach_files(prompt).prompt == prompt
        assert not begins_with_file(prompt)


def test_a_file_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachments, "MAX_FILE", 3)
    with pytest.raises(InvalidRequest, match=r"cat.png has 7 bytes"):
        attach_files("cat.png")
