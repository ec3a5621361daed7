"""No widget touches an engine: services own the work, panes and widgets ask them and draw what they publish."""

from __future__ import annotations

import ast
from pathlib import Path

import ollama_tui

TUI = Path(ollama_tui.__file__).parent


def test_panes_and_widgets_hold_no_engine() -> None:
    touches = [
        f"{path.name}:{node.lineno}"
        for room in ("panes", "widgets")
        for path in (TUI / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.arg) and node.arg == "engine")
        or (isinstance(node, ast.Name) and node.id == "Engine")
        or (isinstance(node, ast.Attribute) and node.attr == "engine" and ast.unparse(node.value).endswith("link"))
    ]
    assert touches == [], "let a service do it"
