"""Every key is in the table of actions: nothing else binds one, so that a keymap, help and the docs know of all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollama_tui import actions
from ollama_tui.actions.keymap import ALONE, TABS, UNDER_ALL

PACKAGE = Path(__file__).parents[2] / "tui" / "ollama_tui"
FROM_THE_TABLE = "actions.bindings("


def bound_elsewhere(source: str) -> Iterator[str]:
    """The places in a module that bind keys by themselves."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="Binding") | ast.Attribute(attr="Binding")):
                yield ast.unparse(node)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr="bind")):
                yield ast.unparse(node)
            case ast.AnnAssign(target=ast.Name(id="BINDINGS"), value=ast.expr() as value):
                yield from _not_of_the_table(value)
            case ast.Assign(targets=[ast.Name(id="BINDINGS") | ast.Attribute(attr="BINDINGS")], value=value):
                yield from _not_of_the_table(value)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("key_"):
                yield name
            case _:
                pass


def _not_of_the_table(value: ast.expr) -> Iterator[str]:
    match value:
        case ast.List(elts=[*entries]):
            texts = [ast.unparse(entry).removeprefix("*") for entry in entries]
        case ast.ListComp(generators=generators):
            texts = [ast.unparse(generators[-1].iter)]
        case _:
            texts = [ast.unparse(value)]
    yield from (text for text in texts if not text.startswith(FROM_THE_TABLE))


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path.parent.name not in ("actions", "cli", "repl")]


def test_no_module_binds_a_key_by_itself() -> None:
    found = {
        str(path.relative_to(PACKAGE)): places
        for path in modules()
        if (places := list(bound_elsewhere(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    BINDINGS = [('x', 'do', 'Do')]",
        "class A:\n    BINDINGS: list = [*actions.bindings('a'), Binding('x', 'do')]",
        "class A:\n    def key_x(self): ...",
        "class A:\n    def on_mount(self): self.bind('x', 'do')",
        "class A:\n    BINDINGS = OTHER.BINDINGS",
    ],
)
def test_a_key_that_is_bound_elsewhere_is_found(source: str) -> None:
    assert list(bound_elsewhere(source))


def test_every_group_is_known_to_the_keymap() -> None:
    """Else the keys of a new screen would be held against those of the panes under it, or against none."""
    panes = {"library", "discover", "tabs", "pulls", "ps", "chat", "chats", "bench"}
    groups = {action.group for action in actions.ACTIONS}
    assert groups == panes | {*ALONE, *UNDER_ALL}
    assert set(TABS) <= panes
