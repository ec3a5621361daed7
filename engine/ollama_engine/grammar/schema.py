"""A JSON Schema as a document: subschemas with their places, references, keywords that are checked when they are read.

Drafts 4 to 2020-12 are read alike: `definitions` as `$defs`, `items` lists as `prefixItems`, boolean
`exclusiveMinimum`. A keyword that is not of the type it must be raises InvalidRequest with its JSON pointer.
"""

from __future__ import annotations

import math
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.automaton import Automaton

MAX_COUNT = 100_000
"""Upper bounds on lengths and numbers of items are lowered to this."""
TYPES = ("null", "boolean", "number", "string", "array", "object")


@dataclass(frozen=True, eq=False)
class Node:
    """A subschema and its place, a JSON pointer; `negated` stands for `not` that subschema. Compared by identity."""

    value: dict[str, Any] | bool
    path: str
    negated: bool = False

    def __contains__(self, keyword: str) -> bool:
        return isinstance(self.value, dict) and keyword in self.value

    def get(self, keyword: str) -> Any:
        return self.value.get(keyword) if isinstance(self.value, dict) else None

    def at(self, *keys: str | int) -> str:
        return self.path + "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)

    def bad(self, keyword: str, must: str) -> InvalidRequest:
        return InvalidRequest(f"invalid JSON schema at {self.at(keyword)}: it must be {must}")

    # -- keywords ----------------------------------------------------------------------------------------------

    def count(self, keyword: str) -> int | None:
        """A length or a number of things; upper bounds are lowered to MAX_COUNT, lower ones beyond it refused."""
        if keyword not in self:
            return None
        value = self.get(keyword)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.bad(keyword, "a whole number, 0 or more")
        if value > MAX_COUNT:
            if keyword.startswith("min"):
                raise InvalidRequest(
                    f"invalid JSON schema at {self.at(keyword)}: more than {MAX_COUNT} is not supported"
                )
            return MAX_COUNT
        return value

    def number(self, keyword: str) -> Decimal | None:
        if keyword not in self:
            return None
        value = self.get(keyword)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.bad(keyword, "a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.bad(keyword, "a number")
        # Below 2**53 the digits that were written count; beyond that the whole number that the double really is.
        return Decimal(value) if abs(value) >= 2**53 else Decimal(repr(value))

    def flag(self, keyword: str) -> bool:
        value = self.get(keyword)
        if keyword in self and not isinstance(value, bool):
            raise self.bad(keyword, "true or false")
        return bool(value)

    def text(self, keyword: str) -> str | None:
        value = self.get(keyword)
        if keyword in self and not isinstance(value, str):
            raise self.bad(keyword, "a string")
        return value

    def texts(self, keyword: str) -> list[str]:
        value = self.get(keyword) if keyword in self else []
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise self.bad(keyword, "a list of strings")
        return value

    def types(self) -> tuple[frozenset[str], bool]:
        """The types of `type` (and `nullable`), and whether numbers must be integers."""
        value = self.get("type")
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self.bad("type", "a type name or a list of them")
        known = frozenset((*TYPES, "integer"))
        for name in names:
            if name not in known:
                raise InvalidRequest(f'invalid JSON schema at {self.at("type")}: unknown type "{name[:40]}"')
        types = {"number" if name == "integer" else name for name in names}
        if self.flag("nullable"):
            types.add("null")
        return frozenset(types), "integer" in names and "number" not in names


class Document:
    """The nodes of one schema: the same subschema is always the same Node."""

    def __init__(self, root: dict[str, Any] | bool) -> None:
        self._nodes: dict[tuple[int, bool], Node] = {}
        self._kept: list[Any] = []
        self._made: dict[tuple[Any, ...], Node] = {}
        self.automata: dict[str, Automaton] = {}
        """Of the patterns met so far."""
        self.true = Node(True, "#")
        self.false = Node(False, "#")
        self.root = self.node(root, "#")

    def node(self, value: Any, path: str) -> Node:
        if isinstance(value, bool):
            return self.true if value else self.false
        if not isinstance(value, dict):
            raise InvalidRequest(f"invalid JSON schema at {path}: a schema must be an object, true or false")
        return self._nodes.setdefault((id(value), False), Node(value, path))

    def make(self, value: dict[str, Any], path: str, *key: Any) -> Node:
        """A subschema that is not written in the document; the same `path` and `key` give the same one."""
        if (path, *key) not in self._made:
            self._kept.append(value)  # its id stays taken
            self._made[path, *key] = self.node(value, path)
        return self._made[path, *key]

    def negation(self, node: Node) -> Node:
        if isinstance(node.value, bool):
            return self.false if node.value else self.true
        twin = self._nodes.get((id(node.value), not node.negated))
        if twin is None:
            twin = self._nodes[id(node.value), not node.negated] = Node(node.value, node.path, not node.negated)
        return twin

    # -- subschemas --------------------------------------------------------------------------------------------

    def child(self, node: Node, keyword: str) -> Node | None:
        return self.node(node.get(keyword), node.at(keyword)) if keyword in node else None

    def children(self, node: Node, keyword: str) -> list[Node]:
        if keyword not in node:
            return []
        values = node.get(keyword)
        if not isinstance(values, list):
            raise node.bad(keyword, "a list of schemas")
        return [self.node(value, node.at(keyword, index)) for index, value in enumerate(values)]

    def named_children(self, node: Node, keyword: str) -> dict[str, Node]:
        if keyword not in node:
            return {}
        values = node.get(keyword)
        if not isinstance(values, dict):
            raise node.bad(keyword, "an object of schemas")
        return {name: self.node(value, node.at(keyword, name)) for name, value in values.items()}

    def target(self, node: Node, keyword: str) -> Node:
        """The subschema a `$ref` points at: a JSON pointer or an anchor within this document."""
        ref = node.text(keyword) or ""
        base, _, fragment = ref.partition("#")
        if base and base != (self.root.get("$id") or self.root.get("id")):
            raise InvalidRequest(
                f'JSON schema at {node.at(keyword)}: "{ref[:80]}" is outside of the schema',
                hint="Put the referenced schema under $defs and refer to it as #/$defs/name.",
            )
        fragment = urllib.parse.unquote(fragment)
        if fragment and not fragment.startswith("/"):
            return self._anchor(fragment, node, keyword)
        value: Any = self.root.value
        for step in fragment.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if (
                isinstance(value, list)
                and key.isdecimal()
                and key.isascii()
                and len(key) < 10
                and int(key) < len(value)
            ):
                value = value[int(key)]
            elif isinstance(value, dict) and key in value:
                value = value[key]
            else:
                raise InvalidRequest(f'invalid JSON schema at {node.at(keyword)}: "{ref[:80]}" points at nothing')
        return self.node(value, f"#{fragment}")

    def _anchor(self, name: str, node: Node, keyword: str) -> Node:
        todo: list[tuple[Any, str]] = [(self.root.value, "#")]
        while todo:
            value, path = todo.pop()
            if isinstance(value, Mapping):
                if name in (value.get("$anchor"), value.get("$dynamicAnchor")) or value.get("$id") == f"#{name}":
                    return self.node(value, path)
                todo += [(child, f"{path}/{key}") for key, child in value.items()]
            elif isinstance(value, list):
                todo += [(child, f"{path}/{index}") for index, child in enumerate(value)]
        raise InvalidRequest(f'invalid JSON schema at {node.at(keyword)}: there is no anchor "{name[:80]}"')
