"""What a template shows that a model can do: tools, insert, thinking (spec §1.7, §9). The engine's `show` and `list`
and its capability checks ask."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_engine.prompt.go_template import GoTemplate, nodes
from ollama_engine.types import Capability


def template_capabilities(go_template: str) -> list[Capability]:
    """Capabilities that a Go template shows; raises `TemplateError` where it does not parse."""
    template = GoTemplate(go_template)
    names = {name.lower() for name in template.names()}
    found: list[Capability] = []
    if "tools" in names:
        found.append("tools")
    if "suffix" in names:
        found.append("insert")
    if thinking_tags(template) is not None:
        found.append("thinking")
    return found


def thinking_tags(template: GoTemplate) -> tuple[str, str] | None:
    """The text before and after `{{ .Thinking }}` inside `{{ range .Messages }}`, None where there is none."""
    for node in template.walk():
        if isinstance(node, nodes.Branch) and node.keyword == "range" and _mentions(node.pipe, "Messages"):
            for opening, closing in _around_thinking(node.body):
                if opening and closing:
                    return opening, closing
    return None


def _around_thinking(body: nodes.Block) -> Iterator[tuple[str, str]]:
    for block in (node for node in nodes.walk(body) if isinstance(node, nodes.Block)):
        for index, node in enumerate(block.nodes):
            if isinstance(node, nodes.Action) and not node.pipe.declared and _mentions(node, "Thinking"):
                before = block.nodes[index - 1] if index else None
                after = block.nodes[index + 1] if index + 1 < len(block.nodes) else None
                yield _text(before), _text(after)


def _text(node: nodes.Node | None) -> str:
    return node.text.strip() if isinstance(node, nodes.Text) else ""


def _mentions(node: nodes.Node, name: str) -> bool:
    return any(
        isinstance(part, nodes.Field | nodes.Variable | nodes.Chain) and name in part.names for part in nodes.walk(node)
    )
