"""Workers are given functions: a coroutine whose worker is cancelled before it began is never awaited."""

from __future__ import annotations

import ast
from pathlib import Path

import ollama_tui


def test_workers_are_given_functions() -> None:
    coroutines = [
        f"{path.name}:{node.lineno}"
        for path in Path(ollama_tui.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "run_worker"
        if isinstance(node.args[0], ast.Call) and ast.unparse(node.args[0].func) != "partial"
    ]
    assert coroutines == [], "write partial(self.work, what) instead of self.work(what)"
